from __future__ import annotations

import pytest

from orchestrator.model.finding import Category, Finding, Severity, review_rule
from orchestrator.model.run import Execution, PhaseStatus
from orchestrator.state.manager import StateManager
from tests.state.making import FIRST, R1, SECOND, started


def said(message: str, *sources: str, at: str = "a.py:1", severity: Severity = Severity.MINOR) -> Finding:
    return Finding(severity, Category.CUSTOM, message, at, review_rule(sources or ("gemini",)))


@pytest.fixture
def attempt(state: StateManager) -> Execution:
    started(state)
    return state.create_execution(R1, FIRST, attempt=1)


def standing(state: StateManager) -> list[tuple[str, str, tuple[str, ...]]]:
    found = state.get_findings(R1, unresolved_only=True)
    return [(r.finding.message, r.finding.location, r.finding.sources) for r in found]


def test_reviewers_of_the_same_tree_are_put_together(state: StateManager, attempt: Execution) -> None:
    state.record_review(attempt, [said("One."), said("Two")], of_same_tree=False)
    state.record_review(
        attempt,
        [said("one", "claude", severity=Severity.MAJOR), said("Two", "claude", at="a.py:2")],
        of_same_tree=True,
    )

    assert standing(state) == [
        ("One.", "a.py:1", ("gemini", "claude")),
        ("Two", "a.py:1", ("gemini",)),
        ("Two", "a.py:2", ("claude",)),
    ]
    assert state.get_findings(R1)[0].finding.severity is Severity.MAJOR
    kinds = [str(event.kind) for event in state.events(R1) if str(event.kind).startswith("finding")]
    assert kinds == ["finding.added", "finding.added", "finding.merged", "finding.added"]


def test_a_review_of_another_tree_resolves_what_it_leaves_out(
    state: StateManager, attempt: Execution
) -> None:
    state.record_review(attempt, [said("One"), said("Two"), said("Three")], of_same_tree=False)
    state.record_review(attempt, [said("Two", at="a.py:9"), said("Four")], of_same_tree=False)

    assert standing(state) == [("Two", "a.py:9", ("gemini",)), ("Four", "a.py:1", ("gemini",))]
    assert [r.resolved for r in state.get_findings(R1)] == [True, False, True, False]


def test_an_empty_review_of_another_tree_resolves_all_of_its_phase_alone(
    state: StateManager, attempt: Execution
) -> None:
    state.update_phase_status(R1, FIRST, PhaseStatus.IN_PROGRESS)
    state.record_review(attempt, [said("One")], of_same_tree=False)
    other = state.create_execution(R1, SECOND, attempt=1)
    state.record_review(other, [said("Two")], of_same_tree=False)

    state.record_review(other, [], of_same_tree=False)

    assert standing(state) == [("One", "a.py:1", ("gemini",))]


def test_checks_and_reviewers_do_not_resolve_each_others_findings(
    state: StateManager, attempt: Execution
) -> None:
    check = Finding(Severity.MEDIUM, Category.LINT, "unused", "a.py:3", "F401")
    state.add_finding(attempt, check, is_new=True)
    state.record_review(attempt, [said("One")], of_same_tree=False)
    second = state.create_execution(R1, FIRST, attempt=2)

    state.record_review(second, [said("One"), said("Two")], of_same_tree=False)
    both = [r.finding.message for r in state.get_findings(R1, unresolved_only=True)]
    state.resolve_findings_absent_from(second, [])

    assert both == ["unused", "One", "Two"]
    assert [message for message, _, _ in standing(state)] == ["One", "Two"]


def test_what_a_round_before_complained_about_can_be_resolved(
    state: StateManager, attempt: Execution
) -> None:
    check = Finding(Severity.MEDIUM, Category.LINT, "unused", "a.py:3", "F401")
    state.add_finding(attempt, check, is_new=True)

    kept = state.resolve_findings_absent_from(attempt, [])
    gone = state.resolve_findings_absent_from(attempt, [], own=True)

    assert (kept, gone) == (0, 1)
