from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.acp.agent import AcpAgent
from orchestrator.agents.acp.preferring import PreferringAcp
from orchestrator.agents.acp.speaker import SPEAKERS
from orchestrator.agents.preset import PresetAgent
from orchestrator.agents.registry import build, discover, pick_default, require
from orchestrator.config.schema import Agent as AgentConfig
from orchestrator.errors import CredentialMissing, Refused
from orchestrator.model.agent import AgentRequest, Cause, Ending, Finished, Health, Login
from tests.agents.acp import fake_agent

SHOW = """#!{python}
import json, os, sys
json.dump({{"argv": sys.argv[1:], "env": dict(os.environ)}}, open("shown.json", "w"))
"""
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Returns a function that puts programs on PATH which only show how they were started."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))

    def put(*names: str) -> Path:
        for name in names:
            (place / name).write_text(SHOW.format(python=sys.executable))
            (place / name).chmod(0o755)
        return place

    return put


def started(agent: Any, request: AgentRequest, worktree: Path) -> dict[str, Any]:
    """Returns the words and variables that the program of an agent was started with."""
    list(agent.run(request, worktree=worktree, cancelled=lambda: False))
    facts = json.loads((worktree / "shown.json").read_text())
    assert isinstance(facts, dict)
    return facts


@pytest.mark.parametrize(
    ("name", "programs", "expected"),
    [
        ("claude", ["claude"], PresetAgent),
        ("claude", ["claude", "claude-agent-acp"], PreferringAcp),
        ("claude", ["claude-agent-acp"], PreferringAcp),
        ("codex", ["codex"], PresetAgent),
        ("codex", ["codex", "codex-acp"], PreferringAcp),
        ("gemini", ["gemini"], PreferringAcp),
        ("copilot", ["copilot"], PreferringAcp),
        ("opencode", ["opencode"], PreferringAcp),
        ("gemini", [], PresetAgent),
    ],
)
def test_a_preset_is_led_over_acp_where_it_or_its_bridge_is_installed(
    name: str, programs: list[str], expected: type, install: Install
) -> None:
    install(*programs)

    assert type(build(name, {})) is expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (AgentConfig(kind="gemini", via="headless"), PresetAgent),
        (AgentConfig(kind="gemini", via="acp", args=("--debug",)), AcpAgent),
        (AgentConfig(kind="gemini", args=("--debug",)), PresetAgent),
        (AgentConfig(kind="gemini", model="m"), PreferringAcp),
    ],
)
def test_via_decides_and_words_for_a_command_line_ask_for_the_headless_form(
    config: AgentConfig, expected: type, install: Install
) -> None:
    install("gemini")

    assert type(build("mine", {"mine": config})) is expected


def test_a_limit_that_only_the_headless_form_keeps_asks_for_it(
    install: Install, request_: AgentRequest
) -> None:
    install("claude", "claude-agent-acp", "codex", "codex-acp")
    claude, codex = build("claude", {}), build("codex", {})
    assert isinstance(claude, PreferringAcp)
    assert isinstance(codex, PreferringAcp)
    limited = replace(request_, max_turns=3)

    assert isinstance(claude.form(request_), AcpAgent)
    assert isinstance(claude.form(limited), PresetAgent)
    assert isinstance(claude.form(replace(request_, max_cost_usd=1.0)), PresetAgent)
    assert isinstance(codex.form(limited), AcpAgent)


def test_a_bridge_alone_is_asked_in_spite_of_limits(install: Install, request_: AgentRequest) -> None:
    install("claude-agent-acp")
    claude = build("claude", {})
    assert isinstance(claude, PreferringAcp)

    assert isinstance(claude.form(replace(request_, max_turns=3)), AcpAgent)
    assert claude.probe().health is Health.READY


