"""Gives tests of the ACP adapter a scripted agent, and what it was sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.acp.agent import AcpAgent
from orchestrator.agents.acp.speaker import Speaker
from orchestrator.model.agent import AgentEvent, AgentRequest, Finished
from tests.agents.acp import fake_agent

USAGE = {"inputTokens": 240, "outputTokens": 60, "totalTokens": 300}
END = {"end": "end_turn", "usage": USAGE}
Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scripted:
    """Takes turns with scripted agents, in one tree."""

    place: Path
    tree: Path
    request: AgentRequest

    def agent(
        self, *turn: Step, speaker: Speaker | None = None, model: str = "", **script: object
    ) -> AcpAgent:
        """Returns an agent that plays `turn`; `speaker` holds what is known of it."""
        file = self.place / "script.json"
        file.write_text(json.dumps({"turn": turn, "record": str(self.place / "heard.jsonl"), **script}))
        known = replace(speaker or Speaker(""), program=sys.executable, args=(fake_agent.__file__, str(file)))
        return AcpAgent("fake", known, model=model)

    def take(
        self,
        agent: AcpAgent,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        **changes: object,
    ) -> list[AgentEvent]:
        """Returns the events of a turn."""
        request = replace(self.request, **changes)  # type: ignore[arg-type]
        return list(agent.run(request, worktree=self.tree, cancelled=cancelled))

    def end(self, *turn: Step, **script: Any) -> Finished:
        """Returns how a turn ends in which the agent plays these steps."""
        last = self.take(self.agent(*turn, **script))[-1]
        assert isinstance(last, Finished)
        return last

    def heard(self, method: str) -> list[dict[str, Any]]:
        """Returns the params of each message of this method that the agent was sent."""
        lines = (self.place / "heard.jsonl").read_text().splitlines()
        messages = [json.loads(line) for line in lines]
        return [message.get("params") or {} for message in messages if message.get("method") == method]


@pytest.fixture
def scripted(tmp_path: Path, worktree: Path, request_: AgentRequest) -> Scripted:
    place = tmp_path / "place"
    place.mkdir()
    return Scripted(place, worktree, request_)
