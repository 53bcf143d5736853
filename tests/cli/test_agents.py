"""`agents`: what is told of them, and what is remembered."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Call

CLAUDE = """#!/bin/sh
case "$*" in *--version*) echo '2.1.197 (Claude Code)'; exit;; esac
echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'
printf '{"type":"result","subtype":"success","is_error":%s,"result":"%s","session_id":"s","num_turns":1,'
echo '"usage":{"input_tokens":5,"output_tokens":1}%s}'
exit %d
"""


@pytest.fixture
def claude(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a program named claude on PATH, whose service answers."""
    place = home / "bin"
    place.mkdir()
    program = place / "claude"
    program.write_text(CLAUDE % ("false", "OK", "", 0))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IS_SANDBOX", "1")
    return program


def row(call: Call, where: Path, name: str = "claude") -> dict[str, object]:
    listed = call("agents", "--json", cwd=where).json["agents"]
    return next(each for each in listed if each["name"] == name)


def test_without_a_key_the_check_of_one_agent_ends_with_4_and_the_way_in(
    claude: Path, project: Path, call: Call
) -> None:
    (claude.parent / "codex").write_text("#!/bin/sh\necho 'codex-cli 0.169.0'\n")
    (claude.parent / "codex").chmod(0o755)

    answer = call("agents", "check", "codex", cwd=project)
    told = row(call, project, "codex")

    assert answer.status == 4
    assert answer.err == (
        "error[agent-login]: Agent codex has no key, and nobody is logged in.\nhint: codex login\n"
    )
    assert (told["login"], told["tested"]) == ("none", True)


def test_an_agent_that_cannot_even_be_made_does_not_hide_the_others(
    claude: Path, project: Path, call: Call
) -> None:
    listing = project / ".orchestrator" / "workflow.yaml"
    models = "models: {one: {provider: ollama, name: a}, two: {provider: ollama, name: b}}\n"
    listing.write_text(f"version: 1\n{models}agents: {{helper: {{kind: llm}}}}\n")

    all_of_them = call("agents", "check", cwd=project)
    told = row(call, project, "helper")

    assert all_of_them.status == 1
    assert (told["health"], told["detail"]) == (
        "broken",
        "Several models are configured (one, two), and nothing says which",
    )
    assert row(call, project)["health"] == "ready"
    assert call("agents", "check", "helper", cwd=project).status == 2


def test_a_key_that_the_built_in_agent_will_be_given_counts_as_one(
    claude: Path, project: Path, call: Call
) -> None:
    listing = project / ".orchestrator" / "workflow.yaml"
    models = "models: {main: {provider: anthropic, name: some}}\n"
    agents = "agents: {helper: {kind: llm, secrets: [ANTHROPIC_API_KEY]}, other: {kind: llm}}\n"
    listing.write_text(f"version: 1\n{models}{agents}")

    statuses = [call("agents", "check", name, cwd=project).status for name in ("helper", "other")]

    assert statuses == [0, 4]
    assert row(call, project, "helper")["login"] == "key"


def test_a_key_in_the_shell_is_enough_and_the_check_is_remembered(
    claude: Path, project: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-dummy-for-tests")

    before = row(call, project)["last"]
    answer = call("agents", "check", "claude", cwd=project)
    last = row(call, project)["last"]

    assert answer.status == 0
    assert before is None
    assert isinstance(last, dict)
    assert (last["what"], last["how"], last["ok"]) == ("checked", "ready", True)
    assert "checked " in call("agents", cwd=project).out


def test_a_version_that_nobody_tried_is_told(
    claude: Path, project: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    claude.write_text("#!/bin/sh\necho '0.0.1 (Claude Code)'\n")

    assert row(call, project)["tested"] is False
    assert "untried" in call("agents", cwd=project).out


def test_a_turn_is_taken_only_when_it_is_asked_for(
    claude: Path, project: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-dummy-for-tests")

    good = call("agents", "check", "claude", "--turn", cwd=project)
    nobody = call("agents", "check", "--turn", cwd=project)
    claude.write_text(CLAUDE % ("true", "API Error: 401 invalid key", ',"api_error_status":401', 1))
    refused = call("agents", "check", "claude", "--turn", cwd=project)
    claude.write_text(CLAUDE % ("true", "API Error: 500", ',"api_error_status":500', 1))
    broken = call("agents", "check", "claude", "--turn", cwd=project)

    assert (good.status, good.err) == (0, "")
    assert nobody.status == 2
    assert refused.status == 4
    assert "accepts no key" in refused.err
    assert broken.status == 1
    assert "failed: " in broken.out
    assert row(call, project)["last"] is not None


def test_doctor_tells_of_agents_without_a_login_and_of_those_that_failed(
    claude: Path, project: Path, call: Call
) -> None:
    (claude.parent / "codex").write_text("#!/bin/sh\necho 'codex-cli 0.169.0'\n")
    (claude.parent / "codex").chmod(0o755)
    config = project / ".orchestrator" / "workflow.yaml"
    config.write_text(config.read_text() + "\nagents: {codex: {kind: codex}}\n")
    call("run", "x", "--command", "false", "--run-id", "a", "--trust", cwd=project)

    found = json.loads(call("doctor", "--json", cwd=project).out)["checks"]
    by_id = {each["id"]: each for each in found}

    assert by_id["agents-login"]["status"] == "warn"
    assert "codex login" in str(by_id["agents-login"]["evidence"])
    assert by_id["agents-last-seen"]["status"] == "warn"
    assert "command: worked" in str(by_id["agents-last-seen"]["evidence"])
