"""Executions: the attempts of a phase, how far each has come and how it ended."""

from __future__ import annotations

from orchestrator.errors import Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import ExecutionId, PhaseId, RunId, new_id
from orchestrator.model.json import Json, JsonObject
from orchestrator.model.run import Execution, ExecutionProgress, ExecutionStatus
from orchestrator.state import codec, rows
from orchestrator.state.database import Database
from orchestrator.state.events import EventLog, illegal
from orchestrator.state.pen import Pen
from orchestrator.state.phases import unknown_phase


class Executions:
    """The table of executions."""

    def __init__(self, database: Database, events: EventLog, pen: Pen) -> None:
        self._database = database
        self._events = events
        self._pen = pen
        self._places: dict[str, tuple[RunId, PhaseId, int]] = {}

    def create(self, run_id: RunId, phase_id: PhaseId, attempt: int) -> Execution:
        """Adds a running attempt, with its event.

        Raises:
            Refused: `unknown-phase`, or `execution-exists` when that attempt was begun before.
        """
        if not self._database.one("SELECT 1 FROM phases WHERE run_id = ? AND id = ?", (run_id, phase_id)):
            raise unknown_phase(run_id, phase_id)
        if self._database.one(
            "SELECT 1 FROM executions WHERE run_id = ? AND phase_id = ? AND attempt_number = ?",
            (run_id, phase_id, attempt),
        ):
            raise Refused(
                f"Attempt {attempt} of phase {phase_id} in run {run_id} was begun before.",
                code="execution-exists",
            )
        execution = Execution(
            ExecutionId(new_id("execution")),
            run_id,
            phase_id,
            attempt,
            ExecutionStatus.RUNNING,
            None,
            codec.now(),
            None,
            ExecutionProgress(),
        )
        self.insert(execution)
        self._events.append(run_id, EventKind.EXECUTION_STARTED, _named(execution.id, phase_id, attempt))
        return execution

    def insert(self, execution: Execution) -> None:
        """Adds an execution without an event."""
        error = execution.error
        self._database.run(
            "INSERT INTO executions VALUES (?, ?, ?, ?, ?, CAST(? AS TEXT), ?, ?, ?)",
            (
                execution.id,
                execution.run_id,
                execution.phase_id,
                execution.attempt,
                str(execution.status),
                self._pen.text_or_none(error),
                codec.stamp(execution.created_at),
                codec.stamp_or_none(execution.completed_at),
                self._pen.execution_progress(execution.progress),
            ),
        )

    def set_progress(
        self,
        execution_id: ExecutionId,
        progress: ExecutionProgress,
        event: EventKind | None,
        data: JsonObject,
        duration_ms: float | None,
    ) -> None:
        """Replaces the progress of a running attempt, optionally with an event.

        Raises:
            Refused: `unknown-execution`, or `illegal-transition` when it has ended.
        """
        run_id, phase_id, attempt = self._place(execution_id)
        changed = self._database.run(
            "UPDATE executions SET progress = ? WHERE id = ? AND status = 'running'",
            (self._pen.execution_progress(progress), execution_id),
        )
        if not changed:
            raise self._ended(execution_id, ExecutionStatus.RUNNING)
        if event is not None:
            facts = {**_named(execution_id, phase_id, attempt), **data}
            self._events.append(run_id, event, facts, duration_ms=duration_ms)

    def end(self, execution_id: ExecutionId, status: ExecutionStatus, error: str | None) -> None:
        """Ends a running attempt, with its event.

        Raises:
            Refused: `unknown-execution`, or `illegal-transition` when it has ended.
        """
        run_id, phase_id, attempt = self._place(execution_id)
        changed = self._database.run(
            "UPDATE executions SET status = ?, error = CAST(? AS TEXT), completed_at = ?"
            " WHERE id = ? AND status = 'running'",
            (
                str(status),
                self._pen.text_or_none(error),
                codec.stamp(codec.now()),
                execution_id,
            ),
        )
        if not changed:
            raise self._ended(execution_id, status)
        facts = {**_named(execution_id, phase_id, attempt), "status": str(status), "error": error}
        self._events.append(run_id, EventKind.EXECUTION_FINISHED, facts)

    def of_run(self, run_id: RunId, phase_id: PhaseId | None) -> list[Execution]:
        """Returns the attempts of a run, or of one of its phases, in the order they were begun."""
        where, parameters = ("AND phase_id = ?", [phase_id]) if phase_id is not None else ("", [])
        found = self._database.all(
            f"SELECT {rows.EXECUTION} FROM executions WHERE run_id = ? {where} ORDER BY rowid",
            [run_id, *parameters],
        )
        return rows.read(self._database, rows.execution, found)

    def _place(self, execution_id: ExecutionId) -> tuple[RunId, PhaseId, int]:
        place = self._places.get(execution_id)
        if place is None:
            row = self._database.one(
                "SELECT run_id, phase_id, attempt_number FROM executions WHERE id = ?", (execution_id,)
            )
            if row is None:
                raise Refused(f"There is no execution {execution_id!r}.", code="unknown-execution")
            place = self._places[execution_id] = (RunId(row[0]), PhaseId(row[1]), row[2])
        return place

    def _ended(self, execution_id: ExecutionId, wanted: ExecutionStatus) -> Refused:
        row = self._database.one("SELECT status FROM executions WHERE id = ?", (execution_id,))
        return illegal(f"Execution {execution_id}", row[0] if row else "gone", wanted)


def _named(execution_id: ExecutionId, phase_id: PhaseId, attempt: int) -> dict[str, Json]:
    return {"execution_id": execution_id, "phase_id": phase_id, "attempt": attempt}
