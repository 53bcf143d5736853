"""Phases: the pieces of a run's plan and where each stands."""

from __future__ import annotations

from orchestrator.errors import Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import PhaseId, RunId
from orchestrator.model.plan import Plan
from orchestrator.model.run import PHASE_TRANSITIONS, Phase, PhaseStatus
from orchestrator.state import codec, rows
from orchestrator.state.database import Database
from orchestrator.state.events import EventLog, illegal
from orchestrator.state.pen import Pen

_ENDED = frozenset({PhaseStatus.COMPLETED, PhaseStatus.FAILED, PhaseStatus.SKIPPED})
_KINDS = {
    PhaseStatus.IN_PROGRESS: EventKind.PHASE_STARTED,
    PhaseStatus.WAITING: EventKind.PHASE_WAITING,
}


class Phases:
    """The table of phases."""

    def __init__(self, database: Database, events: EventLog, pen: Pen) -> None:
        self._database = database
        self._events = events
        self._pen = pen

    def create(self, run_id: RunId, plan: Plan, max_retries: int) -> tuple[Phase, ...]:
        """Adds the phases of a plan behind those the run has, with one event that shows the plan.

        Raises:
            Refused: `unknown-run`, or `state-conflict` when the run has a phase of that id.
        """
        row = self._database.one("SELECT count(*) FROM phases WHERE run_id = ?", (run_id,))
        first, at = (row[0] if row else 0), codec.now()
        phases = tuple(
            Phase(run_id, position, planned, PhaseStatus.PENDING, 0, max_retries, at, None, None)
            for position, planned in enumerate(plan.phases, first)
        )
        shown = [
            {"id": phase.id, "name": phase.plan.name, "dependencies": list(phase.plan.dependencies)}
            for phase in phases
        ]
        self._events.append(run_id, EventKind.PLAN_READY, {"phases": shown})
        for phase in phases:
            self.insert(phase)
        return phases

    def insert(self, phase: Phase) -> None:
        """Adds a phase without an event."""
        plan = phase.plan
        self._database.run(
            "INSERT INTO phases"
            " VALUES (?, ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                phase.run_id,
                plan.id,
                phase.position,
                self._pen.text(plan.name),
                self._pen.text(plan.description),
                str(phase.status),
                codec.dump_list(plan.dependencies),
                str(plan.estimated_complexity),
                str(plan.risk_level),
                self._pen.texts(plan.verification_criteria),
                phase.retries,
                phase.max_retries,
                codec.stamp(phase.created_at),
                codec.stamp_or_none(phase.started_at),
                codec.stamp_or_none(phase.completed_at),
            ),
        )

    def change_status(
        self, run_id: RunId, phase_id: PhaseId, status: PhaseStatus, retries: int | None
    ) -> None:
        """Changes the status and the times that go with it, with its event; `retries` alone has no event.

        Raises:
            Refused: `unknown-phase` or `illegal-transition`.
        """
        row = self._database.one(
            "SELECT status, started_at, retries FROM phases WHERE run_id = ? AND id = ?", (run_id, phase_id)
        )
        if row is None:
            raise unknown_phase(run_id, phase_id)
        old, count = PhaseStatus(row[0]), row[2] if retries is None else retries
        only_retries = status is old and retries is not None
        if not only_retries and status not in PHASE_TRANSITIONS[old]:
            raise illegal(f"Phase {phase_id} of run {run_id}", old, status)
        stamp = codec.stamp(codec.now())
        started = row[1] or (stamp if status is not PhaseStatus.SKIPPED else None)
        if only_retries:
            self._database.run(
                "UPDATE phases SET retries = ? WHERE run_id = ? AND id = ?", (count, run_id, phase_id)
            )
            return
        self._database.run(
            "UPDATE phases SET status = ?, started_at = ?, completed_at = ?, retries = ?"
            " WHERE run_id = ? AND id = ?",
            (str(status), started, stamp if status in _ENDED else None, count, run_id, phase_id),
        )
        kind = _KINDS.get(status, EventKind.PHASE_FINISHED)
        self._events.append(run_id, kind, {"phase_id": phase_id, "status": str(status), "retries": count})

    def of_run(self, run_id: RunId) -> list[Phase]:
        """Returns the phases of a run in the order of its plan."""
        found = self._database.all(
            f"SELECT {rows.PHASE} FROM phases WHERE run_id = ? ORDER BY position", (run_id,)
        )
        return rows.read(self._database, rows.phase, found)


def unknown_phase(run_id: str, phase_id: str) -> Refused:
    """Returns the error for a phase id that names no phase of the run."""
    return Refused(
        f"Run {run_id} has no phase {phase_id!r}.",
        code="unknown-phase",
        hint=f"List them with: orchestrator status {run_id}",
    )
