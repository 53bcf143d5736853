"""Writes files as workflow-orchestrator and its like left them: real formats, made-up contents."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from orchestrator.takeover.original import Original

WORKFLOW = "wf_c7f12380"
RUN = "w-c7f12380"
CREATED = "2026-01-07T04:27:48.406480Z"

PHASES = ("PLAN", "EXECUTE", "REVIEW", "VERIFY", "LEARN")


def an_item(name: str, status: str, **facts: object) -> dict[str, object]:
    """Returns the state of one checklist item."""
    at = "2026-01-07T04:28:08.335125Z"
    return {
        "id": name,
        "status": status,
        "started_at": None,
        "completed_at": at if status == "completed" else None,
        "skipped_at": at if status == "skipped" else None,
        "skip_reason": "not applicable" if status == "skipped" else None,
        "notes": f"did {name}" if status == "completed" else None,
        "verification_result": None,
        "retry_count": 0,
        **facts,
    }


def a_state(
    *, at_phase: str = "EXECUTE", status: str = "active", workflow_id: str = WORKFLOW
) -> dict[str, object]:
    """Returns `.workflow_state.json` of a workflow that is in one of its five phases."""
    reached = PHASES.index(at_phase) if status == "active" else len(PHASES)
    phases = {}
    for position, name in enumerate(PHASES):
        standing = "completed" if position < reached else "active" if position == reached else "pending"
        done = "completed" if position < reached else "pending"
        phases[name] = {
            "id": name,
            "status": standing,
            "started_at": f"2026-01-07T04:{28 + position}:00.000000Z" if standing != "pending" else None,
            "completed_at": f"2026-01-07T04:{29 + position}:00.000000Z" if done == "completed" else None,
            "items": {
                f"{name.lower()}_work": an_item(f"{name.lower()}_work", done, retry_count=position),
                f"{name.lower()}_tests": an_item(
                    f"{name.lower()}_tests", done, verification_result=_result(name, done)
                ),
            },
        }
    return {
        "workflow_id": workflow_id,
        "workflow_type": "General Development Workflow",
        "workflow_version": "2.1",
        "task_description": "Teach app.py to say good",
        "project": None,
        "status": status,
        "current_phase_id": at_phase,
        "phases": phases,
        "created_at": CREATED,
        "updated_at": "2026-01-07T04:45:13.746202Z",
        "completed_at": "2026-01-07T04:45:13.746202Z" if status == "completed" else None,
        "metadata": {"workflow_yaml_path": "/home/user/project/workflow.yaml"},
        "workflow_definition": a_definition(),
    }


def a_definition() -> dict[str, object]:
    """Returns the definition that W embeds in its state."""
    return {
        "name": "General Development Workflow",
        "version": "2.1",
        "description": "Five phases.",
        "phases": [
            {
                "id": name,
                "name": f"{name.title()} the work",
                "description": f"What {name} is about.",
                "agent": None,
                "items": [
                    {
                        "id": f"{name.lower()}_work",
                        "name": f"{name.title()} it",
                        "description": "Do the work.",
                    },
                    {
                        "id": f"{name.lower()}_tests",
                        "name": "Test it",
                        "verification": {"type": "command", "command": "make test", "expect_exit_code": 0},
                    },
                ],
                "exit_gate": "human_approval",
            }
            for name in PHASES
        ],
        "settings": {},
    }


def _result(name: str, done: str) -> dict[str, object] | None:
    if done != "completed":
        return None
    return {
        "type": "command",
        "timestamp": "2026-01-07T04:40:40.734164+00:00",
        "command": "python -m pytest",
        "exit_code": 0 if name != "EXECUTE" else 1,
        "stdout": "a secret: hunter2",
        "stderr": "",
    }


def an_event(kind: str, message: str, **facts: object) -> dict[str, object]:
    """Returns a line of `.workflow_log.jsonl`."""
    return {
        "timestamp": "2026-01-07T04:28:00.000000Z",
        "event_type": kind,
        "workflow_id": WORKFLOW,
        "phase_id": None,
        "item_id": None,
        "message": message,
        "details": {},
        "actor": "system",
        **facts,
    }


def a_log() -> list[dict[str, object]]:
    """Returns the log of the workflow, and of one before it whose state W has overwritten since."""
    old = {"workflow_id": "wf_0ld0ld00", "timestamp": "2026-01-05T10:00:00.000000Z"}
    return [
        an_event("workflow_started", "Started workflow: An older task", **old),
        an_event("phase_started", "Started phase: Planning & Scoping", phase_id="PLAN", **old),
        an_event("workflow_completed", "Workflow completed", **old),
        an_event("workflow_started", "Started workflow: Teach app.py to say good"),
        an_event("phase_started", "Started phase: Planning", phase_id="PLAN"),
        an_event(
            "item_completed", "Completed plan_work", phase_id="PLAN", item_id="plan_work", actor="claude"
        ),
        an_event("note_added", "Remember the milk", actor="human"),
        an_event("human_override", "Skipped the gate", actor="human"),
        an_event("verification_failed", "tests fail", phase_id="EXECUTE", item_id="execute_tests"),
    ]


def a_checkpoint() -> dict[str, object]:
    """Returns a `cp_*.json` with a snapshot from before the state was written last."""
    snapshot = {**a_state(at_phase="PLAN"), "updated_at": "2026-01-07T04:30:00.000000Z"}
    return {
        "checkpoint_id": "cp_20260107_043001_bddea0",
        "workflow_id": WORKFLOW,
        "phase_id": "PLAN",
        "item_id": None,
        "timestamp": "2026-01-07T04:30:01.819856+00:00",
        "message": "Plan is ready",
        "context_summary": "Progress: 2/10 items completed",
        "key_decisions": ["Keep it small"],
        "file_manifest": ["app.py"],
        "workflow_state_snapshot": snapshot,
    }


def a_task_list() -> dict[str, object]:
    """Returns V3's `.orchestrator/state.json`."""
    return {
        "tasks": {
            "task-c70dce7e": {
                "agent_id": "agent-001",
                "phase": "PLAN",
                "claimed_at": "2026-01-12T08:58:08.346200+00:00",
                "transitions": [],
                "completed_at": "2026-01-12T08:58:22.034921+00:00",
            },
            "task-be26c540": {
                "agent_id": "agent-002",
                "phase": "TDD",
                "claimed_at": "2026-01-12T08:58:09.449591+00:00",
                "transitions": [],
            },
        }
    }


