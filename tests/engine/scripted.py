"""An agent without a process: it plays turns that a test wrote down, and remembers what it was asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.config.schema import Config
from orchestrator.engine.local import prepare_resume, work
from orchestrator.model.agent import (
    AgentEvent,
    AgentHealth,
    AgentRequest,
    Ending,
    Finished,
    Health,
    Opened,
    Started,
)
from orchestrator.model.ids import RunId
from orchestrator.model.run import Run, RunOptions, Usage
from orchestrator.ports import Agent
from tests.engine.scene import Scene

Act = AgentEvent | Callable[[Path], None]
HANGS = "hangs"


@dataclass
class Scripted:
    """Implements `ports.Agent`: each turn plays the next script, and the last one again and again.

    A script is a list of events and of functions that work in the tree; `HANGS` waits until it is stopped.
    Without a `Finished` at its end it has finished well.
    """

    turns: list[list[Act | str]]
    asked: list[AgentRequest] = field(default_factory=list)
    name: str = "scripted"
    takes_prompt: bool = True
    credentials: tuple[str, ...] = ()

    def probe(self) -> AgentHealth:
        """Returns that it is ready."""
        return AgentHealth(Health.READY)

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of the next script."""
        script = self.turns[min(len(self.asked), len(self.turns) - 1)]
        self.asked.append(request)
        yield Started((0, 0))
        for act in script:
            if act == HANGS:
                while not cancelled():
                    time.sleep(0.01)
            elif callable(act):
                act(worktree)
            elif isinstance(act, Finished):
                yield act
                return
            elif not isinstance(act, str):
                yield act
            if cancelled():
                yield Finished(Ending.CANCELLED, None, "stopped on request", Usage())
                return
        yield Finished(Ending.FINISHED, 0, "", Usage())

    def __call__(self, name: str | None, *, config: Config, options: RunOptions, model: str | None) -> Agent:
        """Implements `engine.context.AgentFactory`."""
        return self

    def work(self, scene: Scene, run_id: RunId, stop: Callable[[], bool] = lambda: False) -> Run:
        """Works on a run with this agent until it rests."""
        with scene.open() as workspace:
            return work(replace(workspace.context, agents=self), run_id, stop=stop, wait=False)

    def resume(self, scene: Scene, run_id: RunId) -> Run:
        """Takes a run up again with this agent."""
        with scene.open() as workspace:
            prepare_resume(workspace.context, workspace.state.get_run(run_id))
        return self.work(scene, run_id)


def writes(name: str, text: str = "made\n") -> Callable[[Path], None]:
    """Returns an act that writes a file."""

    def act(worktree: Path) -> None:
        (worktree / name).write_text(text)

    return act


def opened(agent_session: str) -> Opened:
    """Returns the event that tells the agent's own session."""
    return Opened(agent_session, "a-model")