def test_without_the_package_presets_are_led_headless_and_acp_is_refused_with_what_to_install(
    install: Install, request_: AgentRequest, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("gemini", "codex-acp")
    monkeypatch.setitem(sys.modules, "acp", None)  # as Python itself marks a module that cannot be had
    acp = build("gemini", {"gemini": AgentConfig(kind="gemini", via="acp")})

    assert isinstance(build("gemini", {}), PresetAgent)
    assert [name for name, _ in discover(os.environ)] == ["gemini"]
    assert acp.probe().health is Health.BROKEN
    for attempt in (
        lambda: require(acp),
        lambda: acp.run(request_, worktree=worktree, cancelled=lambda: False),
    ):
        with pytest.raises(Refused) as error:
            attempt()
        assert (error.value.code, error.value.exit_status) == ("extra-missing", 2)
        assert error.value.hint == "pip install 'orchestrator[agents]'"


def test_a_bridge_counts_when_an_agent_is_looked_for(install: Install) -> None:
    install("codex-acp")

    assert pick_default(os.environ) == "codex"
    assert [name for name, _ in discover(os.environ)] == ["codex"]


@pytest.mark.parametrize(
    ("name", "program", "words"),
    [
        ("claude", "claude-agent-acp", []),
        ("codex", "codex-acp", []),
        ("gemini", "gemini", ["--acp", "--skip-trust", "-m", "M"]),
        ("copilot", "copilot", ["--acp", "--no-auto-update", "--model", "M"]),
        ("opencode", "opencode", ["acp"]),
    ],
)
def test_each_preset_is_started_to_speak_acp_with_its_model_and_its_own_variables(
    name: str, program: str, words: list[str], install: Install, request_: AgentRequest, worktree: Path
) -> None:
    install(program)
    agent = build(name, {name: AgentConfig(kind=name, via="acp", model="M", env={"OWN": "1"})})
    caller = {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "o", "GEMINI_API_KEY": "g", "SOME_SECRET": "s"}

    facts = started(agent, replace(request_, environment=caller), worktree)

    assert facts["argv"] == words
    environment = facts["env"]
    assert environment["OWN"] == "1"
    assert environment["ORCHESTRATOR_EXECUTION"] == request_.marker
    assert "SOME_SECRET" not in environment
    assert environment.get("ANTHROPIC_MODEL") == ("M" if name == "claude" else None)
    assert ("OPENAI_API_KEY" in environment) is (name in ("codex", "opencode"))


@pytest.mark.parametrize(
    ("name", "program", "variable"),
    [
        ("claude", "claude-agent-acp", "CLAUDE_CONFIG_DIR"),
        ("codex", "codex-acp", "CODEX_HOME"),
        ("gemini", "gemini", "GEMINI_CLI_HOME"),
        ("copilot", "copilot", "COPILOT_HOME"),
    ],
)
def test_a_contained_preset_is_led_to_a_home_of_its_own_over_acp_too(
    name: str, program: str, variable: str, install: Install, request_: AgentRequest, worktree: Path
) -> None:
    install(program)
    agent = build(name, {name: AgentConfig(kind=name, via="acp")})
    place = str(worktree.parent / "contained")

    facts = started(agent, replace(request_, environment={variable: "/users"}, home=place), worktree)

    assert facts["env"][variable] == place
    assert Path(place).is_dir()


def test_the_model_of_codex_joins_the_settings_that_are_there(
    install: Install, request_: AgentRequest, worktree: Path
) -> None:
    install("codex-acp")

    def settings(**env: str) -> object:
        agent = build("codex", {"codex": AgentConfig(kind="codex", via="acp", model="M", env=env)})
        return json.loads(started(agent, request_, worktree)["env"]["CODEX_CONFIG"])

    assert settings() == {"model": "M"}
    assert settings(CODEX_CONFIG='{"model": "old", "a": 1}') == {"model": "M", "a": 1}
    assert settings(CODEX_CONFIG="nonsense") == {"model": "M"}


def test_a_home_of_ours_is_made_ready_and_told(
    tmp_path: Path, install: Install, request_: AgentRequest, worktree: Path
) -> None:
    install("claude-agent-acp")
    place = tmp_path / "agents" / "claude"
    agent = build("claude", {"claude": AgentConfig(kind="claude", via="acp")})

    contained = started(agent, replace(request_, home=str(place)), worktree)
    shared = started(agent, request_, worktree)

    assert contained["env"]["CLAUDE_CONFIG_DIR"] == str(place)
    assert place.is_dir()
    assert "CLAUDE_CONFIG_DIR" not in shared["env"]
    assert contained["env"]["DISABLE_TELEMETRY"] == "1"


def test_who_is_not_logged_in_is_told_how_to(
    install: Install, request_: AgentRequest, worktree: Path
) -> None:
    place = install("codex-acp")
    (place / "codex-acp").write_text(f"#!{sys.executable}\nimport sys; sys.exit('you are not logged in')\n")
    agent = build("codex", {"codex": AgentConfig(kind="codex", via="acp")})

    health = agent.probe()
    *_, end = agent.run(request_, worktree=worktree, cancelled=lambda: False)

    with pytest.raises(CredentialMissing) as error:
        require(agent)
    assert (error.value.code, error.value.exit_status) == ("agent-login", 4)
    assert error.value.hint.startswith("codex login, or store a key with: ")
    assert (health.login, health.detail) == (Login.NONE, "not logged in: codex login")
    assert isinstance(end, Finished)
    assert (end.ending, end.cause) == (Ending.FAILED, Cause.CREDENTIAL)
    assert end.detail.endswith("give it a key, or log in with: codex login")


def test_an_agent_of_the_configuration_speaks_acp(
    tmp_path: Path, request_: AgentRequest, worktree: Path
) -> None:
    heard = tmp_path / "heard.jsonl"
    script = tmp_path / "script.json"
    modes = {
        "currentModeId": "ask",
        "availableModes": [{"id": "ask", "name": "a"}, {"id": "do", "name": "d"}],
    }
    script.write_text(
        json.dumps(
            {
                "turn": [{"say": "Done."}, {"end": "end_turn"}],
                "record": str(heard),
                "initialize": {"authMethods": [{"id": "key", "name": "k"}]},
                "needs_authentication": True,
                "new": {"modes": modes},
            }
        )
    )
    config = AgentConfig(
        kind="acp",
        command=(sys.executable, fake_agent.__file__),
        args=(str(script),),
        mode="do",
        authenticate="key",
    )

    agent = build("goose", {"goose": config})
    events = list(agent.run(request_, worktree=worktree, cancelled=lambda: False))

    assert isinstance(events[-1], Finished)
    assert (events[-1].ending, events[-1].answer) == (Ending.FINISHED, "Done.")
    sent = [json.loads(line) for line in heard.read_text().splitlines()]
    assert [message["method"] for message in sent if "method" in message] == [
        *("initialize", "session/new", "authenticate", "session/new", "session/set_mode", "session/prompt")
    ]
    assert sent[4]["params"]["modeId"] == "do"


def test_probing_tells_the_package_of_a_bridge_and_starts_nothing(tmp_path: Path, install: Install) -> None:
    place = install("codex-acp", "claude-agent-acp")
    package = tmp_path / "node_modules" / "@x" / "claude-agent-acp"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text('{"name": "@x/claude-agent-acp", "version": "0.49.0"}')
    (place / "claude-agent-acp").rename(package / "dist" / "index.js")
    (place / "claude-agent-acp").symlink_to(package / "dist" / "index.js")

    found = AcpAgent("claude", SPEAKERS["claude"]).probe()
    plain = AcpAgent("codex", SPEAKERS["codex"]).probe()
    missing = AcpAgent("gemini", SPEAKERS["gemini"]).probe()

    assert (found.health, found.version) == (Health.READY, "@x/claude-agent-acp 0.49.0")
    assert (plain.health, plain.path, plain.version) == (Health.READY, str(place / "codex-acp"), "")
    assert (missing.health, missing.detail) == (Health.MISSING, "gemini was not found on PATH")


def test_nothing_of_the_wire_is_imported_before_a_turn(tmp_path: Path) -> None:
    code = (
        "import sys; import orchestrator.agents.registry, orchestrator.cli.agents; "
        "print(*sorted({'acp', 'asyncio', 'pydantic_ai', 'openai', 'anthropic'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
