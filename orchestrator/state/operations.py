"""Operations: the user's decisions, journaled before their first effect, to be settled and undone."""

from __future__ import annotations

from orchestrator.errors import Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import OperationId, RunId, new_id
from orchestrator.model.json import JsonObject
from orchestrator.model.record import OPERATION_TRANSITIONS, Operation, OperationKind, OperationStatus
from orchestrator.state import codec, rows
from orchestrator.state.database import Database, Parameters
from orchestrator.state.events import EventLog, illegal


class Operations:
    """The table of operations."""

    def __init__(self, database: Database, events: EventLog) -> None:
        self._database = database
        self._events = events

    def begin(self, kind: OperationKind, run_id: RunId | None, worktree: str, facts: JsonObject) -> Operation:
        """Adds an intended operation, with its event."""
        operation = Operation(
            OperationId(new_id("op")),
            kind,
            run_id,
            worktree,
            OperationStatus.INTENDED,
            facts,
            codec.now(),
            None,
        )
        self.insert(operation)
        self._events.append(run_id, EventKind.OPERATION_STARTED, _told(operation.id, kind, operation.status))
        return operation

    def insert(self, operation: Operation) -> None:
        """Adds an operation without an event."""
        self._database.run(
            "INSERT INTO operations (id, kind, run_id, worktree, status, facts, created_at, completed_at)"
            " VALUES (?, ?, ?, CAST(? AS TEXT), ?, ?, ?, ?)",
            (
                operation.id,
                str(operation.kind),
                operation.run_id,
                codec.bindable(operation.worktree),
                str(operation.status),
                codec.dump_object(operation.facts),
                codec.stamp(operation.created_at),
                codec.stamp_or_none(operation.completed_at),
            ),
        )

    def update(
        self, operation_id: OperationId, status: OperationStatus, facts: JsonObject | None
    ) -> Operation:
        """Changes the status, with its event, or (same status) only the journal; returns the operation.

        Raises:
            Refused: `unknown-operation` or `illegal-transition`.
        """
        known = self._found("WHERE id = ?", (operation_id,))
        if not known:
            raise Refused(
                f"There is no operation {operation_id!r}.",
                code="unknown-operation",
                hint="List them with: orchestrator ops",
            )
        old = known[0].status
        if status is not old and status not in OPERATION_TRANSITIONS[old]:
            raise illegal(f"Operation {operation_id}", old, status)
        journal = codec.dump_object(known[0].facts if facts is None else facts)
        completed = None if status is OperationStatus.INTENDED else codec.stamp(codec.now())
        self._database.run(
            "UPDATE operations SET status = ?, facts = ?, completed_at = ? WHERE id = ?",
            (str(status), journal, completed, operation_id),
        )
        if status is not old:
            told = _told(operation_id, known[0].kind, status)
            self._events.append(known[0].run_id, EventKind.OPERATION_FINISHED, told)
        return self._found("WHERE id = ?", (operation_id,))[0]

    def listed(self, worktree: str | None, limit: int | None) -> list[Operation]:
        """Returns operations, newest first."""
        where = "" if worktree is None else "WHERE worktree = CAST(? AS TEXT)"
        parameters = [] if worktree is None else [codec.bindable(worktree)]
        return self._found(
            f"{where} ORDER BY number DESC LIMIT ?", [*parameters, -1 if limit is None else limit]
        )

    def of_run(self, run_id: RunId) -> list[Operation]:
        """Returns the operations on a run, oldest first."""
        return self._found("WHERE run_id = ? ORDER BY number", (run_id,))

    def intended(self) -> list[Operation]:
        """Returns the operations that were begun and not finished, oldest first."""
        return self._found("WHERE status = 'intended' ORDER BY number", ())

    def _found(self, tail: str, parameters: Parameters) -> list[Operation]:
        found = self._database.all(f"SELECT {rows.OPERATION} FROM operations {tail}", parameters)
        return rows.read(self._database, rows.operation, found)


def _told(operation_id: OperationId, kind: OperationKind, status: OperationStatus) -> dict[str, str]:
    return {"operation_id": operation_id, "operation": str(kind), "status": str(status)}