def a_tool_use() -> dict[str, object]:
    """Returns a line of V3's `audit.jsonl`."""
    return {
        "timestamp": "2026-01-12T08:58:09.029714+00:00",
        "task_id": "task-c70dce7e",
        "phase": "PLAN",
        "tool_name": "read_files",
        "args": {"path": ".env"},
        "result": {"content": "API_KEY=hunter2"},
        "duration_ms": 0.57,
        "success": True,
        "error": None,
    }


def write_json(path: Path, document: object) -> Path:
    """Writes a JSON document, with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2))
    return path


def write_lines(path: Path, documents: list[dict[str, object]]) -> Path:
    """Writes a `.jsonl` file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def write_approvals(path: Path, rows: list[tuple[object, ...]] | None = None) -> Path:
    """Writes `.workflow_approvals.db` with W's table; three requests unless rows are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE approvals (id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, phase TEXT NOT NULL,"
            " operation TEXT NOT NULL, risk_level TEXT NOT NULL, context TEXT, status TEXT NOT NULL,"
            " created_at TEXT NOT NULL, decided_at TEXT, decision_reason TEXT, last_heartbeat TEXT)"
        )
        at = "2026-01-07T04:35:00+00:00"
        given = rows or [
            (
                "task-1-aa",
                "task-1",
                "EXECUTE",
                "Change setup.py",
                "high",
                "{}",
                "pending",
                at,
                None,
                None,
                at,
            ),
            ("task-1-bb", "task-1", "PLAN", "Read files", "low", "{}", "approved", at, at, "fine", at),
            ("task-2-cc", "task-2", "PLAN", "Push", "critical", "{}", "rejected", at, at, "never", at),
        ]
        connection.executemany("INSERT INTO approvals VALUES (?,?,?,?,?,?,?,?,?,?,?)", given)
        connection.commit()
    return path


def originals(place: Path, files: Mapping[str, str]) -> list[Original]:
    """Returns the originals that lie under `place` by the path they had; `files` maps those to kinds."""
    return [Original("w", kind, source, place / source) for source, kind in files.items()]


def write_everything(place: Path) -> list[Original]:
    """Writes one of each of W's files below `place` and returns them as originals."""
    write_json(place / ".workflow_state.json", a_state())
    write_lines(place / ".workflow_log.jsonl", a_log())
    write_json(place / ".workflow_checkpoints/cp_20260107_043001_bddea0.json", a_checkpoint())
    write_approvals(place / ".workflow_approvals.db")
    write_json(place / ".orchestrator/state.json", a_task_list())
    write_lines(place / ".orchestrator/audit.jsonl", [a_tool_use()])
    learned: dict[str, object] = {
        "timestamp": CREATED,
        "workflow_id": WORKFLOW,
        "task": "x",
        "learnings": "Tests come first",
    }
    write_lines(place / ".workflow_process_feedback.jsonl", [learned])
    (place / ".orchestrator.yaml").write_text(
        'test_command: "pytest -q"\nbuild_command: "make | tee log"\nodd: 1\n'
    )
    return originals(
        place,
        {
            ".workflow_state.json": "state",
            ".workflow_log.jsonl": "log",
            ".workflow_checkpoints": "checkpoint",
            ".workflow_approvals.db": "database",
            ".workflow_approvals.db-wal": "database",
            ".orchestrator/state.json": "state",
            ".orchestrator/audit.jsonl": "log",
            ".workflow_process_feedback.jsonl": "feedback",
            ".orchestrator.yaml": "config",
        },
    )
