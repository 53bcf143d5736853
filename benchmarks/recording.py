"""What it costs to make a step's beginning and end durable, apart from the program it runs."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.place import Place, Sizes, rooms
from benchmarks.rounds import Action, Result, interleave, told
from orchestrator.engine.context import EngineContext
from orchestrator.engine.schedule import RunStep
from orchestrator.engine.start import RunRequest, preview, start_run
from orchestrator.engine.stepping import run_step
from orchestrator.engine.work import Work, open_work
from orchestrator.fs.disk import Disk
from orchestrator.model.event import Event, EventKind
from orchestrator.model.ids import ExecutionId, ObjectId, PhaseId, RunId
from orchestrator.model.json import JsonObject
from orchestrator.model.record import Artifact, Checkpoint
from orchestrator.model.run import ExecutionProgress, PhaseStatus, RunOptions, RunProgress, RunStatus
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.state.database import Database, Transaction
from orchestrator.state.layout import create_layout
from orchestrator.state.manager import StateManager
from orchestrator.state.opening import open_to_write
from orchestrator.workspace import Workspace, open_workspace

_AGENT = ("true",)


def step(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures a step of the engine with recording on, minus the same step with recording off.

    Both start the same supervised program in the same tree; neither takes a checkpoint. One round is one step
    each way, so that `sizes.steps` rounds are made whatever `rounds` says, if that is more.
    """
    repository = place.repository("recording", 3)
    with running(repository) as (work, action):
        paths = work.context.paths
        with (
            closing(Silent(open_to_write(paths, create=False))) as silent,
            closing(Timed(open_to_write(paths, create=False))) as timed,
        ):
            recording, quiet = _with_state(work, timed), _with_state(work, silent)
            actions: dict[str, Action] = {
                "off": lambda: run_step(quiet, action),
                "on": lambda: run_step(recording, action),
                "disk": lambda: _append_twice(place.root / "appended"),
            }
            timings = interleave(actions, max(rounds, sizes.steps), before={"on": timed.next_step})
            inside = [step.spent_s * 1e3 for step in timed.steps[1:]]
            commits = statistics.median(step.transactions for step in timed.steps)
    what = "a supervised step (`true`, no checkpoint) with recording on"
    return [
        timings.difference("step", f"{what}, minus off", of="on", to="off", goal=0.6),
        told("step", f"the same, time inside its {commits:g} transactions", "ms", inside, goal=0.6),
        timings.share("step", "two appends of 4 KiB, each with fdatasync: the least it can be", of="disk"),
        timings.ratio("step", f"{what}, to off", of="on", to="off"),
    ]


