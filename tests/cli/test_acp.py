from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agents.acp import fake_agent
from tests.agents.contract.stage import HANGING
from tests.cli.conftest import Call

USAGE = {"inputTokens": 240, "outputTokens": 60, "totalTokens": 300}
TURN = [
    {"tool": {"write": "made.txt", "ask": ["allow_always", "allow_once", "reject_once"]}},
    {"say": "I made made.txt."},
    {"end": "end_turn", "usage": USAGE},
]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Returns the file that says what the agent does: it writes a file."""
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"turn": TURN}))
    return file


@pytest.fixture
def spoken(project: Path, script: Path) -> Path:
    """Returns a repository whose agent `goose` speaks ACP."""
    words = json.dumps([sys.executable, fake_agent.__file__, str(script)])
    (project / ".orchestrator" / "workflow.local.yaml").write_text(
        f"agents:\n  goose: {{kind: acp, command: {words}}}\n"
    )
    return project


def test_a_run_is_worked_on_over_acp_and_its_log_tells_what_was_asked_and_spent(
    spoken: Path, call: Call
) -> None:
    done = call("run", "make a file", "--agent", "goose", "--run-id", "r", "--trust", cwd=spoken)

    assert done.status == 0, done.err
    assert "made.txt" in call("diff", "r", cwd=spoken).out
    events = call("log", "r", "--json", cwd=spoken).out
    assert '"granted":true' in events.replace(" ", "")
    assert "fake-session-1" in events
    usage = call("status", "r", "--json", cwd=spoken).json["runs"][0]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (240, 60)


def test_without_the_package_a_run_is_refused_with_what_to_install_and_nothing_is_changed(
    spoken: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "acp", None)  # as Python itself marks a module that cannot be had

    refused = call("run", "make a file", "--agent", "goose", "--run-id", "r", "--trust", cwd=spoken)

    assert refused.status == 2
    assert refused.err.splitlines()[-2:] == [
        "error[extra-missing]: Agent goose cannot be led over ACP: "
        "the package agent-client-protocol is not installed.",
        "hint: pip install 'orchestrator[agents]'",
    ]
    assert call("status", "--json", cwd=spoken).json["runs"] == []


def test_a_run_that_was_killed_goes_on_in_the_agents_own_session(
    spoken: Path, script: Path, tmp_path: Path, call: Call
) -> None:
    script.write_text(json.dumps({"turn": [{"tool": {"write": "half.txt"}}, {"hang": True}]}))
    words = ["run", "make a file", "--agent", "goose", "--run-id", "r", "--trust"]
    killed = subprocess.Popen([sys.executable, "-m", "orchestrator", *words], cwd=spoken)
    _await((spoken / ".orchestrator" / "worktrees" / "r" / "main" / HANGING).exists)
    killed.kill()
    killed.wait()

    heard = tmp_path / "heard.jsonl"
    script.write_text(json.dumps({"turn": TURN, "sessions": [fake_agent.SESSION], "record": str(heard)}))
    resumed = call("resume", "r", "--trust", cwd=spoken)

    assert resumed.status == 0, resumed.err
    sent = [json.loads(line) for line in heard.read_text().splitlines()]
    asked = {message["method"]: message["params"] for message in sent if "method" in message}
    assert asked["session/load"]["sessionId"] == fake_agent.SESSION
    assert "session/new" not in asked
    prompt = asked["session/prompt"]["prompt"][0]["text"]
    assert "interrupted" in prompt
    assert "half.txt" in prompt
    assert {"half.txt", "made.txt"} <= set(call("diff", "r", "--stat", cwd=spoken).out.split())


def _await(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.05)
