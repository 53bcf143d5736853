from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.agents.command import CommandAgent
from orchestrator.agents.preset import PRESETS, PresetAgent
from orchestrator.agents.registry import build, command_agent, discover, passed_secrets, pick_default, require
from orchestrator.config.schema import PRESETS as CONFIGURED_PRESETS
from orchestrator.config.schema import Agent as AgentConfig
from orchestrator.config.schema import Limits
from orchestrator.errors import CredentialMissing, Refused
from orchestrator.model.agent import Health


def put(directory: Path, name: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text("#!/bin/sh\necho 1.2.3\n")
    (directory / name).chmod(0o755)


def agent(**keys: object) -> AgentConfig:
    return AgentConfig.model_validate(keys)


def test_a_preset_needs_no_configuration() -> None:
    made = build("codex", {})

    assert isinstance(made, PresetAgent)
    assert made.argv("x")[:2] == ("codex", "exec")


def test_every_preset_of_the_configuration_can_be_built() -> None:
    assert tuple(PRESETS) == CONFIGURED_PRESETS


def test_a_configured_preset_brings_model_words_and_variables() -> None:
    configured = {"big": agent(kind="claude", model="opus", args=["--max-turns", "3"])}

    own = build("big", configured)
    of_the_step = build("big", configured, model="sonnet")

    assert isinstance(own, PresetAgent)
    assert isinstance(of_the_step, PresetAgent)
    assert own.name == "big"
    assert own.argv("x")[-4:] == ("--model", "opus", "--max-turns", "3")
    assert of_the_step.argv("x")[-4:] == ("--model", "sonnet", "--max-turns", "3")


def test_a_configured_command_keeps_its_words_and_adds_its_args() -> None:
    configured = {"fixer": agent(kind="command", command=["ruff", "check"], args=["--fix", "."])}

    made = build("fixer", configured, limits=Limits(memory_mb=100))

    assert isinstance(made, CommandAgent)
    assert made.argv == ("ruff", "check", "--fix", ".")


def test_a_command_may_take_the_name_of_a_preset() -> None:
    made = build("claude", {"claude": agent(kind="command", command=["my-claude"])})

    assert isinstance(made, CommandAgent)


def test_a_model_asked_of_a_command_is_refused() -> None:
    with pytest.raises(Refused) as error:
        build("fixer", {"fixer": agent(kind="command", command=["ruff"])}, model="sonnet")

    assert error.value.code == "agent-model"


@pytest.mark.parametrize(("name", "hint"), [("cluade", "claude"), ("fixxer", "fixer"), ("zzz", "codex")])
def test_an_unknown_agent_is_refused_with_the_nearest_or_all_names(name: str, hint: str) -> None:
    with pytest.raises(Refused) as error:
        build(name, {"fixer": agent(kind="command", command=["ruff"])})

    assert (error.value.code, error.value.exit_status) == ("agent-unknown", 2)
    assert hint in error.value.hint


def test_the_first_preset_on_path_is_the_default(tmp_path: Path) -> None:
    put(tmp_path / "bin", "opencode")
    put(tmp_path / "bin", "codex")

    assert pick_default({"PATH": str(tmp_path / "bin")}) == "codex"


def test_without_any_agent_the_default_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as error:
        pick_default({"PATH": f"{tmp_path}:."})

    assert (error.value.code, error.value.exit_status) == ("agent-missing", 2)
    assert "--command" in error.value.hint


def test_discovering_lists_what_is_on_path_with_versions(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "bin", "gemini")
    put(tmp_path / "bin", "codex")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/bin{os.pathsep}/usr/bin")

    found = [(name, health) for name, health in discover() if "bin" in health.path]

    ours = [(name, health.version) for name, health in found if health.path.startswith(str(tmp_path))]
    assert ours == [("codex", "1.2.3"), ("gemini", "1.2.3")]


def test_what_is_required_must_be_there(tmp_path: Path, home: Path) -> None:
    put(tmp_path / "bin", "tool")

    ready = require(command_agent((str(tmp_path / "bin" / "tool"), "--fix")))
    with pytest.raises(Refused) as missing:
        require(command_agent(("no-such-tool-anywhere",)))

    assert ready.health is Health.READY
    assert (missing.value.code, missing.value.exit_status) == ("agent-missing", 2)


def test_what_is_there_but_broken_is_refused(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "bin", "codex")
    (tmp_path / "bin" / "codex").write_text("#!/bin/sh\nexit 9\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")

    with pytest.raises(Refused) as error:
        require(build("codex", {}))

    assert error.value.code == "agent-broken"


def test_a_command_line_without_words_is_refused() -> None:
    with pytest.raises(Refused) as error:
        command_agent(())

    assert error.value.code == "agent-command-invalid"


def test_keys_that_presets_are_given_are_secrets_and_their_places_are_not() -> None:
    environment = {
        "ANTHROPIC_API_KEY": "correct-horse",
        "CLAUDE_CONFIG_DIR": "/somewhere/else",
        "GH_TOKEN": "proxy-injected",
        "GITHUB_TOKEN": "",
        "UNRELATED_KEY": "battery-staple",
    }

    assert list(passed_secrets(environment)) == [("ANTHROPIC_API_KEY", "correct-horse")]


def test_an_agent_without_key_and_login_is_refused_with_the_command_that_logs_in(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "bin", "codex")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")

    with pytest.raises(CredentialMissing) as error:
        require(build("codex", {}))

    assert (error.value.code, error.value.exit_status) == ("agent-login", 4)
    assert error.value.hint.startswith("codex login")


@pytest.mark.parametrize(
    ("configured", "given"),
    [
        ({"secrets": ["OPENAI_API_KEY"]}, []),
        ({"env": {"MY_GATEWAY": "http://127.0.0.1:1"}}, []),
        ({"state": "contained"}, []),
        ({}, ["CODEX_API_KEY"]),
    ],
)
def test_whatever_may_prove_who_asks_lets_an_agent_begin(
    configured: dict[str, object],
    given: list[str],
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(tmp_path / "bin", "codex")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")

    health = require(build("codex", {"codex": agent(kind="codex", via="headless", **configured)}), given)

    assert health.health is Health.READY
