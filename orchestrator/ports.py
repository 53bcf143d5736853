"""The seams: what the engine needs of rooms it must not import; each has two real implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from orchestrator.model.agent import AgentEvent, AgentHealth, AgentRequest
from orchestrator.model.plan import Plan, PlanRequest


class Agent(Protocol):
    """Works on a task in a tree. Implementations: `agents.command`, `agents.preset`."""

    @property
    def name(self) -> str:
        """Returns the name by which configuration and reports know it."""
        ...

    @property
    def takes_prompt(self) -> bool:
        """Returns whether a prompt reaches it; one that takes none does the same on every attempt."""
        ...

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns the variables of the caller's that hold its keys and that it takes where they are set."""
        ...

    def probe(self) -> AgentHealth:
        """Returns whether it can be started; fast, free, offline."""
        ...

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields what happens: one `Started` first (unless it cannot start), exactly one `Finished` last.

        `cancelled` is polled at least once a second; when it turns true, or the iterator is closed,
        every process of the turn is gone before the iterator ends.
        """
        ...


class Planner(Protocol):
    """Turns a task into phases. Implementations: `planning.single`, `planning.asked`."""

    def plan(self, request: PlanRequest) -> Plan | None:
        """Returns the plan, None when the work was stopped before there was one.

        Raises:
            PlanInvalid: no usable plan came about.
            Failed: whoever was asked failed.
        """
        ...
