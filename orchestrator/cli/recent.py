"""The newest runs, for shell completion: quick, silent, changes nothing."""

from __future__ import annotations

import os

from orchestrator.cli.quick_status import is_plainly_ours
from orchestrator.discovery import locate
from orchestrator.errors import OrchestratorError
from orchestrator.paths import names
from orchestrator.state.peek import peek


def recent_runs(start: str = ".", limit: int = 50) -> list[tuple[str, str]]:
    """Returns ids and first lines of tasks, newest first; empty where there is nothing to read."""
    try:
        directory = locate(start).orchestrator_dir
        glance = (
            peek(os.path.join(directory, names.STATE), None, limit) if is_plainly_ours(directory) else None
        )
    except (OrchestratorError, OSError):
        return []
    if glance is None:
        return []
    return [(run["id"], " ".join(run["task"].split())[:60]) for run in glance["runs"]]
