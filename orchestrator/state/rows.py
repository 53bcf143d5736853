"""Turns rows into values of the model; each list of columns stands beside the function that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from orchestrator.errors import StateDamaged
from orchestrator.model.event import Event, EventKind
from orchestrator.model.finding import Category, Finding, RecordedFinding, Severity
from orchestrator.model.ids import ExecutionId, FindingId, InterventionId, OperationId, PhaseId, RunId
from orchestrator.model.plan import Level, PlannedPhase
from orchestrator.model.record import (
    Artifact,
    InterventionStatus,
    ManualIntervention,
    Operation,
    OperationKind,
    OperationStatus,
)
from orchestrator.model.run import (
    Execution,
    ExecutionProgress,
    ExecutionStatus,
    Phase,
    PhaseStatus,
    Run,
    RunMetadata,
    RunProgress,
    RunStatus,
)
from orchestrator.state import codec
from orchestrator.state.database import Database, Row

T = TypeVar("T")


def read(database: Database, make: Callable[[Row], T], rows: Iterable[Row]) -> list[T]:
    """Returns what `make` makes of each row.

    Raises:
        StateDamaged: a row holds what this program never writes.
    """
    try:
        return [make(row) for row in rows]
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StateDamaged(path=database.path, reason=reason) from error


RUN = "id, task, status, created_at, started_at, completed_at, metadata, progress, cancel_requested"


def run(row: Row) -> Run:
    """Returns the run of a row with the columns `RUN`."""
    progress = replace(codec.load(RunProgress, row[7]), cancel_requested=bool(row[8]))
    return Run(
        id=RunId(row[0]),
        task=row[1],
        status=RunStatus(row[2]),
        created_at=codec.moment(row[3]),
        started_at=codec.moment_or_none(row[4]),
        completed_at=codec.moment_or_none(row[5]),
        metadata=replace(codec.load(RunMetadata, row[6]), progress=progress),
    )


PHASE = (
    "run_id, id, position, name, description, status, dependencies, estimated_complexity, risk_level,"
    " verification_criteria, retries, max_retries, created_at, started_at, completed_at"
)


def phase(row: Row) -> Phase:
    """Returns the phase of a row with the columns `PHASE`."""
    return Phase(
        run_id=RunId(row[0]),
        position=row[2],
        plan=PlannedPhase(
            id=PhaseId(row[1]),
            name=row[3],
            description=row[4],
            dependencies=tuple(PhaseId(name) for name in codec.load_list(row[6])),
            estimated_complexity=Level(row[7]),
            risk_level=Level(row[8]),
            verification_criteria=codec.load_list(row[9]),
        ),
        status=PhaseStatus(row[5]),
        retries=row[10],
        max_retries=row[11],
        created_at=codec.moment(row[12]),
        started_at=codec.moment_or_none(row[13]),
        completed_at=codec.moment_or_none(row[14]),
    )


EXECUTION = "id, run_id, phase_id, attempt_number, status, error, created_at, completed_at, progress"


def execution(row: Row) -> Execution:
    """Returns the execution of a row with the columns `EXECUTION`."""
    return Execution(
        id=ExecutionId(row[0]),
        run_id=RunId(row[1]),
        phase_id=PhaseId(row[2]),
        attempt=row[3],
        status=ExecutionStatus(row[4]),
        error=row[5],
        created_at=codec.moment(row[6]),
        completed_at=codec.moment_or_none(row[7]),
        progress=codec.load(ExecutionProgress, row[8]),
    )


FINDING = (
    "id, run_id, execution_id, severity, category, message, location, rule, context, is_new, resolved,"
    " resolved_at, created_at"
)


def finding(row: Row) -> RecordedFinding:
    """Returns the finding of a row with the columns `FINDING`."""
    return RecordedFinding(
        id=FindingId(row[0]),
        run_id=RunId(row[1]),
        execution_id=ExecutionId(row[2]),
        finding=Finding(Severity(row[3]), Category(row[4]), row[5], row[6], row[7], row[8]),
        is_new=bool(row[9]),
        resolved=bool(row[10]),
        resolved_at=codec.moment_or_none(row[11]),
        created_at=codec.moment(row[12]),
    )


ARTIFACT = "id, run_id, phase_id, name, path, type, size, hash, created_at"


def artifact(row: Row) -> Artifact:
    """Returns the artifact of a row with the columns `ARTIFACT`."""
    phase_id = None if row[2] is None else PhaseId(row[2])
    return Artifact(
        row[0], RunId(row[1]), phase_id, row[3], row[4], row[5], row[6], row[7], codec.moment(row[8])
    )


INTERVENTION = "id, run_id, phase_id, reason, action_required, status, note, resolved_at, created_at"


def intervention(row: Row) -> ManualIntervention:
    """Returns the intervention of a row with the columns `INTERVENTION`."""
    return ManualIntervention(
        id=InterventionId(row[0]),
        run_id=RunId(row[1]),
        phase_id=None if row[2] is None else PhaseId(row[2]),
        reason=row[3],
        action_required=row[4],
        status=InterventionStatus(row[5]),
        note=row[6],
        resolved_at=codec.moment_or_none(row[7]),
        created_at=codec.moment(row[8]),
    )


OPERATION = "id, kind, run_id, worktree, status, facts, created_at, completed_at"


def operation(row: Row) -> Operation:
    """Returns the operation of a row with the columns `OPERATION`."""
    return Operation(
        id=OperationId(row[0]),
        kind=OperationKind(row[1]),
        run_id=None if row[2] is None else RunId(row[2]),
        worktree=row[3],
        status=OperationStatus(row[4]),
        facts=codec.load_object(row[5]),
        created_at=codec.moment(row[6]),
        completed_at=codec.moment_or_none(row[7]),
    )


EVENT = "seq, run_seq, run_id, at, kind, data, trace_id, duration_ms, hash"


def event(row: Row) -> Event:
    """Returns the event of a row with the columns `EVENT`."""
    return Event(
        seq=row[0],
        run_seq=row[1],
        at=codec.moment(row[3]),
        run_id=None if row[2] is None else RunId(row[2]),
        kind=EventKind(row[4]),
        data=codec.load_object(row[5]),
        trace_id=row[6],
        duration_ms=row[7],
        hash=row[8],
    )
