"""How far the migrations recorded in a checkout are. Standard library only, for the front door."""

from __future__ import annotations

import os

from orchestrator.paths import names

PLAN = "plan.json"
JOURNAL = "journal.jsonl"
_LIMIT_BYTES = 16 * 1024 * 1024


ENDS = frozenset({"completed", "rolled-back", "finalized"})
"""The events of a journal after which a migration has ended."""

BEGINNINGS = frozenset({"begun", "rollback-begun", "finalize-begun"})
"""The events after which it has not."""


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
    import json

    ended, journal = False, os.path.join(directory, JOURNAL)
    try:
        if os.path.getsize(journal) > _LIMIT_BYTES:
            return False
        with open(journal, "rb") as file:
            for line in file:
                event = json.loads(line)["event"]
                ended = event in ENDS or (ended and event not in BEGINNINGS)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return ended
