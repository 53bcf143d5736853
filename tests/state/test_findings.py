from __future__ import annotations

import pytest

from orchestrator.errors import Refused
from orchestrator.model.finding import Category, Finding, Severity
from orchestrator.model.ids import ExecutionId, InterventionId, OperationId, RunId
from orchestrator.model.record import (
    OPERATION_TRANSITIONS,
    InterventionStatus,
    OperationKind,
    OperationStatus,
)
from orchestrator.model.run import Execution, ExecutionStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.manager import StateManager
from tests.state.making import FIRST, R1, SECOND, a_run, reopened, started

LINT = Finding(Severity.MEDIUM, Category.LINT, "`os` imported but unused", "app.py:1", "F401", "import os")
TEST = Finding(Severity.MAJOR, Category.TEST, "assert 1 == 2", "tests/test_a.py:3", "test_a", "")
ODD = Finding(
    Severity.MINOR, Category.CUSTOM, "näh \udcff\n\0", "caf\udce9.py:7", "R\udc80", "\tx = '\udcfe'"
)


def attempt(state: StateManager, number: int) -> Execution:
    return state.create_execution(R1, FIRST, attempt=number)


def test_findings_come_back_exactly_even_where_they_are_not_utf8(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    started(state)
    execution = attempt(state, 1)

    added = [state.add_finding(execution, TEST, is_new=True)]
    added += state.add_findings(execution, [(LINT, False), (ODD, True)])
    state.close()

    with reopened(paths) as again:
        found = again.get_findings(R1)
        assert found == added
        assert [one.finding for one in found] == [TEST, LINT, ODD]
        assert [one.finding.identity for one in found] == [TEST.identity, LINT.identity, ODD.identity]


def test_a_finding_gone_in_the_next_execution_is_resolved_with_the_time(state: StateManager) -> None:
    started(state)
    first = attempt(state, 1)
    state.add_findings(first, [(LINT, True), (TEST, True)])
    second = attempt(state, 2)
    state.add_finding(second, LINT, is_new=True)

    resolved = state.resolve_findings_absent_from(second, {LINT.identity})

    gone = [one for one in state.get_findings(R1) if one.resolved]
    assert resolved == 1
    assert [one.finding for one in gone] == [TEST]
    assert gone[0].resolved_at is not None
    last = state.events(R1)[-1]
    assert (last.kind, last.data["resolved_by"]) == ("finding.resolved", second.id)


def test_a_finding_found_again_counts_once(state: StateManager) -> None:
    started(state)
    first = attempt(state, 1)
    state.add_findings(first, [(LINT, True), (TEST, True)])
    second = attempt(state, 2)
    state.add_findings(second, [(LINT, False), (LINT, True)])
    state.resolve_findings_absent_from(second, [LINT.identity])

    assert [one.execution_id for one in state.get_findings(R1, unresolved_only=True)] == [second.id] * 2
    assert state.get_findings_summary(R1) == {
        "all": {"major": 0, "medium": 2, "minor": 0},
        "new": {"major": 0, "medium": 1, "minor": 0},
    }


def test_a_later_phase_resolves_what_an_earlier_one_left(state: StateManager) -> None:
    started(state)
    state.add_finding(attempt(state, 1), LINT, is_new=True)
    later = state.create_execution(R1, SECOND, attempt=1)

    assert state.resolve_findings_absent_from(later, ()) == 1
    assert state.resolve_findings_absent_from(later, ()) == 0
    assert state.get_findings(R1, unresolved_only=True) == []
    assert sum(state.get_findings_summary(R1)["all"].values()) == 0


def test_an_execution_never_resolves_its_own_findings_or_those_of_other_runs(state: StateManager) -> None:
    started(state)
    started(state, RunId("r2"))
    elsewhere = state.create_execution(RunId("r2"), FIRST, attempt=1)
    state.add_finding(elsewhere, LINT, is_new=True)
    mine = attempt(state, 1)
    state.add_finding(mine, LINT, is_new=True)

    assert state.resolve_findings_absent_from(mine, ()) == 0


def test_findings_can_be_asked_for_one_execution(state: StateManager) -> None:
    started(state)
    first, second = attempt(state, 1), attempt(state, 2)
    state.add_finding(first, LINT, is_new=True)
    state.add_finding(second, TEST, is_new=True)
    state.resolve_findings_absent_from(second, ())

    assert [one.finding for one in state.get_findings(R1, execution_id=first.id)] == [LINT]
    assert state.get_findings(R1, execution_id=first.id, unresolved_only=True) == []
    assert len(state.get_findings(R1, execution_id=second.id, unresolved_only=True)) == 1


def test_findings_of_an_execution_that_does_not_exist_are_refused(state: StateManager) -> None:
    started(state)
    execution = attempt(state, 1)
    ghost = Execution(
        ExecutionId("ghost"),
        R1,
        FIRST,
        9,
        ExecutionStatus.RUNNING,
        None,
        execution.created_at,
        None,
        execution.progress,
    )
    before = state.events(R1)

    with pytest.raises(Refused, match="contradicts"):
        state.add_findings(ghost, [(LINT, True)])
    with pytest.raises(Refused, match="no execution"):
        state.resolve_findings_absent_from(ghost, ())

    assert state.events(R1) == before


def test_artifacts_come_back_as_they_were_added(state: StateManager) -> None:
    started(state)

    added = state.add_artifact(
        R1,
        FIRST,
        name="log \udcff",
        path="r1/a\udcff.log",
        type="transcript",
        size_bytes=2**33,
        hash="f" * 64,
    )

    assert state.get_artifacts(R1) == [added]
    assert state.events(R1)[-1].kind == "artifact.added"


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a\0b", "..\\x", "C:/x", "a\\..\\..\\x"]
)
def test_an_artifact_cannot_name_a_file_outside_its_directory(state: StateManager, path: str) -> None:
    started(state)
    before = state.events(R1)

    with pytest.raises(Refused) as refused:
        state.add_artifact(R1, None, name="x", path=path, type="log", size_bytes=1, hash="0")

    assert refused.value.code == "unsafe-path"
    assert state.events(R1) == before


