"""Agents known by name, from the command line to their home under `.orchestrator/`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.conftest import GitCall

CODEX = """#!/bin/sh
case "$1" in --version) echo codex-cli 0.169.0; exit;; esac
echo made > made.txt
mkdir -p "$CODEX_HOME/sessions"
echo own > "$CODEX_HOME/sessions/one"
chmod 555 "$CODEX_HOME/sessions"
echo '{"type":"thread.started","thread_id":"019a8d52-6a1f"}'
echo '{"type":"item.completed","item":{"id":"i","type":"agent_message","text":"I made it."}}'
echo '{"type":"turn.completed","usage":{"input_tokens":240,"cached_input_tokens":40,"output_tokens":60}}'
"""
CONFIGURED = """version: 1
agents:
  codex: {kind: codex, via: headless, secrets: [OPENAI_API_KEY]}
workflows: {default: [{agent: codex}]}
"""


@pytest.fixture
def codex(repository: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a trusted repository where a scripted codex works with a key that is given to it."""
    program = tmp_path / "programs" / "codex"
    program.parent.mkdir()
    program.write_text(CODEX)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (repository / ".orchestrator").mkdir()
    (repository / ".orchestrator" / "workflow.yaml").write_text(CONFIGURED)
    assert call("init", "--trust", cwd=repository).status == 0
    return repository


def test_an_agent_with_a_key_of_its_own_keeps_its_state_with_the_repository_and_deinit_takes_it_out(
    codex: Path, call: Call, git: GitCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "dummy-key-of-codex")

    ran = call("run", "make it", "--run-id", "a", "--json", cwd=codex)
    home = codex / ".orchestrator" / "agents" / "codex"
    kept = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    health = call("doctor", "--json", cwd=codex)
    ignored = git(codex, "status", "--porcelain", "--ignored=no")
    gone = call("deinit", "--yes", "--export", str(codex.parent / "out.bundle"), cwd=codex)

    assert ran.status == 0, ran.err
    kinds = {line["kind"]: line for line in map(json.loads, ran.out.splitlines())}
    assert kinds["agent.session"]["agent_session"] == "019a8d52-6a1f"
    assert kinds["agent.said"]["text"] == "I made it."
    assert kinds["agent.usage"]["input_tokens"] == 240
    assert kept == ["config.toml", "sessions/one"]
    assert {check["status"] for check in health.json["checks"] if check["group"] == "layout"} == {"ok"}
    assert "agents/" not in ignored
    assert gone.status == 0, gone.err
    assert not (codex / ".orchestrator").exists()


def test_settings_of_an_agent_that_the_repository_brings_are_never_used(
    codex: Path, call: Call, git: GitCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "dummy-key-of-codex")
    brought = codex / ".orchestrator" / "agents" / "codex" / "config.toml"
    brought.parent.mkdir(parents=True)
    brought.write_text('notify = ["touch", "started"]\n')
    git(codex, "add", "--force", ".orchestrator/agents")
    git(codex, "commit", "-m", "settings of mine")

    refused = call("run", "make it", "--run-id", "a", cwd=codex)
    checked = call("agents", "check", "codex", "--turn", cwd=codex)
    git(codex, "rm", "-r", ".orchestrator/agents")

    assert (refused.status, checked.status) == (2, 2)
    assert "error[agent-home-supplied]" in refused.err
    assert "error[agent-home-supplied]" in checked.err
    assert "hint: Look at them, and take them out: git rm -r .orchestrator/agents\n" in refused.err
    assert call("status", cwd=codex).out == ""
    assert call("run", "make it", "--run-id", "a", cwd=codex).status == 0


def test_an_agent_that_nobody_has_logged_in_is_refused_before_anything_begins(
    codex: Path, call: Call
) -> None:
    (codex / ".orchestrator" / "workflow.local.yaml").write_text("agents: {codex: {secrets: []}}\n")
    assert call("trust", "--yes", cwd=codex).status == 0

    refused = call("run", "make it", cwd=codex)

    assert refused.status == 4
    assert "error[agent-login]: Agent codex has no key, and nobody is logged in." in refused.err
    assert "hint: codex login, or store a key with: orchestrator secrets set CODEX_API_KEY" in refused.err
    assert not (codex / ".orchestrator" / "agents").exists()
