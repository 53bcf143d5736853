"""Workflows of agents, played by scripted programs: steps, rounds, reviews, and what goes on after a kill."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from orchestrator.model.ids import RunId
from orchestrator.model.run import Outcome, RunStatus
from tests.conftest import GitCall
from tests.engine.agents_on_path import Cast, finding
from tests.engine.scene import Scene

DEFAULT = """
workflows:
  default:
    - agent: "codex"
      task: "implement"
    - agent: "gemini"
      task: "review"
    - agent: "claude"
      task: "refine"
"""
THOROUGH = """
workflows:
  thorough:
    max_iterations: 5
    min_suggestions_threshold: 3
    steps:
      - agent: "codex"
        task: "implement"
        description: "Create initial implementation"
      - agent: "copilot"
        task: "suggestions"
        description: "Get alternative approaches"
        optional: true
      - agent: "gemini"
        task: "review"
        description: "Comprehensive code review"
      - agent: "claude"
        task: "refine"
        description: "Implement feedback"
      - agent: "gemini"
        task: "review"
        description: "Verify improvements"
"""
FOUR = ("codex", "copilot", "gemini", "claude")
CLEAN: dict[str, object] = {"findings": []}


@pytest.fixture
def cast(scene: Scene, tmp_path: Path) -> Cast:
    return Cast(scene, tmp_path / "told")


def test_the_default_workflow_hands_the_review_to_the_one_who_refines(
    scene: Scene, cast: Cast, git: GitCall
) -> None:
    cast.configure(DEFAULT, "codex", "gemini", "claude")
    cast.script(
        {
            "codex/implement": [{"write": {"app.py": "new\n"}}],
            "gemini/review": [{"answer": {"findings": [finding("No test of the new part")]}}],
            "claude/refine": [{"write": {"test_app.py": "t\n"}}],
        }
    )

    run = scene.run(run_id="one", task="make it new")

    assert run.status is RunStatus.COMPLETED
    assert cast.turns == ["codex-implement", "gemini-review", "claude-refine"]
    assert git(scene.root, "show", "orchestrator/one:test_app.py") == "t"
    [review], [refine] = cast.prompts("gemini-review"), cast.prompts("claude-refine")
    assert review.startswith("make it new\n")
    assert "+new" in review
    assert "Reviewers found 1 problem(s)." in refine
    assert "medium custom: app.py:1: No test of the new part [gemini]" in refine
    with scene.open() as workspace:
        [recorded] = workspace.state.get_findings(run.id)
        artifacts = {a.name: a.type for a in workspace.state.get_artifacts(run.id)}
    assert recorded.finding.sources == ("gemini",)
    assert sorted(artifacts.values()).count("answer") == 3


FAILS = f"verify:\n  test: [{{run: ['{sys.executable}', '-c', 'raise SystemExit(1)']}}]\n"
HOLDS = f"verify:\n  test: [{{run: ['{sys.executable}', '-c', 'pass']}}]\n"
BAD = f"""
verify:
  test: [{{run: ['{sys.executable}', '-c', "import sys; sys.exit('bad' in open('app.py').read())"]}}]
"""


def three(number: int, severity: str = "minor") -> dict[str, object]:
    """Returns a review of three findings that no other number has."""
    letters = "abc"
    return {"findings": [finding(f"round {'i' * number} {x}", "app.py", severity) for x in letters]}


def rounds(scene: Scene, run_id: str) -> list[dict[str, object]]:
    with scene.open() as workspace:
        events = workspace.state.events(RunId(run_id))
    return [dict(event.data) for event in events if event.kind == "round.finished"]


def test_thorough_runs_exactly_as_written_and_stops_when_a_round_brings_few_suggestions(
    scene: Scene, cast: Cast, git: GitCall
) -> None:
    cast.configure(THOROUGH, *FOUR)
    cast.script(
        {
            "codex/implement": [{"count": "log.txt"}],
            "copilot/suggestions": [{"answer": {"suggestions": [finding("Another way", "app.py")]}}],
            "gemini/review": [
                {"answer": {"findings": [finding("One"), finding("Two")]}},
                {"answer": CLEAN},
            ],
            "claude/refine": [{"count": "log.txt"}],
        }
    )

    run = scene.run(run_id="one", options={"workflow": "thorough"})

    one = ["codex-implement", "copilot-suggestions", "gemini-review", "claude-refine", "gemini-review"]
    assert run.status is RunStatus.COMPLETED
    assert cast.turns == [*one, *one]
    assert [(r["round"], r["suggestions"], r["stopped"]) for r in rounds(scene, "one")] == [
        (1, 3, None),
        (2, 1, "few suggestions"),
    ]
    assert (
        "phase-001 stopped after round 2 of 5: 1 of the 3 suggestions that another one needs."
        in run.metadata.progress.notes
    )
    assert "Your part in it: implement. Work in this directory" in cast.prompts("codex-implement")[0]
    assert "Create initial implementation" in cast.prompts("codex-implement")[0]
    assert "This is round 2." in cast.prompts("codex-implement")[1]
    first_refine = cast.prompts("claude-refine")[0]
    assert "minor custom: app.py: Another way [copilot]" not in first_refine  # its severity was named
    assert "medium custom: app.py: Another way [copilot]" in first_refine
    assert "Reviewers found 3 problem(s)." in first_refine


@pytest.mark.parametrize(
    ("checks", "reviews", "implement", "expected"),
    [
        (HOLDS, [three(1)], [{"count": "log"}], ["the gates hold"]),
        (HOLDS, [three(1, "major"), three(2)], [{"count": "log"}], [None, "the gates hold"]),
        (FAILS, [three(1), three(2)], [{"write": {"a": "1"}}, {}], [None, "nothing changed"]),
        (FAILS, [three(1), three(2)], [{"count": "log"}], [None, None, "no round is left"]),
        (FAILS, [three(1), CLEAN], [{"count": "log"}], [None, "few suggestions"]),
    ],
)
def test_rounds_stop_for_each_reason(
    scene: Scene,
    cast: Cast,
    checks: str,
    reviews: list[dict[str, object]],
    implement: list[dict[str, object]],
    expected: list[str | None],
) -> None:
    flow = """
    workflows:
      default:
        max_iterations: 3
        min_suggestions_threshold: 3
        steps: [{agent: codex, task: implement}, {agent: gemini, task: review}]
    """
    cast.configure(checks, "codex", "gemini")
    path = scene.root / ".orchestrator" / "workflow.yaml"
    path.write_text(path.read_text() + flow.replace("\n    ", "\n"))
    cast.script(
        {"codex/implement": implement, "gemini/review": [{"answer": review} for review in reviews]}
    )

    scene.run(run_id="one")

    first_attempt = [r for r in rounds(scene, "one") if r["attempt"] == 1]
    assert [r["stopped"] for r in first_attempt] == expected
    assert [r["round"] for r in first_attempt] == list(range(1, len(expected) + 1))
