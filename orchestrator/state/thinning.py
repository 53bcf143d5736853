"""Takes rows of archived runs out of the state, and gives their room back to the disk.

Events stay: each is chained to the one before, so that nobody can take one out unseen. So do operations,
which tell what a person decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestrator.fs.effects import announce
from orchestrator.model.event import EventKind, PastEvent
from orchestrator.model.ids import RunId
from orchestrator.model.json import Json, JsonObject
from orchestrator.paths import OrchestratorPaths
from orchestrator.redaction.redactor import Redactor
from orchestrator.state import opening
from orchestrator.state.database import Database
from orchestrator.state.events import EventLog
from orchestrator.state.manager import StateManager
from orchestrator.state.pen import Pen

_TABLES = ("findings", "artifacts", "manual_interventions", "executions", "phases")
"""Rows of a run, those that refer to others before those that are referred to."""


class Thinning:
    """A connection of its own that removes rows; `close` it, or use it as a context manager.

    Each verb is one transaction; the caller holds the lock of the run.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pen = Pen(Redactor())  # what is written are names of refs and files of ours
        self._events = EventLog(database, self._pen)

    @classmethod
    def open(cls, paths: OrchestratorPaths) -> Thinning:
        """Opens the state of `paths`, which must exist.

        Raises:
            Refused: `state-missing`, `state-unsafe`, `state-foreign` or `state-newer`.
        """
        return cls(opening.open_to_write(paths, create=False))

    def __enter__(self) -> Thinning:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def forget_run(self, run_id: RunId, ref: str) -> None:
        """Removes a run that `ref` keeps, with everything about it but events and operations."""
        with self._database.transaction():
            self._events.append(run_id, EventKind.RUN_ARCHIVED, {"ref": ref})
            for table in _TABLES:
                self._database.run(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
            self._database.run("DELETE FROM runs WHERE id = ?", (run_id,))

    def note_packed(self, run_id: RunId, old: str, new: str) -> None:
        """Records that an artifact has another path now; size and hash stay those of its content."""
        with self._database.transaction():
            self._database.run(
                "UPDATE artifacts SET path = CAST(? AS TEXT) WHERE run_id = ? AND path = CAST(? AS TEXT)",
                (self._pen.text(new), run_id, self._pen.text(old)),
            )

    def forget_artifacts(self, run_id: RunId) -> None:
        """Removes what is recorded of a run's artifacts; the events tell that there were some."""
        with self._database.transaction():
            self._database.run("DELETE FROM artifacts WHERE run_id = ?", (run_id,))

    def compact(self) -> None:
        """Gives the room of removed rows back to the disk; waits for a writer, and keeps others waiting."""
        announce(f"compact {self._database.path}")
        self._database.execute("VACUUM")
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def known_operations(self, run_id: RunId) -> frozenset[str]:
        """Returns the ids of a run's operations."""
        found = self._database.all("SELECT id FROM operations WHERE run_id = ?", (run_id,))
        return frozenset(str(row[0]) for row in found)

    def has_events(self, run_id: RunId) -> bool:
        """Returns whether something is recorded of a run, be it archived or not."""
        return self._database.one("SELECT 1 FROM events WHERE run_id = ? LIMIT 1", (run_id,)) is not None


def bring_back(paths: OrchestratorPaths, state: StateManager, document: JsonObject, events: Json) -> bool:
    """Returns whether a run came back into `state` from what the archive holds; False: it is there already.

    Nobody vouches for the archive: what it says is checked as a whole. Its events come back only where this
    state has none of the run.

    Raises:
        Refused: as `StateManager.recover_run`.
    """
    run = document.get("run")
    run_id = RunId(str(run.get("id"))) if isinstance(run, dict) else RunId("")
    with Thinning.open(paths) as thinning:
        known, has_events = thinning.known_operations(run_id), thinning.has_events(run_id)
    operations = document.get("operations")
    listed = operations if isinstance(operations, list) else []
    fresh = [each for each in listed if not (isinstance(each, dict) and each.get("id") in known)]
    past = () if has_events else _past(events)
    return state.recover_run({**document, "operations": fresh}, past=past)


def _past(events: Json) -> Sequence[PastEvent]:
    """Returns the events of an archive, without those that are none."""
    found = []
    for each in events if isinstance(events, list) else ():
        if not isinstance(each, dict):
            continue
        kind, data = str(each.get("kind")), each.get("data")
        try:
            at = datetime.fromisoformat(str(each.get("at")).replace("Z", "+00:00"))
            if at.tzinfo is not None and isinstance(data, dict):
                found.append(PastEvent(at, EventKind(kind), data))
        except ValueError:
            continue
    return found
