"""The newest runs, for shell completion: quick, silent, changes nothing."""

from __future__ import annotations

import os

from orchestrator.cli.quick_status import is_plainly_ours
from orchestrator.discovery import locate
from orchestrator.errors import OrchestratorError
from orchestrator.paths import names
from orchestrator.sessions.finding import session_names
from orchestrator.state.peek import peek

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.state.peek import Glance


def recent_runs(start: str = ".", limit: int = 50) -> list[tuple[str, str]]:
    """Returns ids and first lines of tasks, newest first; empty where there is nothing to read."""
    try:
        directory = locate(start).orchestrator_dir
        if not is_plainly_ours(directory):
            return []
        sessions = os.path.join(directory, names.SESSIONS)
        states = [os.path.join(sessions, name) for name in session_names(sessions)]
        glances = [_peek(os.path.join(state, names.STATE), limit) for state in (directory, *states)]
    except (OrchestratorError, OSError):
        return []
    found = [run for glance in glances for run in (glance["runs"] if glance is not None else ())]
    found.sort(key=lambda run: run["created_at"], reverse=True)
    return [(run["id"], " ".join(run["task"].split())[:60]) for run in found[:limit]]


def _peek(state_file: str, limit: int) -> Glance | None:
    return peek(state_file, None, limit) if os.path.lexists(state_file) else None
