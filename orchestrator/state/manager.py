"""The public face of the state: every verb is one transaction, written together with its event."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from orchestrator.model.event import Event, EventKind, PastEvent
from orchestrator.model.ids import ExecutionId, InterventionId, OperationId, PhaseId, RunId, new_id
from orchestrator.model.json import JsonObject
from orchestrator.model.plan import Plan
from orchestrator.model.record import Artifact, ManualIntervention, Operation, OperationKind, OperationStatus
from orchestrator.model.run import (
    Execution,
    ExecutionProgress,
    ExecutionStatus,
    Phase,
    PhaseStatus,
    Run,
    RunProgress,
    RunStatus,
)
from orchestrator.paths import OrchestratorPaths
from orchestrator.redaction.redactor import Redactor
from orchestrator.state import agent_history, codec, damage, document, opening
from orchestrator.state.bringing import Bringing
from orchestrator.state.database import Database, Transaction
from orchestrator.state.events import EventLog
from orchestrator.state.executions import Executions
from orchestrator.state.finding_verbs import FindingVerbs
from orchestrator.state.findings import Findings
from orchestrator.state.operations import Operations
from orchestrator.state.pen import Pen
from orchestrator.state.phases import Phases
from orchestrator.state.records import Artifacts, Interventions
from orchestrator.state.reviews import Reviews
from orchestrator.state.runs import Runs

_NOTHING: JsonObject = {}


class StateManager(FindingVerbs):
    """Reads and writes the state of one workspace.

    A verb that returns is durable; a verb that raises has changed nothing (StateLost excepted, which may also
    come after the change). A kill in between leaves what the last finished verb left. Every verb that writes
    may raise DiskFailed, Locked (another process kept writing for 30 seconds), StateDamaged and StateLost
    besides what it names. May be used from several threads, not in a forked child. Text is written redacted.
    """

    def __init__(self, database: Database, redactor: Redactor | None = None) -> None:
        pen = self._pen = Pen(redactor or Redactor())
        self._database = database
        self._events = EventLog(database, pen)
        self._runs = Runs(database, self._events, pen)
        self._phases = Phases(database, self._events, pen)
        self._executions = Executions(database, self._events, pen)
        self._findings = Findings(database, self._events, pen)
        self._reviews = Reviews(database, self._events, pen, self._findings)
        self._artifacts = Artifacts(database, self._events)
        self._interventions = Interventions(database, self._events, pen)
        self._operations = Operations(database, self._events)
        self._bringing = Bringing(database, self._events, pen)

    @classmethod
    def open(
        cls, paths: OrchestratorPaths, *, create: bool = False, redactor: Redactor | None = None
    ) -> StateManager:
        """Opens the state for writing; with `create` it is made where it is missing.

        Raises:
            Refused: `state-missing`, `state-unsafe`, `state-foreign` or `state-newer`; nothing was changed.
        """
        return cls(opening.open_to_write(paths, create=create), redactor)

    @classmethod
    def open_read_only(cls, paths: OrchestratorPaths, *, copied: bool = False) -> StateManager:
        """Opens the state for reading, beside a writer and on a read-only file system.

        With `copied` a private copy is read, so that nothing at all changes where the state lies.

        Raises:
            Refused: `state-missing`, `state-unsafe`, `state-foreign`, `state-newer` or `state-older`.
        """
        return cls(opening.open_to_read(paths, copied=copied))

    @property
    def snapshot(self) -> bool:
        """Returns whether a private copy is read, because the file itself cannot be opened where it lies."""
        return self._database.is_snapshot

    def close(self) -> None:
        """Closes the database; closing it twice is fine."""
        self._database.close()

    def __enter__(self) -> StateManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def watch(self, path: str | os.PathLike[str]) -> None:
        """Makes every later transaction raise StateLost once `path` names another file than now.

        Raises:
            StateLost: it names none already.
        """
        self._database.watch(path)

    def unwatch(self, path: str | os.PathLike[str]) -> None:
        """Takes back `watch`; a path that is not watched is fine."""
        self._database.unwatch(path)

    def transaction(self) -> Transaction:
        """Returns a context that makes all verbs inside it durable together, or none of them."""
        return self._database.transaction()

    # Runs

    def create_run(self, run: Run, plan: Plan | None = None, max_retries: int = 0) -> None:
        """Adds a run, and the phases of its plan if it has one already.

        Raises:
            Refused: `run-exists`.
        """
        with self._database.transaction():
            self._runs.insert(run)
            self._runs.started(run)
            if plan is not None:
                self._phases.create(run.id, plan, max_retries)

    def update_run_status(
        self,
        run_id: RunId,
        status: RunStatus,
        *,
        progress: RunProgress | None = None,
        data: JsonObject = _NOTHING,
    ) -> None:
        """Changes where a run stands; `data` is added to the event. An ended run has no request to cancel.

        Raises:
            Refused: `unknown-run` or `illegal-transition`.
        """
        with self._database.transaction():
            self._runs.change_status(run_id, status, progress, data)

    def set_run_progress(
        self,
        run_id: RunId,
        progress: RunProgress,
        *,
        event: EventKind | None = None,
        data: JsonObject = _NOTHING,
    ) -> None:
        """Replaces what a run has reached (all but `cancel_requested`), optionally with an event.

        Raises:
            Refused: `unknown-run`.
        """
        with self._database.transaction():
            self._runs.set_progress(run_id, progress)
            if event is not None:
                self._events.append(run_id, event, data)

    def get_run(self, run_id: RunId) -> Run:
        """Returns a run.

        Raises:
            Refused: `unknown-run`.
        """
        return self._runs.get(run_id)

    def list_runs(self, *, status: RunStatus | None = None, limit: int | None = None) -> list[Run]:
        """Returns runs, newest first."""
        return self._runs.listed(status, limit)

    def request_cancel(self, run_id: RunId) -> None:
        """Asks the owner of a run to stop; asking again changes nothing.

        Raises:
            Refused: `unknown-run`, or `illegal-transition` when the run has ended.
        """
        with self._database.transaction():
            self._runs.request_cancel(run_id)

    def withdraw_cancel(self, run_id: RunId) -> None:
        """Forgets a request to cancel that no owner lived to answer."""
        with self._database.transaction():
            self._runs.withdraw_cancel(run_id)

    def cancel_requested(self, run_id: RunId) -> bool:
        """Returns whether somebody asked the owner to stop; cheap enough to be polled.

        Raises:
            StateLost: the state was removed or replaced meanwhile.
            Refused: `unknown-run`.
        """
        self._database.check_linked()
        return self._runs.cancel_requested(run_id)

    # Phases and executions

    def create_phases(self, run_id: RunId, plan: Plan, max_retries: int) -> tuple[Phase, ...]:
        """Adds the phases of a plan to a run.

        Raises:
            Refused: `unknown-run`, or `state-conflict` when the run has a phase of that id.
        """
        with self._database.transaction():
            return self._phases.create(run_id, plan, max_retries)

    def update_phase_status(
        self, run_id: RunId, phase_id: PhaseId, status: PhaseStatus, *, retries: int | None = None
    ) -> None:
        """Changes where a phase stands; with `retries` the status may stay the same.

        Raises:
            Refused: `unknown-phase` or `illegal-transition`.
        """
        with self._database.transaction():
            self._phases.change_status(run_id, phase_id, status, retries)

    def get_phases_for_run(self, run_id: RunId) -> list[Phase]:
        """Returns the phases of a run in the order of its plan."""
        return self._phases.of_run(run_id)

    def create_execution(self, run_id: RunId, phase_id: PhaseId, *, attempt: int) -> Execution:
        """Begins an attempt of a phase.

        Raises:
            Refused: `unknown-phase`, or `execution-exists` when that attempt was begun before.
        """
        with self._database.transaction():
            return self._executions.create(run_id, phase_id, attempt)

    def set_execution_progress(
        self,
        execution_id: ExecutionId,
        progress: ExecutionProgress,
        *,
        event: EventKind | None = None,
        data: JsonObject = _NOTHING,
        duration_ms: float | None = None,
    ) -> None:
        """Replaces how far a running attempt has come, optionally with an event that names the attempt.

        Raises:
            Refused: `unknown-execution`, or `illegal-transition` when it has ended.
        """
        with self._database.transaction():
            self._executions.set_progress(execution_id, progress, event, data, duration_ms)

    def complete_execution(self, execution_id: ExecutionId) -> None:
        """Ends an attempt that succeeded.

        Raises:
            Refused: `unknown-execution`, or `illegal-transition` when it has ended.
        """
        with self._database.transaction():
            self._executions.end(execution_id, ExecutionStatus.SUCCEEDED, None)

    def fail_execution(self, execution_id: ExecutionId, error: str, *, interrupted: bool = False) -> None:
        """Ends an attempt that failed, or whose process died.

        Raises:
            Refused: `unknown-execution`, or `illegal-transition` when it has ended.
        """
        status = ExecutionStatus.INTERRUPTED if interrupted else ExecutionStatus.FAILED
        with self._database.transaction():
            self._executions.end(execution_id, status, error)

    def get_executions(self, run_id: RunId, phase_id: PhaseId | None = None) -> list[Execution]:
        """Returns the attempts of a run, or of one of its phases, in the order they were begun."""
        return self._executions.of_run(run_id, phase_id)

    # Artifacts, interventions, operations

    def add_artifact(
        self,
        run_id: RunId,
        phase_id: PhaseId | None,
        *,
        name: str,
        path: str,
        type: str,
        size_bytes: int,
        hash: str,
    ) -> Artifact:
        """Adds a file kept for a run; `path` is relative to the artifacts directory, `hash` its SHA-256.

        Raises:
            Refused: `unknown-run`, or `unsafe-path` when its path could lead out of the artifacts directory.
        """
        made = Artifact(new_id("artifact"), run_id, phase_id, name, path, type, size_bytes, hash, codec.now())
        with self._database.transaction():
            self._artifacts.add(made)
        return made

    def get_artifacts(self, run_id: RunId) -> list[Artifact]:
        """Returns the files kept for a run in the order they were added."""
        return self._artifacts.of_run(run_id)

    def add_intervention(
        self, run_id: RunId, phase_id: PhaseId | None, reason: str, action_required: str
    ) -> ManualIntervention:
        """Asks a person for something, and returns the request.

        Raises:
            Refused: `unknown-run`.
        """
        with self._database.transaction():
            return self._interventions.add(run_id, phase_id, reason, action_required)

    def resolve_intervention(self, intervention_id: InterventionId, note: str) -> ManualIntervention:
        """Records a person's answer and returns the answered request.

        Raises:
            Refused: `unknown-intervention`, or `illegal-transition` when it was answered before.
        """
        with self._database.transaction():
            return self._interventions.resolve(intervention_id, note)

    def get_interventions(
        self, run_id: RunId | None = None, *, open_only: bool = False
    ) -> list[ManualIntervention]:
        """Returns the requests to a person in the order they were made."""
        return self._interventions.of_run(run_id, open_only)

    def begin_operation(
        self, kind: OperationKind, run_id: RunId | None, worktree: str, facts: JsonObject
    ) -> Operation:
        """Makes the intention to do something durable, before its first effect.

        Raises:
            Refused: `unknown-run`.
        """
        with self._database.transaction():
            return self._operations.begin(kind, run_id, worktree, facts)

    def update_operation(
        self, operation_id: OperationId, status: OperationStatus, facts: JsonObject | None = None
    ) -> Operation:
        """Changes the status of an operation, its journal, or both; returns it.

        Raises:
            Refused: `unknown-operation` or `illegal-transition`.
        """
        with self._database.transaction():
            return self._operations.update(operation_id, status, facts)

    def get_operations(self, *, worktree: str | None = None, limit: int | None = None) -> list[Operation]:
        """Returns operations, newest first."""
        return self._operations.listed(worktree, limit)

    def intended_operations(self) -> list[Operation]:
        """Returns the operations that were begun and not finished, oldest first."""
        return self._operations.intended()

    def record_event(
        self,
        run_id: RunId | None,
        kind: EventKind,
        data: JsonObject,
        *,
        duration_ms: float | None = None,
        trace_id: str | None = None,
    ) -> Event:
        """Appends an event.

        Raises:
            Refused: `unknown-run`.
        """
        with self._database.transaction():
            return self._events.append(run_id, kind, data, duration_ms=duration_ms, trace_id=trace_id)

    def record_events(self, run_id: RunId | None, told: Sequence[tuple[EventKind, JsonObject]]) -> None:
        """Appends several events of one run, in order, in one transaction.

        Raises:
            Refused: `unknown-run`.
        """
        with self._database.transaction():
            self._events.append_all(run_id, told)

    def agents_last_seen(self) -> dict[str, agent_history.Seen]:
        """Returns how each agent was seen last, by name: checked, or at the end of a step."""
        return agent_history.seen(self._database.all(agent_history.LAST))

    def events(self, run_id: RunId | None, *, after_run_seq: int = 0) -> list[Event]:
        """Returns the events of a run (None: those of no run) after one of them, in order."""
        return self._events.of_run(run_id, after_run_seq)

    def subscribe(self, callback: Callable[[Event], None]) -> None:
        """Calls `callback` with each event once it is durable; what that raises, the verb raises too."""
        self._events.subscribe(callback)

    def verify_chain(self) -> int | None:
        """Returns the number of the first event that was changed, removed or put in; None when none was."""
        return self._events.first_broken()

    def problems(self) -> tuple[str, ...]:
        """Returns what SQLite finds wrong with the file and the references in it."""
        return damage.problems(self._database)

    def orphans(self) -> tuple[str, ...]:
        """Returns the events and operations of runs that are not there, a line for each run."""
        return damage.orphans(self._database)

    def get_recoverable_runs(self) -> list[Run]:
        """Returns the runs that have not ended, oldest first; whether one is alive its lock tells."""
        return self._runs.not_ended()

    def export_run_summary(self, run_id: RunId, *, run: Run | None = None) -> JsonObject:
        """Returns everything about a run but its events, as `recover_run` takes it.

        `run` stands in for what is recorded of the run itself, for the last checkpoint of one about to end.

        Raises:
            Refused: `unknown-run`.
        """
        with self._database.reading():
            return document.exported(
                document.RunDocument(
                    schema_version=1,
                    run=self._pen.run(run or self._runs.get(run_id)),
                    phases=tuple(self._phases.of_run(run_id)),
                    executions=tuple(self._executions.of_run(run_id, None)),
                    findings=tuple(self._findings.of_run(run_id, None, False)),
                    interventions=tuple(self._interventions.of_run(run_id, False)),
                    operations=tuple(map(document.operation_record, self._operations.of_run(run_id))),
                    artifacts=tuple(self._artifacts.of_run(run_id)),
                )
            )

    def recover_run(
        self,
        summary: JsonObject,
        *,
        kind: EventKind = EventKind.RUN_RECOVERED,
        past: Iterable[PastEvent] = (),
        replaces: bool = False,
    ) -> bool:
        """Brings back a run from what `export_run_summary` gave; returns False when it is there already.

        With `replaces` it takes the place of the one that is there, whose events and operations stay.

        The document is not trusted: it is checked as a whole, and the run comes back with `trusted` off.
        The events of `past` come before the one of `kind` that tells of the return.

        Raises:
            Refused: `document-invalid`, `run-id-invalid`, `plan-invalid`, `unsafe-path` or `state-conflict`.
        """
        found = document.parsed(summary)
        with document.unwritable_refused(), self._database.transaction():
            if self._runs.is_known(found.run.id):
                if not replaces:
                    return False
                self._bringing.take_out(found)
            self._bringing.insert(found)
            for event in past:
                self._events.append(found.run.id, event.kind, event.data, at=event.at)
            self._events.append(found.run.id, kind, {"status": str(found.run.status)})
            return True
