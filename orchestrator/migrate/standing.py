"""How far the migrations recorded in a checkout are. Standard library only, for the front door."""

from __future__ import annotations

import json
import os
from enum import StrEnum

from orchestrator.paths import names

PLAN = "plan.json"
JOURNAL = "journal.jsonl"
_LIMIT_BYTES = 16 * 1024 * 1024


class State(StrEnum):
    """How far a migration is."""

    APPLYING = "applying"
    COMPLETED = "completed"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"
    FINALIZING = "finalizing"
    FINALIZED = "finalized"


STATES: dict[str, State] = {
    "begun": State.APPLYING,
    "completed": State.COMPLETED,
    "rollback-begun": State.ROLLING_BACK,
    "rolled-back": State.ROLLED_BACK,
    "finalize-begun": State.FINALIZING,
    "finalized": State.FINALIZED,
}
"""The events of a journal after which a migration is in another state."""

OPEN = (State.APPLYING, State.ROLLING_BACK, State.FINALIZING)
"""The states of a migration that was interrupted, unless a process is just at work on it."""


def all_ended(root: str) -> bool:
    """Returns whether every migration recorded in a checkout has plainly ended.

    False means that its record has to be read: it was interrupted, or its journal is not what we write.
    """
    inside = os.path.join(root, names.DIRECTORY)
    base = os.path.join(inside, names.MIGRATIONS)
    if os.path.islink(inside) or os.path.islink(base):
        return True  # not followed, so nothing is recorded
    try:
        recorded = [os.path.join(base, name) for name in os.listdir(base)]
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return all(_has_ended(place) for place in recorded if os.path.isfile(os.path.join(place, PLAN)))


def _has_ended(directory: str) -> bool:
    state = None
    try:
        if os.path.getsize(os.path.join(directory, JOURNAL)) > _LIMIT_BYTES:
            return False
        with open(os.path.join(directory, JOURNAL), "rb") as file:
            for line in file:
                state = STATES.get(json.loads(line)["event"], state)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return state is not None and state not in OPEN
