from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.errors import Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import ExecutionId, ObjectId, PhaseId, RunId
from orchestrator.model.run import (
    EXECUTION_TRANSITIONS,
    PHASE_TRANSITIONS,
    RUN_TRANSITIONS,
    ExecutionProgress,
    ExecutionStatus,
    Outcome,
    PhaseStatus,
    RunProgress,
    RunStatus,
    Usage,
)
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.manager import StateManager
from tests.state.making import BASE, FIRST, R1, SECOND, a_plan, a_run, reopened, started


def kinds(state: StateManager, run_id: RunId = R1) -> list[str]:
    return [str(event.kind) for event in state.events(run_id)]


def test_a_run_comes_back_exactly_as_it_was_written(state: StateManager, paths: OrchestratorPaths) -> None:
    run = a_run(task="späße \udcff\udcfe \0 ' \" ; DROP TABLE runs; \U0001f600")
    reached = RunProgress(
        result=BASE,
        checkpoint=ObjectId("b" * 40),
        branch="refs/heads/orchestrator/r1",
        outcome=Outcome.VERIFIED,
        wake_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        waiting_for="quota \udcff",
        error="no",
        notes=("one", "two"),
    )
    run = replace(run, metadata=replace(run.metadata, progress=reached, workflow_yaml="a: \udc80\n"))

    state.create_run(run)
    state.close()

    with reopened(paths) as again:
        assert again.get_run(R1) == run


def test_a_run_id_is_taken_only_once(state: StateManager) -> None:
    state.create_run(a_run())

    with pytest.raises(Refused) as refused:
        state.create_run(a_run(task="another"))

    assert refused.value.code == "run-exists"
    assert state.get_run(R1).task == "fix it"
    assert kinds(state) == ["run.started"]


def test_creating_a_run_with_a_plan_writes_its_phases_in_order(state: StateManager) -> None:
    state.create_run(a_run(), a_plan(), max_retries=3)

    phases = state.get_phases_for_run(R1)

    assert tuple(phase.plan for phase in phases) == a_plan().phases
    assert [(phase.position, phase.status, phase.retries, phase.max_retries) for phase in phases] == [
        (0, PhaseStatus.PENDING, 0, 3),
        (1, PhaseStatus.PENDING, 0, 3),
    ]
    assert kinds(state) == ["run.started", "plan.ready"]


@pytest.mark.parametrize("old", RunStatus)
@pytest.mark.parametrize("new", RunStatus)
def test_a_run_changes_its_status_only_as_the_model_allows(
    state: StateManager, old: RunStatus, new: RunStatus
) -> None:
    state.create_run(a_run(status=old))

    if new in RUN_TRANSITIONS[old]:
        state.update_run_status(R1, new)
        assert state.get_run(R1).status is new
        assert state.events(R1)[-1].data["status"] == new
    else:
        with pytest.raises(Refused) as refused:
            state.update_run_status(R1, new)
        assert refused.value.code == "illegal-transition"
        assert state.get_run(R1).status is old
        assert kinds(state) == ["run.started"]


def test_times_follow_the_status(state: StateManager) -> None:
    started(state)
    begun = state.get_run(R1)
    state.update_run_status(R1, RunStatus.FAILED, progress=RunProgress(error="broken"))
    ended = state.get_run(R1)
    state.update_run_status(R1, RunStatus.EXECUTING, data={"why": "resumed"})
    resumed = state.get_run(R1)

    assert begun.started_at is not None
    assert begun.completed_at is None
    assert ended.completed_at is not None
    assert ended.started_at == begun.started_at == resumed.started_at
    assert resumed.completed_at is None
    assert resumed.metadata.progress.error == "broken"
    assert state.events(R1)[-1].data["why"] == "resumed"


def test_a_waiting_run_tells_what_for_and_until_when(state: StateManager) -> None:
    started(state)
    until = datetime(2026, 11, 21, tzinfo=UTC)

    state.update_run_status(R1, RunStatus.WAITING, progress=RunProgress(waiting_for="quota", wake_at=until))

    last = state.events(R1)[-1]
    assert last.kind is EventKind.RUN_WAITING
    assert last.data["waiting_for"] == "quota"
    assert last.data["wake_at"] == "2026-11-21T00:00:00.000000Z"


def test_progress_can_be_replaced_with_an_event_in_the_same_commit(state: StateManager) -> None:
    started(state)

    state.set_run_progress(R1, RunProgress(result=BASE))
    state.set_run_progress(R1, RunProgress(branch="b"), event=EventKind.BRANCH_UPDATED, data={"branch": "b"})

    assert state.get_run(R1).metadata.progress == RunProgress(branch="b")
    assert kinds(state)[-1] == "branch.updated"