def test_an_intervention_is_answered_once(state: StateManager) -> None:
    started(state)
    state.create_run(a_run(RunId("r2")))
    asked = state.add_intervention(R1, FIRST, "quota \udcff", "buy some")
    other = state.add_intervention(RunId("r2"), None, "conflict", "look")

    answered = state.resolve_intervention(asked.id, "bought \udcff")

    assert answered.status is InterventionStatus.RESOLVED
    assert (answered.note, answered.reason) == ("bought \udcff", "quota \udcff")
    assert answered.resolved_at is not None
    assert state.get_interventions() == [answered, other]
    assert state.get_interventions(R1) == [answered]
    assert state.get_interventions(open_only=True) == [other]
    assert state.get_interventions(R1, open_only=True) == []
    with pytest.raises(Refused, match="cannot become resolved"):
        state.resolve_intervention(asked.id, "again")
    with pytest.raises(Refused, match="no intervention"):
        state.resolve_intervention(InterventionId("none"), "")


def test_an_operation_is_durable_before_its_first_effect(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    started(state)
    begun = state.begin_operation(OperationKind.MERGE, R1, "/c\udcff", {"old": "1", "deep": {"lock": [1, 2]}})
    state.close()

    with reopened(paths) as again:
        assert again.intended_operations() == [begun]
        again.update_operation(begun.id, OperationStatus.INTENDED, {"old": "1", "new": "2"})
        done = again.update_operation(begun.id, OperationStatus.DONE)
        assert done.facts == {"old": "1", "new": "2"}
        assert done.completed_at is not None
        assert again.intended_operations() == []
        assert [event.kind for event in again.events(R1)[-2:]] == ["operation.started", "operation.finished"]


@pytest.mark.parametrize("old", OperationStatus)
@pytest.mark.parametrize("new", OperationStatus)
def test_an_operation_changes_only_as_the_model_allows(
    state: StateManager, old: OperationStatus, new: OperationStatus
) -> None:
    ways = {
        OperationStatus.INTENDED: [],
        OperationStatus.UNDONE: [OperationStatus.DONE, OperationStatus.UNDONE],
    }
    operation = state.begin_operation(OperationKind.DISCARD, None, "", {})
    for step in ways.get(old, [old]):
        state.update_operation(operation.id, step)

    if new is old or new in OPERATION_TRANSITIONS[old]:
        assert state.update_operation(operation.id, new).status is new
    else:
        with pytest.raises(Refused) as refused:
            state.update_operation(operation.id, new)
        assert refused.value.code == "illegal-transition"


def test_operations_are_listed_newest_first_and_by_worktree(state: StateManager) -> None:
    ids = [
        state.begin_operation(OperationKind.MERGE, None, place, {}).id for place in ("/a", "/b\udcff", "/a")
    ]

    assert [one.id for one in state.get_operations()] == ids[::-1]
    assert [one.id for one in state.get_operations(limit=1)] == ids[2:]
    assert [one.id for one in state.get_operations(worktree="/b\udcff")] == [ids[1]]
    with pytest.raises(Refused) as refused:
        state.update_operation(OperationId("none"), OperationStatus.DONE)
    assert refused.value.code == "unknown-operation"
