from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestrator.engine import schedule
from orchestrator.engine.schedule import RunState, next_action
from orchestrator.model.ids import ExecutionId, ObjectId, PhaseId, RunId
from orchestrator.model.plan import PlannedPhase
from orchestrator.model.run import (
    Execution,
    ExecutionProgress,
    ExecutionStatus,
    Integrate,
    Phase,
    PhaseStatus,
    Run,
    RunMetadata,
    RunOptions,
    RunOrigin,
    RunProgress,
    RunStatus,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunId("r")
OID = ObjectId("a" * 40)


def run_with(
    status: RunStatus = RunStatus.EXECUTING,
    progress: RunProgress | None = None,
    integrate: Integrate = Integrate.BRANCH,
) -> Run:
    metadata = RunMetadata(
        RunOptions(integrate=integrate),
        RunOrigin(OID, "refs/heads/main", "/repo"),
        config="{}",
        trace_id="t",
        progress=progress or RunProgress(),
    )
    return Run(RUN, "task", status, NOW, NOW, None, metadata)


def phase(name: str, status: PhaseStatus, *dependencies: str) -> Phase:
    plan = PlannedPhase(PhaseId(name), name, "", tuple(PhaseId(d) for d in dependencies))
    return Phase(RUN, 0, plan, status, 0, 2, NOW, None, None)


def execution(
    status: ExecutionStatus = ExecutionStatus.RUNNING, attempt: int = 1, **progress: object
) -> Execution:
    made = replace(ExecutionProgress(), **progress)  # type: ignore[arg-type]  # names are checked by replace
    return Execution(ExecutionId(f"e{attempt}"), RUN, PhaseId("a"), attempt, status, None, NOW, None, made)


def state(run: Run, *phases: Phase, executions: tuple[Execution, ...] = (), steps: int = 2) -> RunState:
    return RunState(run, phases, executions, steps)


def working(*executions: Execution) -> RunState:
    return state(run_with(), phase("a", PhaseStatus.IN_PROGRESS), executions=executions)


def test_ended_runs_rest() -> None:
    for status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED):
        assert next_action(state(run_with(status)), NOW) == schedule.Rest()


def test_a_cancel_request_goes_before_everything_else() -> None:
    run = run_with(progress=RunProgress(cancel_requested=True, wake_at=NOW + timedelta(hours=1)))

    assert next_action(state(run, phase("a", PhaseStatus.PENDING)), NOW) == schedule.Cancel()


def test_nothing_happens_before_the_wake_up_time_and_work_after_it() -> None:
    wake_at = NOW + timedelta(seconds=90)
    waiting = state(run_with(progress=RunProgress(wake_at=wake_at)), phase("a", PhaseStatus.PENDING))

    assert next_action(waiting, NOW) == schedule.Wait(wake_at)
    assert isinstance(next_action(waiting, wake_at), schedule.BeginPhase)


def test_a_run_that_waits_for_a_person_rests() -> None:
    waiting = state(run_with(RunStatus.WAITING), phase("a", PhaseStatus.IN_PROGRESS))

    assert next_action(waiting, NOW) == schedule.Rest()


def test_a_phase_begins_only_after_what_it_depends_on() -> None:
    first, second = phase("a", PhaseStatus.COMPLETED), phase("b", PhaseStatus.PENDING, "a")
    third = phase("c", PhaseStatus.PENDING, "b")

    assert next_action(state(run_with(), third, second, first), NOW) == schedule.BeginPhase(second)


def test_a_failed_phase_is_reopened_once_its_run_executes_again() -> None:
    failed = phase("a", PhaseStatus.FAILED)

    assert next_action(state(run_with(), failed), NOW) == schedule.BeginPhase(failed)


def test_an_attempt_goes_through_its_steps_then_checks_then_verdict() -> None:
    attempt = phase("a", PhaseStatus.IN_PROGRESS)

    assert next_action(working(), NOW) == schedule.BeginAttempt(attempt, 1, None)
    begun = execution()
    assert next_action(working(begun), NOW) == schedule.RunStep(attempt, begun, 0)
    halfway = execution(steps_done=1)
    assert next_action(working(halfway), NOW) == schedule.RunStep(attempt, halfway, 1)
    worked = execution(steps_done=2)
    assert next_action(working(worked), NOW) == schedule.Check(attempt, worked)
    checked = execution(steps_done=2, checked=True)
    assert next_action(working(checked), NOW) == schedule.Decide(attempt, checked)
    passed = execution(ExecutionStatus.SUCCEEDED, steps_done=2, checked=True)
    assert next_action(working(passed), NOW) == schedule.KeepPhase(attempt, passed)


def test_a_failed_agent_ends_the_steps_but_not_the_checks() -> None:
    failed = execution(steps_done=1, agent_failure="the agent failed")

    assert isinstance(next_action(working(failed), NOW), schedule.Check)


def test_a_recorded_process_means_that_its_owner_died() -> None:
    orphaned = execution(process=(12, 34))

    assert next_action(working(orphaned), NOW) == schedule.SettleInterrupted(orphaned)


def test_an_ended_attempt_is_followed_by_another_one() -> None:
    for status in (ExecutionStatus.FAILED, ExecutionStatus.INTERRUPTED):
        ended = execution(status, attempt=3)

        action = next_action(working(ended), NOW)

        assert isinstance(action, schedule.BeginAttempt)
        assert (action.attempt, action.before) == (4, ended)


def test_a_result_is_integrated_once_and_then_the_run_finishes() -> None:
    done = phase("a", PhaseStatus.COMPLETED)

    fresh = run_with(progress=RunProgress(result=OID))
    assert next_action(state(fresh, done), NOW) == schedule.Integrate()
    published = run_with(progress=RunProgress(result=OID, branch="refs/heads/orchestrator/r"))
    assert next_action(state(published, done), NOW) == schedule.Finish()
    unmerged = run_with(progress=published.metadata.progress, integrate=Integrate.MERGE)
    assert next_action(state(unmerged, done), NOW) == schedule.Integrate()
    kept = run_with(progress=RunProgress(result=OID), integrate=Integrate.NONE)
    assert next_action(state(kept, done), NOW) == schedule.Finish()


def test_a_run_without_a_result_finishes_without_a_branch() -> None:
    assert next_action(state(run_with(), phase("a", PhaseStatus.COMPLETED)), NOW) == schedule.Finish()