def test_a_request_to_cancel_survives_the_owners_own_progress(state: StateManager) -> None:
    started(state)
    owners_view = state.get_run(R1).metadata.progress

    state.request_cancel(R1)
    state.request_cancel(R1)
    state.set_run_progress(R1, replace(owners_view, result=BASE))

    assert state.cancel_requested(R1)
    assert state.get_run(R1).metadata.progress.cancel_requested
    assert kinds(state).count("run.cancel_requested") == 1


def test_ending_a_run_answers_the_request_to_cancel_it(state: StateManager) -> None:
    started(state)
    state.request_cancel(R1)

    state.update_run_status(R1, RunStatus.VERIFYING)
    still = state.cancel_requested(R1)
    state.update_run_status(R1, RunStatus.CANCELLED)

    assert still
    assert not state.cancel_requested(R1)
    with pytest.raises(Refused, match="cannot become cancelled"):
        state.request_cancel(R1)


def test_a_request_that_nobody_lived_to_answer_can_be_withdrawn(state: StateManager) -> None:
    started(state)
    state.request_cancel(R1)

    state.withdraw_cancel(R1)

    assert not state.cancel_requested(R1)


def test_runs_are_listed_newest_first(state: StateManager) -> None:
    for number in range(5):
        state.create_run(a_run(RunId(f"r{number}"), age_s=100 - number))
    state.update_run_status(RunId("r2"), RunStatus.EXECUTING)
    state.update_run_status(RunId("r3"), RunStatus.FAILED)

    assert [run.id for run in state.list_runs()] == ["r4", "r3", "r2", "r1", "r0"]
    assert [run.id for run in state.list_runs(limit=2)] == ["r4", "r3"]
    assert [run.id for run in state.list_runs(status=RunStatus.EXECUTING)] == ["r2"]
    assert [run.id for run in state.get_recoverable_runs()] == ["r0", "r1", "r2", "r4"]


def test_what_does_not_exist_is_refused_by_name(state: StateManager) -> None:
    started(state)
    nobody, nothing = RunId("nobody"), ExecutionId("nothing")
    calls: dict[str, list[Callable[[], object]]] = {
        "unknown-run": [
            lambda: state.get_run(nobody),
            lambda: state.update_run_status(nobody, RunStatus.FAILED),
            lambda: state.set_run_progress(nobody, RunProgress()),
            lambda: state.request_cancel(nobody),
            lambda: state.cancel_requested(nobody),
            lambda: state.create_phases(nobody, a_plan(), 1),
            lambda: state.record_event(nobody, EventKind.AGENT_SAID, {}),
            lambda: state.export_run_summary(nobody),
        ],
        "unknown-phase": [
            lambda: state.update_phase_status(R1, PhaseId("none"), PhaseStatus.IN_PROGRESS),
            lambda: state.create_execution(R1, PhaseId("none"), attempt=1),
        ],
        "unknown-execution": [
            lambda: state.set_execution_progress(nothing, ExecutionProgress()),
            lambda: state.complete_execution(nothing),
        ],
    }

    before = state.events(R1)

    for code, verbs in calls.items():
        for verb in verbs:
            with pytest.raises(Refused) as refused:
                verb()
            assert refused.value.code == code
    assert state.events(R1) == before


@pytest.mark.parametrize("old", PhaseStatus)
@pytest.mark.parametrize("new", PhaseStatus)
def test_a_phase_changes_its_status_only_as_the_model_allows(
    state: StateManager, old: PhaseStatus, new: PhaseStatus
) -> None:
    ways = {
        PhaseStatus.PENDING: [],
        PhaseStatus.IN_PROGRESS: [PhaseStatus.IN_PROGRESS],
        PhaseStatus.SKIPPED: [PhaseStatus.SKIPPED],
    }
    started(state)
    for step in ways.get(old, [PhaseStatus.IN_PROGRESS, old]):
        state.update_phase_status(R1, FIRST, step)

    if new in PHASE_TRANSITIONS[old]:
        state.update_phase_status(R1, FIRST, new)
        assert state.get_phases_for_run(R1)[0].status is new
    else:
        with pytest.raises(Refused) as refused:
            state.update_phase_status(R1, FIRST, new)
        assert refused.value.code == "illegal-transition"
        assert state.get_phases_for_run(R1)[0].status is old


def test_a_phase_is_tried_again_without_changing_its_status(state: StateManager) -> None:
    started(state)
    state.update_phase_status(R1, FIRST, PhaseStatus.IN_PROGRESS, retries=0)

    state.update_phase_status(R1, FIRST, PhaseStatus.IN_PROGRESS, retries=1)
    state.update_phase_status(R1, FIRST, PhaseStatus.COMPLETED)

    phase = state.get_phases_for_run(R1)[0]
    assert phase.retries == 1
    assert phase.started_at is not None
    assert phase.completed_at is not None
    assert kinds(state)[-2:] == ["phase.started", "phase.finished"]