def _append_twice(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for _ in range(2):
        os.write(descriptor, b"x" * 4096)
        os.fsync(descriptor) if sys.platform == "darwin" else os.fdatasync(descriptor)
    os.close(descriptor)


class Still(Checkpoints):
    """Takes no checkpoint: a step is measured without."""

    def take(self, *_: object, **__: object) -> Checkpoint:
        """Returns a checkpoint that was never taken."""
        nowhere = ObjectId("0" * 40)
        return Checkpoint(nowhere, nowhere, RunId("none"), 1, "none", datetime(2026, 1, 1, tzinfo=UTC))


@dataclass(slots=True)
class Spent:
    """What one step spent on transactions."""

    spent_s: float = 0.0
    transactions: int = 0


class Timed(StateManager):
    """Measures how long its outermost transactions take, and leaves out the rows of the checkpoint."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.steps: list[Spent] = []
        self.depth = 0

    def next_step(self) -> None:
        """Begins to count for another step."""
        self.steps.append(Spent())

    def transaction(self) -> Transaction:
        """Returns a context whose time is counted unless it is inside another."""
        return TimedTransaction(self._database, self)

    def record_event(
        self,
        run_id: RunId | None,
        kind: EventKind,
        data: JsonObject,
        *,
        duration_ms: float | None = None,
        trace_id: str | None = None,
    ) -> Event:
        """Records every event but that of the checkpoint, which was not taken."""
        if kind is EventKind.CHECKPOINT_CREATED:
            return _unrecorded(run_id, kind, data)
        return super().record_event(run_id, kind, data, duration_ms=duration_ms, trace_id=trace_id)

    def set_run_progress(
        self,
        run_id: RunId,
        progress: RunProgress,
        *,
        event: EventKind | None = None,
        data: JsonObject | None = None,
    ) -> None:
        """Records nothing: a step changes the run's progress by its checkpoint alone."""


class TimedTransaction(Transaction):
    """A transaction that adds its time to the step."""

    def __init__(self, database: Database, state: Timed) -> None:
        super().__init__(database)
        self._state = state
        self._began = 0.0

    def __enter__(self) -> None:
        """Opens it."""
        self._began = time.perf_counter()
        self._state.depth += 1
        super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Makes it durable."""
        super().__exit__(kind, *rest)
        self._state.depth -= 1
        if not self._state.depth:
            self._state.steps[-1].spent_s += time.perf_counter() - self._began
            self._state.steps[-1].transactions += 1


class Silent(StateManager):
    """Reads what is recorded and records nothing of a step."""

    def transaction(self) -> Transaction:
        """Returns a context that does nothing."""
        return NoTransaction(self._database)

    def record_event(
        self,
        run_id: RunId | None,
        kind: EventKind,
        data: JsonObject,
        *,
        duration_ms: float | None = None,
        trace_id: str | None = None,
    ) -> Event:
        """Returns an event that was not recorded."""
        return _unrecorded(run_id, kind, data)

    def set_execution_progress(
        self,
        execution_id: ExecutionId,
        progress: ExecutionProgress,
        *,
        event: EventKind | None = None,
        data: JsonObject | None = None,
        duration_ms: float | None = None,
    ) -> None:
        """Records nothing."""

    def set_run_progress(
        self,
        run_id: RunId,
        progress: RunProgress,
        *,
        event: EventKind | None = None,
        data: JsonObject | None = None,
    ) -> None:
        """Records nothing."""

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
        """Returns an artifact that was not recorded."""
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return Artifact("none", run_id, phase_id, name, path, type, size_bytes, hash, at)


class NoTransaction(Transaction):
    """A context that opens nothing."""

    def __enter__(self) -> None:
        """Opens nothing."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Closes nothing."""


def _unrecorded(run_id: RunId | None, kind: EventKind, data: JsonObject) -> Event:
    return Event(1, 1, datetime(2026, 1, 1, tzinfo=UTC), run_id, kind, data, "", None, "")


@contextmanager
def running(repository: Path) -> Iterator[tuple[Work, RunStep]]:
    """Yields a run in its first attempt, and the step that the engine would do next."""
    create_layout(rooms(repository).paths, Disk(), private=False, workflow_yaml=None)
    with open_workspace(str(repository), environment=dict(os.environ), writes=True) as workspace:
        run_id = _start(workspace)
        context = workspace.context
        still = Still(context.repository, context.paths, context.trees)
        work = open_work(replace(context, checkpoints=still), run_id, lambda: False)
        phase = context.state.get_phases_for_run(run_id)[0]
        context.state.update_phase_status(run_id, phase.id, PhaseStatus.IN_PROGRESS)
        execution = context.state.create_execution(run_id, phase.id, attempt=1)
        yield work, RunStep(phase, execution, 0)


def _start(workspace: Workspace) -> RunId:
    request = RunRequest(
        task="nothing",
        run_id=None,
        plan=None,
        base=None,
        include_changes=False,
        options=RunOptions(command=_AGENT),
        config=workspace.loaded.config,
        workflow_yaml=None,
        trusted=True,
    )
    run = start_run(workspace.context, request, preview(workspace.context, request))
    assert workspace.state.get_run(run.id).status is RunStatus.EXECUTING
    return run.id


def _with_state(work: Work, state: StateManager) -> Work:
    context: EngineContext = replace(work.context, state=state)
    return replace(work, context=context)
