"""Gives tests of agents a request, and a way to run one turn to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.model.agent import AgentEvent, AgentRequest, Finished
from orchestrator.ports import Agent

MARK = f"mark-{uuid4().hex}"  # the processes of tests running beside are not ours
Turn = Callable[..., list[AgentEvent]]


@pytest.fixture
def worktree(tmp_path: Path, home: Path) -> Path:
    place = tmp_path / "tree"
    place.mkdir()
    return place


@pytest.fixture
def request_(tmp_path: Path) -> AgentRequest:
    return AgentRequest(
        prompt="repair it",
        transcript=str(tmp_path / "artifacts" / "step-1.log"),
        marker=MARK,
        timeout_s=60.0,
        idle_timeout_s=60.0,
    )


@pytest.fixture
def take(worktree: Path, request_: AgentRequest) -> Turn:
    """Returns a function that runs one turn of an agent and returns all its events."""

    def run(agent: Agent, **changes: object) -> list[AgentEvent]:
        request = replace(request_, **changes)  # type: ignore[arg-type]
        return list(agent.run(request, worktree=worktree, cancelled=lambda: False))

    return run


def finished(events: list[AgentEvent]) -> Finished:
    """Returns the last event of a turn, which must be the only one of its kind."""
    ends = [event for event in events if isinstance(event, Finished)]
    assert ends == events[-1:]
    return ends[0]