def test_a_skipped_phase_was_never_started(state: StateManager) -> None:
    started(state)

    state.update_phase_status(R1, SECOND, PhaseStatus.SKIPPED)

    assert state.get_phases_for_run(R1)[1].started_at is None


def test_a_waiting_phase_has_an_event_of_its_own(state: StateManager) -> None:
    started(state)
    state.update_phase_status(R1, FIRST, PhaseStatus.IN_PROGRESS)

    state.update_phase_status(R1, FIRST, PhaseStatus.WAITING)

    assert kinds(state)[-1] == "phase.waiting"


def test_two_phases_of_one_id_are_refused_as_a_whole(state: StateManager) -> None:
    started(state)
    before = state.export_run_summary(R1), kinds(state)

    with pytest.raises(Refused) as refused:
        state.create_phases(R1, a_plan(), 1)

    assert refused.value.code == "state-conflict"
    assert (state.export_run_summary(R1), kinds(state)) == before


def test_an_execution_comes_back_exactly_as_it_was_written(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    started(state)
    reached = ExecutionProgress(
        steps_done=2,
        checkpoint=BASE,
        tree=ObjectId("c" * 40),
        checked=True,
        agent_failure="died \udcff",
        process=(4242, 987654321),
        usage=Usage(input_tokens=10, output_tokens=0, cost_usd=0.25, cpu_s=1.5, peak_memory_bytes=2**40),
    )

    execution = state.create_execution(R1, FIRST, attempt=1)
    state.set_execution_progress(
        execution.id, reached, event=EventKind.STEP_FINISHED, data={"step": 1}, duration_ms=12.5
    )
    state.fail_execution(execution.id, "exit status 7 \udcfe")
    state.close()

    with reopened(paths) as again:
        [found] = again.get_executions(R1, FIRST)
        assert found.completed_at is not None
        assert found == replace(
            execution,
            status=ExecutionStatus.FAILED,
            error="exit status 7 \udcfe",
            progress=reached,
            completed_at=found.completed_at,
        )
        event = again.events(R1)[-2]
        assert (event.kind, event.duration_ms) == (EventKind.STEP_FINISHED, 12.5)
        assert event.data == {"execution_id": execution.id, "phase_id": FIRST, "attempt": 1, "step": 1}


def test_attempts_are_numbered_and_each_begins_once(state: StateManager) -> None:
    started(state)
    first = state.create_execution(R1, FIRST, attempt=1)
    state.fail_execution(first.id, "killed", interrupted=True)
    second = state.create_execution(R1, FIRST, attempt=2)
    other = state.create_execution(R1, SECOND, attempt=1)

    with pytest.raises(Refused) as refused:
        state.create_execution(R1, FIRST, attempt=2)

    assert refused.value.code == "execution-exists"
    assert [one.id for one in state.get_executions(R1)] == [first.id, second.id, other.id]
    assert [one.id for one in state.get_executions(R1, FIRST)] == [first.id, second.id]
    assert state.get_executions(R1)[0].status is ExecutionStatus.INTERRUPTED


def test_an_ended_execution_stays_as_it_ended(state: StateManager) -> None:
    assert all(
        not EXECUTION_TRANSITIONS[status]
        for status in ExecutionStatus
        if status is not ExecutionStatus.RUNNING
    )
    started(state)
    execution = state.create_execution(R1, FIRST, attempt=1)
    state.complete_execution(execution.id)
    before = kinds(state)

    late: list[Callable[[], None]] = [
        lambda: state.complete_execution(execution.id),
        lambda: state.fail_execution(execution.id, "late"),
        lambda: state.set_execution_progress(
            execution.id, ExecutionProgress(steps_done=9), event=EventKind.STEP_FINISHED
        ),
    ]

    for verb in late:
        with pytest.raises(Refused) as refused:
            verb()
        assert refused.value.code == "illegal-transition"
    assert state.get_executions(R1)[0].status is ExecutionStatus.SUCCEEDED
    assert state.get_executions(R1)[0].progress == ExecutionProgress()
    assert kinds(state) == before


def test_times_are_utc_whatever_the_clock_of_the_machine_says(
    paths: OrchestratorPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        with StateManager.open(paths, create=True) as state:
            started(state)
            at = state.events(R1)[0].at
            assert at.utcoffset() == datetime.now(UTC).utcoffset()
            assert abs((datetime.now(UTC) - at).total_seconds()) < 600
    finally:
        monkeypatch.undo()
        time.tzset()
