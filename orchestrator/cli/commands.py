"""The table of commands: name, one line of help, and the module that is imported when it is called."""

from __future__ import annotations

COMMANDS = {
    "init": "Create .orchestrator/ here and write a workflow.yaml to start from.",
    "deinit": "Take orchestrator out of this repository again.",
    "run": "Let agents work on a task in an isolated tree, check it, and leave a branch.",
    "resume": "Go on with an interrupted, failed or waiting run.",
    "plan": "Show the phases in which a task would be worked on; change nothing.",
    "status": "Show problems first, then runs.",
    "log": "Show what happened in a run, in order.",
    "diff": "Show what a run changed.",
    "findings": "Show what the checks complained about.",
    "report": "Show a run's report in Markdown.",
    "checkpoints": "List a run's checkpoints, newest first.",
    "restore": "Write a checkpoint's files into a new directory; bring back an archived run.",
    "merge": "Merge a run's result into the current branch.",
    "discard": "Drop a run's branch and trees; a checkpoint stays.",
    "cancel": "Stop a run; what it reached is kept.",
    "undo": "Take back the last merge, discard or cancel here.",
    "ops": "List what can be undone.",
    "interventions": "List what needs a person.",
    "resolve": "Answer something that needed a person.",
    "verify": "Run the checks on the working tree as it is.",
    "prune": "Make room: remove what ended runs left, archive old ones in git.",
    "migrate": "Take over what earlier orchestrators left; show it first, take it back later.",
    "sessions": "List, show, rename, bring back and prune the states that machines left.",
    "bundle": "Take a run along as one file, and bring it back elsewhere.",
    "doctor": "Look for problems and say how to fix each.",
    "config": "Show, check and explain the configuration.",
    "agents": "List agents, their versions and health.",
    "secrets": "Keep keys for agents, encrypted; see where each comes from.",
    "trust": "Approve the commands that this repository's configuration would run.",
}
"""In the order in which `--help` shows them."""

GROUPS = frozenset({"config", "agents", "secrets", "sessions", "bundle"})
"""Commands that have commands of their own."""

LATER = frozenset(
    {"migrate", "approvals", "approve", "reject", "index"}
    | {"search", "why", "compare", "chat", "serve", "worker", "mcp"}
)
"""Commands of versions to come: refused as such, never taken for a misspelling."""


def module_name(command: str) -> str:
    """Returns the module that holds a command."""
    return f"orchestrator.cli.{command}"
