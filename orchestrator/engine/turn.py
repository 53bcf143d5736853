"""One turn of an agent in a step: what it is asked, what it reports, and when it is stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.engine.agent_home import home_of
from orchestrator.engine.asking import prompt_of
from orchestrator.engine.budget import Budget, remaining
from orchestrator.engine.recording import Recorder
from orchestrator.engine.schedule import RunStep
from orchestrator.engine.setting_aside import STUCK, attempt_before
from orchestrator.engine.watching import Watch, metered
from orchestrator.engine.work import Work
from orchestrator.engine.workflow import PlannedStep
from orchestrator.model.agent import AgentRequest, Cause, Ending, Finished
from orchestrator.model.event import EventKind
from orchestrator.model.json import Json
from orchestrator.model.run import Execution
from orchestrator.ports import Agent
from orchestrator.repo.trees import IsolatedTree


@dataclass(slots=True)
class Turn:
    """A step that an agent is about to work in; `secrets` are the values of the names it lists.

    `over` is the part of the run's budget for which the agent was stopped.
    """

    work: Work
    action: RunStep
    step: PlannedStep
    agent: Agent
    tree: IsolatedTree
    secrets: Mapping[str, str]
    has_begun: bool = False
    over: str | None = None

    @property
    def about(self) -> dict[str, Json]:
        """Returns what events tell of the step they belong to."""
        return {
            "phase": self.action.phase.id,
            "step": self.action.index + 1,
            "agent": self.agent.name,
            "attempt": self.action.execution.attempt,
            "round": self.action.execution.progress.rounds.iteration,
        }

    def begin(self) -> None:
        """Records that the step begins."""
        self.has_begun = True
        facts = {
            **self.about,
            "steps": len(self.work.steps),
            "rounds": self.work.limits.max_iterations,
            "task": self.step.task.kind,
        }
        self.work.context.state.record_event(self.work.run_id, EventKind.STEP_STARTED, facts)

    def take(self) -> Finished:
        """Lets the agent work until it has finished or is stopped, and returns how that came to its end.

        Where it does not know its own session any more, it begins a new one.
        """
        left = remaining(self.work)
        request = self._request(left)
        finished = self._let_work(request, left)
        if request.continues and finished.cause is Cause.SESSION_LOST and finished.ending is Ending.FAILED:
            self.work.note(f"{self.agent.name} has lost its session; it began a new one.")
            finished = self._let_work(replace(request, continues=""), left)
        return finished

    def _let_work(self, request: AgentRequest, left: Budget) -> Finished:
        watch = Watch(stuck_after_s=self.work.config.execution.stuck_after_s, left=left, tree=self.tree.path)
        finished: Finished | None = None
        with Recorder(self.work, self.action.execution, self.about) as recorder:
            for event in self.agent.run(
                request,
                worktree=self.tree.path,
                cancelled=lambda: self.work.halted() or watch.must_stop(),
            ):
                if not self.has_begun:
                    with self.work.context.state.transaction():
                        self.begin()
                        recorder.take(event)
                else:
                    recorder.take(event)
                watch.see(event)
                if isinstance(event, Finished):
                    finished = event
        assert finished is not None, f"agent {self.agent.name} ended without a Finished event"
        return self._judged(finished, watch)

    def _judged(self, finished: Finished, watch: Watch) -> Finished:
        finished = replace(finished, usage=metered(finished, watch, self.work.context.price))
        self.over = watch.over
        if finished.ending is Ending.CANCELLED and watch.ending is not None and not self.work.halted():
            return replace(finished, ending=watch.ending, detail=watch.detail)
        return finished

    def _request(self, left: Budget) -> AgentRequest:
        before = attempt_before(self.work, self.action.execution)
        return AgentRequest(
            prompt=prompt_of(self.work, self.action, self.step),
            transcript=os.fspath(transcript_of(self.work, self.action)),
            marker=self.work.marker(self.action.execution.id),
            timeout_s=max(1.0, min(self.step.timeout_s, left.time_s)),  # 0 would be no deadline at all
            idle_timeout_s=self.step.idle_timeout_s,
            environment=self.work.context.environment,
            added={**self.tree.environment(), "ORCHESTRATOR_RUN": self.work.run_id},
            secrets=self.secrets,
            continues=self._session_of(before),
            max_turns=None if left.turns == float("inf") else max(1, int(left.turns)),
            max_cost_usd=None if left.cost_usd == float("inf") else left.cost_usd,
            home=home_of(self.work, self.agent),
        )

    def _session_of(self, before: Execution | None) -> str:
        """Returns the agent's own session in which this step was broken off, unless it made no progress.

        Attempts that were broken off before their agent had opened any are looked behind.
        """
        done = self.action.execution.progress.steps_done
        while before is not None and before.progress.steps_done == done:
            told = before.progress
            if told.ending in STUCK or told.agent not in ("", self.agent.name):
                return ""
            if told.agent_session:
                return told.agent_session
            before = attempt_before(self.work, before)
        return ""


def transcript_of(work: Work, action: RunStep) -> Path:
    """Returns where the raw output of the step's agent is kept; its directory is there."""
    directory = work.context.paths.run_artifacts_dir(work.run_id)
    work.context.disk.make_dir(directory)
    return directory / f"{action.execution.id}-step-{action.execution.progress.steps_done + 1}.log"
