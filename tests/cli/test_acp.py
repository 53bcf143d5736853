from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.agents.acp import fake_agent
from tests.cli.conftest import Call

USAGE = {"inputTokens": 240, "outputTokens": 60, "totalTokens": 300}
TURN = [
    {"tool": {"write": "made.txt", "ask": ["allow_always", "allow_once", "reject_once"]}},
    {"say": "I made made.txt."},
    {"end": "end_turn", "usage": USAGE},
]


@pytest.fixture
def spoken(project: Path, tmp_path: Path) -> Path:
    """Returns a repository whose agent `goose` speaks ACP and writes a file."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"turn": TURN}))
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
