"""One real agent in a tree and a home of its own, and what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.agents.registry import build
from orchestrator.config.schema import Agent as AgentConfig
from orchestrator.model.agent import AgentEvent, AgentRequest, Finished, Started
from orchestrator.ports import Agent
from orchestrator.process import leftovers
from tests.real.agents import KEY, RealAgent, Variables, Via
from tests.scripted_model.server import ScriptedModel, Talk
from tests.scripted_model.steps import Script

PROMPT = "Write hello.py that prints hello"
_GONE_S = 5.0


@dataclass(slots=True)
class Scene:
    """The stage of one case; `via` is how the agent is driven."""

    agent: RealAgent
    via: Via
    case: str
    place: Path
    model: ScriptedModel
    turns: int = 0

    @property
    def url(self) -> str:
        """Where its model answers; at the port of `connection_refused` nobody does."""
        refused = self.case == "connection_refused"
        return "http://127.0.0.1:9" if refused else self.model.url(self.marker)

    @property
    def home(self) -> Path:
        return self.place / "home"

    @property
    def tree(self) -> Path:
        return self.place / "tree"

    @property
    def state(self) -> Path:
        """Where the agent keeps its own state, apart from the home: `state: contained`."""
        return self.place / "state"

    @property
    def marker(self) -> str:
        return f"mark-real-{self.agent.name}-{self.via}-{self.case}"

    def prepare(self) -> None:
        """Makes an empty home and a repository with one commit."""
        self.home.mkdir(parents=True)
        self.tree.mkdir()
        name = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
        for words in (("init", "-q", "-b", "main"), (*name, "commit", "-q", "--allow-empty", "-m", "start")):
            subprocess.run(["git", *words], cwd=self.tree, check=True)

    def environment(self) -> dict[str, str]:
        """Returns the caller's variables: those of a user who has this agent and nothing else."""
        return {
            "PATH": self.agent.path(self.via),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            **self.agent.point(self.state, self.url),
        }

    def play(self, script: Script, directory: Path | None = None) -> Talk:
        """Makes the model play a script; its files are written below a directory, else in the tree."""
        return self.model.add(self.marker, script, directory or self.tree)

    def take(
        self,
        *,
        refused: bool = False,
        watch: Callable[[Started], bool] = lambda started: False,
        **request: object,
    ) -> list[AgentEvent]:
        """Takes one turn; `watch` is asked again and again, once it has started, whether to cancel it.

        `refused` tells that the agent may not write; `request` changes what it is asked.
        """
        self.turns += 1
        agent = self._built(*(self.agent.refuse(self.state) if refused else ((), {})))
        asked = AgentRequest(
            prompt=PROMPT,
            transcript=str(self.place / f"turn-{self.turns}.log"),
            marker=self.marker,
            timeout_s=60.0,
            idle_timeout_s=60.0,
            environment=dict(os.environ),
            home=str(self.state),
        )
        asked = replace(asked, **request)  # type: ignore[arg-type]
        events: list[AgentEvent] = []
        running = agent.run(asked, worktree=self.tree, cancelled=lambda: _asked(watch, events))
        for event in running:
            events.append(event)
        return events

    def _built(self, more: tuple[str, ...], further: Variables) -> Agent:
        args = (*self.agent.args(self.via, self.url), *more)
        env = {self.agent.key: KEY, **self.agent.settings(self.via, self.url), **further}
        config = AgentConfig(
            kind=self.agent.name, via=self.via, model=self.agent.model_by(self.via), args=args, env=env
        )
        return build(self.agent.name, {self.agent.name: config})

    def left(self, command: str = "") -> list[str]:
        """Returns what of this case still runs after a moment; `command` finds what lost its marker."""
        limit = time.monotonic() + _GONE_S
        while (found := list(self._running(command))) and time.monotonic() < limit:
            time.sleep(0.1)
        return found

    def runs(self, command: str) -> bool:
        """Tells whether a process with these words in its command line is there."""
        return any(command in line for line in command_lines())

    def spent(self, end: Finished) -> tuple[int | None, int | None]:
        """Returns the tokens that the turn took in and gave out."""
        return end.usage.input_tokens, end.usage.output_tokens

    def _running(self, command: str) -> Iterator[str]:
        yield from (found.command for found in leftovers.find(self.marker))
        if command:
            yield from (line for line in command_lines() if command in line)

    def footprint(self) -> list[str]:
        """Returns the files below the home: what the agent wrote where it was not led."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())


def _asked(watch: Callable[[Started], bool], events: list[AgentEvent]) -> bool:
    started = [event for event in events if isinstance(event, Started)]
    return bool(started) and watch(started[0])


def command_lines() -> Iterator[str]:
    """Yields the command lines of all processes."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue  # it ended meanwhile


def finished(events: list[AgentEvent]) -> Finished:
    """Returns the last event of a turn, which must be the only one of its kind."""
    ends = [event for event in events if isinstance(event, Finished)]
    assert ends == events[-1:]
    return ends[0]
