from __future__ import annotations

import pytest

from orchestrator.config.schema import Agent as AgentConfig
from orchestrator.engine.agent_home import is_contained

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


def configured(**more: object) -> AgentConfig:
    return AgentConfig.model_validate({"kind": "claude", **more})


@pytest.mark.parametrize(
    ("agent", "contained"),
    [
        (None, False),
        (configured(), False),
        (configured(env={"ANTHROPIC_API_KEY": "x"}), True),
        (configured(secrets=["ANTHROPIC_AUTH_TOKEN"]), True),
        (configured(env={"HTTPS_PROXY": "x"}, secrets=["NPM_TOKEN"]), False),
        (configured(state="contained"), True),
        (configured(state="shared", secrets=["ANTHROPIC_API_KEY"]), False),
    ],
)
def test_an_agents_state_is_contained_where_its_key_is_given_to_it_or_where_that_is_said(
    agent: AgentConfig | None, contained: bool
) -> None:
    assert is_contained(agent, KEYS) is contained


@pytest.mark.parametrize("kind", ["command", "acp"])
def test_state_is_refused_where_nothing_is_known_of_it(kind: str) -> None:
    with pytest.raises(ValueError, match="`state` belongs to presets"):
        AgentConfig.model_validate({"kind": kind, "command": ["x"], "state": "contained"})
