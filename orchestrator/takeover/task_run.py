"""The tasks of V3 as one run: nobody can go on with them, since V3 kept no word about what was to do."""

from __future__ import annotations

from orchestrator.model.ids import ExecutionId
from orchestrator.model.plan import PlannedPhase
from orchestrator.model.run import (
    Execution,
    ExecutionProgress,
    ExecutionStatus,
    Outcome,
    Phase,
    PhaseStatus,
    Run,
    RunMetadata,
    RunOptions,
    RunOrigin,
    RunProgress,
    RunStatus,
)
from orchestrator.state.document import RunDocument
from orchestrator.takeover import naming
from orchestrator.takeover.tasks import LegacyTask, TaskList
from orchestrator.takeover.translation import NO_BASE, Ground


def key(found: TaskList) -> str:
    """Returns what stands for the list where a workflow has its id: the task that was claimed first."""
    return f"tasks of {found.tasks[0].id}"


def translated(found: TaskList, ground: Ground) -> RunDocument:
    """Returns the run of a list of tasks: one phase for each, ended whatever became of them."""
    run = _run(found, ground)
    phases = tuple(_phase(run, task, position) for position, task in enumerate(found.tasks))
    attempts = tuple(
        _attempt(run, task, phase)
        for task, phase in zip(found.tasks, phases, strict=True)
        if task.completed_at
    )
    return RunDocument(1, run, phases, attempts, (), (), (), ())


def _run(found: TaskList, ground: Ground) -> Run:
    times = [at for task in found.tasks for at in (task.claimed_at, task.completed_at) if at is not None]
    created, ended = min(times, default=ground.now), max(times, default=ground.now)
    finished = all(task.completed_at for task in found.tasks) and not found.left_out
    notes = [f"Taken over from workflow-orchestrator, third generation ({found.source})."]
    if found.left_out:
        notes.append(f"{found.left_out} more tasks are in the original only.")
    metadata = RunMetadata(
        options=RunOptions(),
        origin=RunOrigin(ground.base or NO_BASE, ground.branch, ground.checkout),
        config=ground.config,
        trace_id=naming.trace_id(key(found)),
        workflow_yaml=ground.workflow_yaml,
        progress=RunProgress(
            outcome=Outcome.UNVERIFIED if finished else None,
            error=None if finished else "Some of its tasks were claimed and never finished.",
            notes=tuple(notes),
        ),
    )
    count = len(found.tasks) + found.left_out
    task = f"{count} tasks that agents claimed" if count > 1 else "A task that an agent claimed"
    status = RunStatus.COMPLETED if finished else RunStatus.CANCELLED
    return Run(naming.run_id(key(found)), task, status, created, created, ended, metadata)


def _phase(run: Run, task: LegacyTask, position: int) -> Phase:
    done = task.completed_at is not None
    began = task.claimed_at or run.created_at
    name = (
        f"{task.id}"
        + (f" by {task.agent}" if task.agent else "")
        + (f" in {task.phase}" if task.phase else "")
    )
    planned = PlannedPhase(naming.phase_id("", position), name, name)
    status = PhaseStatus.COMPLETED if done else PhaseStatus.SKIPPED
    return Phase(run.id, position, planned, status, 0, 0, run.created_at, began, task.completed_at or began)


def _attempt(run: Run, task: LegacyTask, phase: Phase) -> Execution:
    began = task.claimed_at or run.created_at
    return Execution(
        id=ExecutionId(naming.child_id("execution", _key_of(run), task.id, str(phase.position))),
        run_id=run.id,
        phase_id=phase.id,
        attempt=1,
        status=ExecutionStatus.SUCCEEDED,
        error=None,
        created_at=began,
        completed_at=task.completed_at,
        progress=ExecutionProgress(),
    )


def _key_of(run: Run) -> str:
    """Returns what the ids of a run's records derive from."""
    return run.metadata.trace_id
