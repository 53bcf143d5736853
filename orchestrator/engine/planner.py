"""Asks an agent for a plan, in a tree of its own of which nothing is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from orchestrator.config.prompts import PLANNER, template
from orchestrator.config.schema import Config
from orchestrator.engine.agent_home import home_in
from orchestrator.engine.budget import UNLIMITED, Budget
from orchestrator.engine.context import EngineContext
from orchestrator.engine.recording import add_usage
from orchestrator.engine.secrets import secrets_of
from orchestrator.engine.verification import check_lines
from orchestrator.engine.watching import Watch, metered
from orchestrator.engine.work import execution_marker
from orchestrator.engine.workflow import PlannedStep, planner_step, works_alone
from orchestrator.errors import CredentialMissing, Failed
from orchestrator.model.agent import AgentEvent, AgentRequest, Cause, Ending, Finished
from orchestrator.model.ids import ExecutionId, ObjectId, RunId
from orchestrator.model.plan import PlanRequest
from orchestrator.model.run import RunOptions, Usage
from orchestrator.planning.asked import AskingPlanner
from orchestrator.planning.single import SinglePhase
from orchestrator.ports import Agent, Planner
from orchestrator.process import leftovers
from orchestrator.repo.trees import IsolatedTree, IsolatedTrees
from orchestrator.verify.clean import DIRECTORY, discard

TREE = "plan"
_MAX_FILES = 400


class Talk(Protocol):
    """Hears what an agent reports during one answer; left when that has ended."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def take(self, event: AgentEvent) -> None:
        """Takes one event."""
        ...


@dataclass(slots=True)
class Asking:
    """Asks one agent, once or more; `usage` is what it consumed so far, all answers together.

    `transcripts` is the directory of its transcripts, `left` what it may consume. `talk` makes what hears of
    one answer, from the agent's name and the number of the answer, from 1. `stop` is polled, and ends it.
    """

    context: EngineContext
    config: Config
    options: RunOptions
    step: PlannedStep
    run_id: RunId
    base: ObjectId
    transcripts: Path
    stop: Callable[[], bool]
    talk: Callable[[str, int], Talk]
    left: Budget = field(default_factory=Budget)
    usage: Usage = field(default_factory=Usage)
    asked: int = 0

    def __call__(self, prompt: str) -> str | None:
        """Returns the agent's answer, None when it was stopped; a kill leaves a tree that `close` removes.

        Raises:
            Failed: `planner-failed`, nothing is left for it, or it did not come to an end of its own.
            CredentialMissing: `planner-credential`, or a secret of the agent has no value.
            Refused: it cannot be started.
        """
        agent, left = self.agent(), self.left.less(self.usage)
        if left.used_up() is not None:
            raise Failed(
                f"The planner {agent.name} was not asked: the budget of this run is used up.",
                code="planner-failed",
                hint="Give it more.",
            )
        secrets = secrets_of(self.context, self.config, self.options, self.step, agent)
        tree = self._tree()
        self.asked += 1
        request = AgentRequest(
            prompt=self.context.redactor.text(prompt),
            transcript=os.fspath(self.transcript(self.asked)),
            marker=self.marker,
            timeout_s=max(1.0, min(self.step.timeout_s, left.time_s)),
            idle_timeout_s=self.step.idle_timeout_s,
            environment=self.context.environment,
            added={**tree.environment(), "ORCHESTRATOR_RUN": self.run_id},
            secrets=secrets,
            max_turns=None if left.turns == UNLIMITED else max(1, int(left.turns)),
            max_cost_usd=None if left.cost_usd == UNLIMITED else left.cost_usd,
            home=home_in(self.context.paths, self.config, self.options, agent),
        )
        watch = Watch(stuck_after_s=self.config.execution.stuck_after_s, left=left, tree=tree.path)
        finished = self._let_work(agent, request, tree, watch)
        self.usage = add_usage(self.usage, finished.usage)
        return self._judged(agent.name, finished, watch)

    def _let_work(self, agent: Agent, request: AgentRequest, tree: IsolatedTree, watch: Watch) -> Finished:
        finished: Finished | None = None
        with self.talk(agent.name, self.asked) as talk:
            for event in agent.run(
                request, worktree=tree.path, cancelled=lambda: self.stop() or watch.must_stop()
            ):
                if isinstance(event, Finished):
                    event = replace(event, usage=metered(event, watch, self.context.price))
                    finished = event
                talk.take(event)
                watch.see(event)
        assert finished is not None, f"agent {agent.name} ended without a Finished event"
        return finished

    def _judged(self, name: str, finished: Finished, watch: Watch) -> str | None:
        if finished.ending is Ending.CANCELLED and (watch.ending is None or self.stop()):
            return None
        if finished.ending is Ending.FINISHED:
            return finished.answer
        said = (watch.detail if watch.ending is not None else finished.detail).strip().splitlines()
        sentence = f"The planner {name} failed ({said[-1][:200] if said else finished.ending})."
        hint = f"Look at it with: orchestrator agents check {name}"
        if finished.cause is Cause.CREDENTIAL:
            raise CredentialMissing(sentence, code="planner-credential", hint=hint)
        raise Failed(sentence, code="planner-failed", hint=hint)

    def agent(self) -> Agent:
        """Returns the agent that is asked; raises Refused when it cannot be started."""
        return self.context.agents(
            self.step.agent, config=self.config, options=self.options, model=self.step.model
        )

    @property
    def marker(self) -> str:
        """Returns what identifies its processes."""
        return execution_marker(self.context, ExecutionId(f"planning-{self.run_id}"))

    def transcript(self, number: int) -> Path:
        """Returns the path of what was printed for one of the answers."""
        return self.transcripts / f"planning-{number}.log"

    def close(self) -> None:
        """Ends what is left of its processes and removes its tree, in which nothing is work."""
        leftovers.end_all(self.marker, exact=True)
        discard(self.context.trees, self.run_id)

    def _tree(self) -> IsolatedTree:
        self.close()
        trees = self.context.trees
        self.context.disk.make_dir(self.transcripts)
        return IsolatedTrees(trees.repository, trees.root / DIRECTORY).create(self.run_id, TREE, self.base)


def asks_planner(config: Config, options: RunOptions) -> PlannedStep | None:
    """Returns the turn in which a run's planner is asked; None where nobody is."""
    return None if works_alone(options) else planner_step(config)


def planner_for(
    asking: Asking | None,
    prompts: tuple[tuple[str, str], ...],
    *,
    on_refused: Callable[[str], None] = lambda reason: None,
) -> Planner:
    """Returns the planner that asks, or without anybody to ask the one that makes one phase."""
    if asking is None:
        return SinglePhase()
    return AskingPlanner(asking, template(PLANNER, dict(prompts)), on_refused=on_refused)


def plan_request(context: EngineContext, config: Config, task: str, base: ObjectId) -> PlanRequest:
    """Returns what a planner is told: the task, what the repository holds at `base`, and what is checked."""
    listed = context.repository.git.zsplit("ls-tree", "-r", "-z", "--name-only", base)
    files = tuple(name.decode("utf-8", "replace") for name in listed[:_MAX_FILES])
    if len(listed) > _MAX_FILES:
        files = (*files, f"… and {len(listed) - _MAX_FILES:,} more")
    return PlanRequest(context.redactor.text(task), files, check_lines(config))
