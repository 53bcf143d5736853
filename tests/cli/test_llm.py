"""Models as agents, as a user meets them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.scripted_model.server import ScriptedModel, Talk
from tests.scripted_model.steps import Answer

ANSWER = "Here:\n\n```python src/hello.py\nprint('hello')\n```\n"


@pytest.fixture
def talk(project: Path, call: Call) -> Iterator[Talk]:
    """Yields what a model of this machine is asked that can only chat; it is the one configured."""
    with ScriptedModel() as server:
        model = f"{{provider: ollama, name: scripted, base_url: '{server.url('x')}', capabilities: [chat]}}"
        text = f"models: {{main: {model}}}\n"
        (project / ".orchestrator" / "workflow.yaml").write_text(text)
        assert call("trust", "-y", cwd=project).status == 0
        yield server.add("x", (Answer(ANSWER),), plain=True)


def test_files_of_an_answer_become_a_result_with_artifacts_and_are_reported(
    talk: Talk, project: Path, call: Call
) -> None:
    ran = call("run", "greet", "--agent", "llm", "--run-id", "a", cwd=project)

    assert (ran.status, len(talk.asked)) == (0, 1)
    digest = hashlib.sha256(b"print('hello')\n").hexdigest()
    assert f"| `src/hello.py` | 15 | `{digest[:16]}…` |" in call("report", "a", cwd=project).out
    summary = json.loads(call("report", "a", "--json", cwd=project).out)
    (artifact,) = [each for each in summary["artifacts"] if each["type"] == "written"]
    assert artifact["hash"] == digest
    copy = project / ".orchestrator" / "artifacts" / artifact["path"]
    assert copy.read_text() == "print('hello')\n"
    assert summary["executions"][0]["id"] in artifact["path"]
    assert "hello.py" in call("diff", "a", cwd=project).out
    log = (project / ".orchestrator" / "logs" / "orchestrator.log").read_text()
    (line,) = [line for line in log.splitlines() if "agent.request" in line]
    assert "host='127.0.0.1' method='POST' status=200" in line
    assert "run_id='a'" in line
    assert "greet" not in line


def test_the_same_question_is_asked_again_only_when_that_is_wished(
    talk: Talk, project: Path, call: Call
) -> None:
    line = ("run", "greet", "--agent", "llm", "--integrate", "none")
    statuses = [call(*line, cwd=project).status, call(*line, cwd=project).status]
    asked_before = len(talk.asked)

    again = call(*line, "--no-cache", cwd=project)

    assert (statuses, again.status) == ([0, 0], 0)
    assert (asked_before, len(talk.asked)) == (1, 2)


def test_without_any_model_the_lines_to_write_are_shown(
    project: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")

    refused = call("run", "greet", "--agent", "llm", cwd=project)

    assert refused.status == 2
    assert "error[model-missing]" in refused.err
    assert "models: {main: {provider: anthropic, name: NAME}}" in refused.err


def test_plain_http_to_somebody_else_is_refused_before_a_run_begins(project: Path, call: Call) -> None:
    model = "{provider: openai, name: x, base_url: 'http://models.example/v1'}"
    (project / ".orchestrator" / "workflow.yaml").write_text(f"models: {{main: {model}}}\n")

    refused = call("run", "greet", "--agent", "llm", "--trust", cwd=project)

    assert refused.status == 2
    assert "error[address-plain]" in refused.err


def test_where_models_are_and_what_tools_run_is_approved_like_commands(project: Path, call: Call) -> None:
    text = (
        "models: {main: {provider: openai, name: x, base_url: 'https://models.example/v1'}}\n"
        "tools: {tests: {description: d, run: [make, test]}}\n"
    )
    (project / ".orchestrator" / "workflow.yaml").write_text(text)

    shown = call("trust", "--show", cwd=project)

    assert "models.main: asks x of openai at https://models.example/v1, with your key for it" in shown.out
    assert "tools.tests: make test, permission ask" in shown.out


def test_a_model_that_nobody_serves_is_shown_as_broken_beside_the_others(
    project: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    (project / ".orchestrator" / "workflow.yaml").write_text("agents: {helper: {kind: llm}}\n")

    listed = call("agents", "--json", cwd=project)
    checked = call("agents", "check", "helper", cwd=project)

    (helper,) = [each for each in listed.json["agents"] if each["name"] == "helper"]
    assert helper["health"] == "broken"
    assert "No model is configured" in helper["detail"]
    assert checked.status == 2
