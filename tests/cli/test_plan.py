"""`plan`, and `run` with a planner, as they are typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.conftest import GitCall

PLAN = {
    "phases": [
        {"id": "p1", "name": 'Say "hello"', "description": "Say it.", "dependencies": []},
        {
            "id": "p2",
            "name": "Say <more>",
            "description": "Go on.",
            "dependencies": ["p1"],
            "risk_level": "high",
        },
    ]
}
FLOW = """
roles: {{planner: thinker}}
agents:
  thinker: {{kind: command, command: {thinker}}}
  worker: {{kind: command, command: {worker}}}
workflows: {{default: [{{agent: worker}}]}}
verify: {{}}
"""


@pytest.fixture
def planned(project: Path, call: Call, tmp_path: Path) -> Path:
    """Returns a repository whose planner says what stands in `answer.txt` beside it."""
    answer = tmp_path / "answer.txt"
    answer.write_text(json.dumps(PLAN))
    thinker = [sys.executable, "-c", f"print(open({str(answer)!r}).read())"]
    worker = [sys.executable, "-c", "open('log', 'a').write('x')"]
    (project / ".orchestrator" / "workflow.yaml").write_text(
        FLOW.format(thinker=json.dumps(thinker), worker=json.dumps(worker))
    )
    assert call("trust", "--yes", cwd=project).status == 0
    return project


def test_plan_shows_the_phases_as_a_table_and_as_a_flowchart(planned: Path, call: Call) -> None:
    table = call("plan", "greet", cwd=planned)
    chart = call("plan", "greet", "--mermaid", cwd=planned)

    assert (table.status, chart.status) == (0, 0)
    assert table.out.splitlines() == [
        "PHASE  AFTER  COMPLEXITY  RISK  NAME",
        'p1     -      medium      low   Say "hello"',
        "p2     p1     medium      high  Say <more>",
    ]
    assert chart.out.splitlines() == [
        "flowchart TD",
        '    p1["p1: Say #quot;hello#quot;"]',
        '    p2["p2: Say #lt;more#gt;"]',
        "    p1 --> p2",
    ]


def test_plan_as_json_is_a_plan_file(planned: Path, call: Call, tmp_path: Path) -> None:
    shown = call("plan", "greet", "--json", cwd=planned)
    (tmp_path / "plan.json").write_text(shown.out)

    again = call("run", "greet", "--plan", str(tmp_path / "plan.json"), "--dry-run", "--json", cwd=planned)

    assert [each["id"] for each in shown.json["phases"]] == ["p1", "p2"]
    assert [each["id"] for each in again.json["phases"]] == ["p1", "p2"]
    assert call("status", "--json", cwd=planned).json["runs"] == []


def test_without_a_planner_there_is_one_phase_and_it_is_said(project: Path, call: Call) -> None:
    answer = call("plan", "greet", cwd=project)

    assert answer.status == 0
    assert answer.out.splitlines()[1].split() == ["phase-001", "-", "medium", "low", "greet"]
    assert "no agent has the role `planner`" in answer.err


def test_a_plan_that_never_becomes_usable_ends_with_3_and_a_run_with_6(
    planned: Path, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "answer.txt").write_text("no")

    plan = call("plan", "greet", cwd=planned)
    run = call("run", "greet", "--run-id", "a", cwd=planned)
    asked = call("interventions", cwd=planned)

    assert plan.status == 3
    assert "error[plan-unusable]: No usable plan came of 3 answers." in plan.err
    assert run.status == 6
    assert "waits for a plan" in run.out
    assert "orchestrator resume a" in asked.out


def test_run_says_who_is_asked_for_the_plan_and_then_shows_it(planned: Path, call: Call) -> None:
    preview = call("run", "greet", "--dry-run", cwd=planned)
    answer = call("run", "greet", "--run-id", "a", cwd=planned)

    assert "  plan      thinker is asked for it first" in preview.out
    assert answer.status == 0
    assert "thinker is asked for a plan" in answer.err
    assert 'plan: p1 Say "hello", p2 Say <more>' in answer.err


def test_plan_needs_trust_and_a_task(project: Path, call: Call, planned: Path, git: GitCall) -> None:
    assert call("plan", "  ", cwd=planned).status == 2
    assert call("trust", "--revoke", cwd=planned).status == 0
    refused = call("plan", "greet", cwd=planned)

    assert refused.status == 2
    assert "error[not-trusted]" in refused.err
    assert "roles.planner: agent thinker" in refused.err


def test_templates_of_the_repository_need_trust_and_unknown_placeholders_are_named(
    planned: Path, call: Call
) -> None:
    prompts = planned / ".orchestrator" / "prompts"
    prompts.mkdir(exist_ok=True)
    (prompts / "planner.md").write_text("{task}\n")

    changed = call("plan", "greet", cwd=planned)
    shown = call("trust", "--show", cwd=planned)
    trusted = call("plan", "greet", "--trust", cwd=planned)
    (prompts / "planner.md").write_text("Please:\n  {tsak}\n")
    wrong = call("plan", "greet", "--trust", cwd=planned)

    assert (changed.status, trusted.status) == (2, 0)
    assert "+ .orchestrator/prompts/planner.md: tells agents what planner means, sha256 " in shown.out
    assert wrong.status == 2
    assert (
        "error[prompt-placeholder]: .orchestrator/prompts/planner.md:2:3: {tsak} is no placeholder."
        in wrong.err
    )
    assert "Did you mean {task}?" in wrong.err
