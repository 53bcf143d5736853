"""How many turns of one kind may go on at the same time, in all processes that work on this repository."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from orchestrator.errors import Locked
from orchestrator.fs.disk import Disk
from orchestrator.fs.lock import FileLock
from orchestrator.model.agent import AgentEvent, AgentHealth, AgentRequest, Ending, Finished
from orchestrator.model.run import Usage
from orchestrator.ports import Agent

_POLL_S = 0.2
Limited = TypeVar("Limited", bound=Agent)


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a group, which are kernel locks: whoever dies gives its own back.

    Agents that share a group share its first places, each of them as many as it may have.
    """

    directory: Path
    group: str
    many: int

    def take(self) -> FileLock | None:
        """Returns a place that was free and is taken now, None when there is none."""
        for number in range(self.many):
            lock = FileLock(self.directory / f"turn-{self.group}-{number + 1}.lock", self.group, "a turn")
            try:
                lock.acquire(timeout_s=0.0)
            except Locked:
                continue
            return lock
        return None


class LimitedAgent(Generic[Limited]):
    """An agent whose turns wait until there is a place for them; implements `ports.Agent`.

    Waiting counts as time of the turn. One that never gets a place ends as if its time was over.
    """

    def __init__(self, agent: Limited, places: Places) -> None:
        self.agent = agent
        self.name = agent.name
        self.takes_prompt = agent.takes_prompt
        self._places = places

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns those of the agent itself."""
        return self.agent.credentials

    def probe(self) -> AgentHealth:
        """Returns the health of the agent itself."""
        return self.agent.probe()

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of one turn, once there is a place for it.

        Raises:
            DiskFailed: the locks cannot be made.
        """
        Disk().make_dir(self._places.directory)
        gives_up_at = time.monotonic() + request.timeout_s
        while (place := self._places.take()) is None:
            if cancelled():
                yield _ended(Ending.CANCELLED, "stopped on request while it waited for its turn")
                return
            if time.monotonic() >= gives_up_at:
                words = f"no place was free among the {self._places.many} of {self._places.group}"
                yield _ended(Ending.DEADLINE, words)
                return
            time.sleep(_POLL_S)
        request = replace(request, timeout_s=max(1.0, gives_up_at - time.monotonic()))
        try:
            yield from self.agent.run(request, worktree=worktree, cancelled=cancelled)
        finally:
            place.release()


def _ended(ending: Ending, words: str) -> Finished:
    return Finished(ending, None, words, Usage())
