"""Says whether our database holds nothing but what was made of an earlier tool's files."""

from __future__ import annotations

import os

from orchestrator.errors import DiskFailed, Refused, StateDamaged
from orchestrator.model.event import EventKind
from orchestrator.model.record import OperationKind
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.state.manager import StateManager

_OF_OPERATIONS = (EventKind.OPERATION_STARTED, EventKind.OPERATION_FINISHED)


def derived_state(paths: OrchestratorPaths) -> tuple[str, ...]:
    """Returns the names of the database's files in `.orchestrator/` if losing it loses nothing, else none.

    That is so while every run in it is as it was imported, and no operation in it is anything but a
    migration: taking over the same files again gives the same runs. In doubt it is not so. Changes nothing.
    """
    files = (*names.STATE_FILES, names.PLACE)
    if not os.path.lexists(paths.state_file):
        return files
    try:
        with StateManager.open_read_only(paths, copied=True) as state:
            return files if _holds_only_imports(state) else ()
    except Refused as refusal:
        return files if refusal.code == "state-missing" else ()  # its making was cut off by a kill
    except (DiskFailed, StateDamaged):
        return ()


def _holds_only_imports(state: StateManager) -> bool:
    """Returns whether nothing happened since the imports; whatever changes a run adds an event to it."""
    return (
        all(one.kind is OperationKind.MIGRATE for one in state.get_operations())
        and all(one.kind in _OF_OPERATIONS for one in state.events(None))
        and all(state.events(run.id)[-1].kind is EventKind.RUN_IMPORTED for run in state.list_runs())
    )
