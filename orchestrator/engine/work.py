"""One process's hold on one run: its frozen configuration and the ways its progress is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from orchestrator.config.frozen import thaw
from orchestrator.config.schema import Config
from orchestrator.engine.context import EngineContext
from orchestrator.engine.guard import Guard
from orchestrator.engine.schedule import RunState
from orchestrator.engine.workflow import PlannedStep, RoundLimits, planned_rounds, planned_steps
from orchestrator.errors import CredentialMissing, Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import ExecutionId, ObjectId, PhaseId, RunId
from orchestrator.model.run import Run, RunProgress, RunStatus
from orchestrator.ports import Agent
from orchestrator.verify.outcome import CheckReport

TREE = "main"
"""The name of the tree that a run's phases share, one after the other."""


@dataclass(frozen=True, slots=True)
class Work:
    """A run being worked on under its lock; `stop` turns true when the process must end.

    `guard` watches over the user's repository; None where no agent is let loose. `limits` are those of its
    rounds through the steps.
    """

    context: EngineContext
    run_id: RunId
    config: Config
    steps: tuple[PlannedStep, ...]
    stop: Callable[[], bool]
    guard: Guard | None = None
    limits: RoundLimits = field(default_factory=RoundLimits)
    base_reports: dict[ObjectId, CheckReport] = field(default_factory=dict, compare=False, repr=False)

    @property
    def run(self) -> Run:
        """Returns the run as it is recorded now."""
        return self.context.state.get_run(self.run_id)

    def halted(self) -> bool:
        """Returns whether the work must stop now: this process ends, or somebody cancelled the run."""
        return self.stop() or self.context.state.cancel_requested(self.run_id)

    def agent(self, step: PlannedStep) -> Agent:
        """Returns the agent of a step."""
        return self.context.agents(
            step.agent, config=self.config, options=self.run.metadata.options, model=step.model
        )

    def agent_or_none(self, step: PlannedStep) -> Agent | None:
        """Returns the agent of a step, None when it is an optional one whose agent cannot be started."""
        try:
            return self.agent(step)
        except (Refused, CredentialMissing):
            if not step.optional:
                raise
            return None

    def marker(self, execution_id: ExecutionId) -> str:
        """Returns what identifies the processes of an attempt; a copy of the repository has other markers."""
        return execution_marker(self.context, execution_id)

    def set_status(self, status: RunStatus) -> None:
        """Records the status unless it is that already."""
        if self.run.status is not status:
            self.context.state.update_run_status(self.run_id, status)

    def update_progress(self, change: Callable[[RunProgress], RunProgress]) -> None:
        """Records a change of the run's progress."""
        with self.context.state.transaction():
            self.context.state.set_run_progress(self.run_id, change(self.run.metadata.progress))

    def note(self, sentence: str) -> None:
        """Records a remark that the report shows; the same one once only."""
        sentence = self.context.redactor.text(sentence)
        if sentence not in self.run.metadata.progress.notes:
            self.update_progress(lambda progress: replace(progress, notes=(*progress.notes, sentence)))

    def ask_person(self, phase_id: PhaseId | None, reason: str, action: str) -> None:
        """Records that a person is needed, why, and what to do; the same question is asked once."""
        reason = self.context.redactor.text(reason)
        for asked in self.context.state.get_interventions(self.run_id, open_only=True):
            if asked.reason == reason:
                return
        self.context.state.add_intervention(self.run_id, phase_id, reason, action)

    def record_finish(self, status: RunStatus, exit_status: int) -> None:
        """Records the last event of this stretch of work (CONTRACT.md, `run --json`)."""
        if self.guard is not None:
            self.guard.report()
        progress = self.run.metadata.progress
        self.context.state.record_event(
            self.run_id,
            EventKind.RUN_FINISHED,
            {
                "status": status,
                "outcome": progress.outcome,
                "branch": progress.branch,
                "head": progress.result,
                "exit_status": exit_status,
                "error": progress.error,
            },
        )


def execution_marker(context: EngineContext, execution_id: ExecutionId) -> str:
    """Returns the marker of an attempt's processes: device and inode of the git directory, and its id."""
    device, inode = context.repository.git_dir_identity
    return f"{device:x}-{inode:x}/{execution_id}"


def require_secrets(context: EngineContext, run: Run) -> None:
    """Makes sure that the present configuration holds the secrets that are not kept with a run.

    Raises:
        CredentialMissing: `secret-gone`.
    """
    thaw(run.metadata.config, current=context.config, redactor=context.redactor)


def open_work(
    context: EngineContext, run_id: RunId, stop: Callable[[], bool], guard: Guard | None = None
) -> Work:
    """Returns the hold on a run, with the configuration that was frozen when it started.

    Raises:
        CredentialMissing: `secret-gone`, the present configuration lacks a secret that was not kept.
    """
    metadata = context.state.get_run(run_id).metadata
    config = thaw(metadata.config, current=context.config, redactor=context.redactor)
    steps, limits = planned_steps(config, metadata.options), planned_rounds(config, metadata.options)
    return Work(context, run_id, config, steps, stop, guard, limits)


def load_state(work: Work) -> RunState:
    """Returns everything recorded that decides what comes next."""
    state = work.context.state
    return RunState(
        run=state.get_run(work.run_id),
        phases=tuple(state.get_phases_for_run(work.run_id)),
        executions=tuple(state.get_executions(work.run_id)),
        steps=len(work.steps),
        max_iterations=work.limits.max_iterations,
    )
