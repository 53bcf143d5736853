"""A preset with two forms: led over ACP, unless a turn asks for what only its headless form can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.agents.acp.agent import AcpAgent
from orchestrator.agents.preset import PresetAgent
from orchestrator.model.agent import AgentEvent, AgentHealth, AgentRequest, Health


class PreferringAcp:
    """Chooses between the two forms of one agent for every turn; implements `ports.Agent`.

    A limit of turns or money is kept by the agent itself where its headless form can: it counts every call
    of its model, while over ACP we see tools and text alone and stop it from outside.
    """

    takes_prompt = True

    def __init__(self, acp: AcpAgent, headless: PresetAgent) -> None:
        self.name = acp.name
        self.acp = acp
        self.headless = headless

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns those of its own variables that hold keys."""
        return self.headless.credentials

    def probe(self) -> AgentHealth:
        """Returns the health of the program itself where it is installed, else of its bridge."""
        health = self.headless.probe()
        return self.acp.probe() if health.health is Health.MISSING else health

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of one turn."""
        return self.form(request).run(request, worktree=worktree, cancelled=cancelled)

    def form(self, request: AgentRequest) -> AcpAgent | PresetAgent:
        """Returns the form that a turn is led in."""
        limits = {"max_turns": request.max_turns, "max_cost_usd": request.max_cost_usd}
        asked = {name for name, limit in limits.items() if limit is not None}
        keeps = asked & self.headless.hard_limits
        return self.headless if keeps and self.headless.is_installed() else self.acp
