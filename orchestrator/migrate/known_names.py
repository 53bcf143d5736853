"""Names that earlier layouts have, for a quick look. Made by `names_source`; a test compares.

A name found here says only that the catalogue should be asked; content decides.
"""

import os

NAMES = {
    "a": [
        "ai-orchestrator.log",
        "config/agents.yaml",
        "logs/ai-orchestrator.log",
    ],
    "b": [
        "config/orchestrator-config.local.yaml",
        "config/orchestrator-config.yaml",
        "data/orchestrator.db",
    ],
    "c": [
        ".task-manager",
        ".task-manager-backup",
    ],
    "plain": [
        ".orch_secrets",
    ],
    "w-inside": [
        ".orchestrator/.migration_complete",
        ".orchestrator/audit.jsonl",
        ".orchestrator/current",
        ".orchestrator/events.jsonl",
        ".orchestrator/feedback",
        ".orchestrator/prd",
        ".orchestrator/state.json",
        ".orchestrator/v3",
    ],
    "w": [
        ".claude/prd_state.json",
        ".orchestra.yaml",
        ".wfo_logs",
        ".workflow_approvals.db",
        ".workflow_checkpoints",
        ".workflow_feedback.jsonl",
        ".workflow_log.jsonl",
        ".workflow_process_feedback.jsonl",
        ".workflow_sessions",
        ".workflow_state.json",
        ".workflow_tool_feedback.jsonl",
    ],
}

READ_IN_PLACE = frozenset({"w", "w-inside"})
"""The layouts whose state commands that read find in its old place."""


def any_found(root: str, *, read_in_place: bool = False) -> bool:
    """Returns whether any of the names stands in `root`; of those layouts alone whose state is read there."""
    return any(
        os.path.lexists(os.path.join(root, name))
        for layout, known in NAMES.items()
        if not read_in_place or layout in READ_IN_PLACE
        for name in known
    )
