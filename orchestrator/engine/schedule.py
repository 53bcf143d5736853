"""Says what a run needs next, from its recorded state alone: pure, so that resuming is just asking again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.model.ids import PhaseId
from orchestrator.model.run import (
    ENDED_RUN,
    Execution,
    ExecutionStatus,
    Phase,
    PhaseStatus,
    Run,
    RunStatus,
)
from orchestrator.model.run import Integrate as IntegrationWish


@dataclass(frozen=True, slots=True)
class RunState:
    """Everything recorded of a run that decides what comes next; executions in the order of their making.

    `steps` is how many its workflow has, `max_iterations` how often they are gone through at most.
    """

    run: Run
    phases: tuple[Phase, ...]
    executions: tuple[Execution, ...]
    steps: int
    max_iterations: int = 1

    def latest_execution(self, phase_id: PhaseId) -> Execution | None:
        """Returns the newest attempt of a phase."""
        return next((e for e in reversed(self.executions) if e.phase_id == phase_id), None)


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do: the run has ended or waits for a person."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody asked for the end."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may happen before `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Ask the planner for the phases."""


@dataclass(frozen=True, slots=True)
class BeginPhase:
    """Start, or after a failure reopen, a phase."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class BeginAttempt:
    """Start an attempt; `before` is the one it follows, None for the first."""

    phase: Phase
    attempt: int
    before: Execution | None


@dataclass(frozen=True, slots=True)
class SettleInterrupted:
    """The process that worked on this attempt died in the middle of a step."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class RunStep:
    """Let an agent work: step `index` of the workflow, from 0."""

    phase: Phase
    execution: Execution
    index: int


@dataclass(frozen=True, slots=True)
class Check:
    """Run the checks on the tree the attempt left."""

    phase: Phase
    execution: Execution


@dataclass(frozen=True, slots=True)
class EndRound:
    """Decide whether the steps are gone through once more."""

    phase: Phase
    execution: Execution


@dataclass(frozen=True, slots=True)
class Decide:
    """Reach a verdict on a checked attempt."""

    phase: Phase
    execution: Execution


@dataclass(frozen=True, slots=True)
class KeepPhase:
    """Make the phase's commit from the tree that passed."""

    phase: Phase
    execution: Execution


@dataclass(frozen=True, slots=True)
class Integrate:
    """Publish the result as the user asked."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Seal and complete the run."""


PhaseAction = BeginPhase | BeginAttempt | SettleInterrupted | RunStep | Check | EndRound | Decide | KeepPhase
Action = Rest | Cancel | Wait | MakePlan | Integrate | Finish | PhaseAction


def next_action(state: RunState, now: datetime) -> Action:
    """Returns the one thing to do next; calling again after doing it leads to the end of the run."""
    progress = state.run.metadata.progress
    if state.run.status in ENDED_RUN:
        return Rest()
    if progress.cancel_requested:
        return Cancel()
    if progress.wake_at is not None and now < progress.wake_at:
        return Wait(progress.wake_at)
    if state.run.status is RunStatus.WAITING and progress.wake_at is None:
        return Rest()
    return _next_work(state)


def _next_work(state: RunState) -> Action:
    if not state.phases:
        return MakePlan()
    current = next((p for p in state.phases if p.status is PhaseStatus.IN_PROGRESS), None)
    if current is not None:
        return _next_in_phase(state, current)
    finished = {p.id for p in state.phases if p.status in (PhaseStatus.COMPLETED, PhaseStatus.SKIPPED)}
    for phase in state.phases:
        if phase.id not in finished and finished.issuperset(phase.plan.dependencies):
            return BeginPhase(phase)
    if state.run.metadata.progress.result is not None and not _is_integrated(state.run):
        return Integrate()
    return Finish()


def _next_in_phase(state: RunState, phase: Phase) -> Action:
    execution = state.latest_execution(phase.id)
    if execution is None:
        return BeginAttempt(phase, 1, None)
    match execution.status:
        case ExecutionStatus.SUCCEEDED:
            return KeepPhase(phase, execution)
        case ExecutionStatus.FAILED | ExecutionStatus.INTERRUPTED:
            return BeginAttempt(phase, execution.attempt + 1, execution)
        case ExecutionStatus.RUNNING:
            return _next_in_attempt(state, phase, execution)


def _next_in_attempt(state: RunState, phase: Phase, execution: Execution) -> Action:
    progress = execution.progress
    if progress.process is not None:
        return SettleInterrupted(execution)
    works = progress.agent_failure is None
    if works and progress.steps_done < state.steps * progress.rounds.iteration:
        return RunStep(phase, execution, progress.steps_done % state.steps)
    if not progress.checked:
        return Check(phase, execution)
    if works and state.max_iterations > 1 and progress.rounds.stopped is None:
        return EndRound(phase, execution)
    return Decide(phase, execution)


def _is_integrated(run: Run) -> bool:
    progress = run.metadata.progress
    match run.metadata.options.integrate:
        case IntegrationWish.NONE:
            return True
        case IntegrationWish.BRANCH:
            return progress.branch is not None
        case IntegrationWish.MERGE:
            return progress.merged
