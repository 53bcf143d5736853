"""Works on a run on this machine: look at the state, do the next thing, record it, look again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import assert_never

from orchestrator.config.frozen import thaw
from orchestrator.engine import attempt, integration, schedule
from orchestrator.engine.budget import grant_again
from orchestrator.engine.context import EngineContext
from orchestrator.engine.guard import Guard
from orchestrator.engine.keeping import save_lost_work, seal_rest
from orchestrator.engine.making_plan import make_plan
from orchestrator.engine.persistence import PersistReason
from orchestrator.engine.rounds import end_round
from orchestrator.engine.stepping import run_step
from orchestrator.engine.work import Work, load_state, open_work
from orchestrator.errors import NotTrusted, StateLost
from orchestrator.fs.lock import FileLock
from orchestrator.fs.probe import Holder, probe
from orchestrator.model.event import EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.run import (
    ENDED_RUN,
    Execution,
    ExecutionStatus,
    PhaseStatus,
    Run,
    RunProgress,
    RunStatus,
)
from orchestrator.redaction.redactor import MARKED

SHORT_WAIT_S = 60.0
"""Longer waits are stored and the process ends, so that no machine is kept awake for them."""
_POLL_S = 0.2

Stop = Callable[[], bool]


def work(context: EngineContext, run_id: RunId, *, stop: Stop, wait: bool = False) -> Run:
    """Works on a run until it rests (ended or waiting) or `stop` turns true, and returns it.

    A stop ends the agent, checkpoints what it left and leaves the run resumable. A crash at any moment leaves
    the same: the next call goes on from the recorded state. With `wait` a waiting run is waited for here.

    Raises:
        Locked: another process works on this run, or it went on elsewhere (`session-taken-over`).
        NotTrusted: what the repository supplies would run, and nobody has approved it.
        StateLost: `.orchestrator/` was removed meanwhile; the last checkpoint was written to the refs.
    """
    if not context.repository.trusted:
        raise NotTrusted(())
    lock = FileLock(
        context.paths.run_lock(run_id), what=f"run {run_id}", command=f"orchestrator run {run_id}"
    )
    lock.acquire(timeout_s=1.0)
    try:
        context.state.watch(str(context.paths.run_lock(run_id)))
        return _work_locked(open_work(context, run_id, stop, Guard(context, run_id)), wait=wait)
    finally:
        lock.release()


def _work_locked(work: Work, *, wait: bool) -> Run:
    try:
        papers = work.context.paths.run_artifacts_dir(work.run_id)
        if papers.is_dir():
            work.context.disk.sweep_temp(papers)
        seal_rest(work.context, work.config, work.run_id)
        work.context.persist(PersistReason.RESUMED)
        while not work.stop():
            state = load_state(work)
            action = schedule.next_action(state, datetime.now(UTC))
            if isinstance(action, schedule.Rest):
                break
            if isinstance(action, schedule.Wait) and not _wait(work, action, wait=wait):
                break
            _perform(work, action)
        if work.stop():
            attempt.record_interruption(work)
        seal_rest(work.context, work.config, work.run_id)
        work.context.persist(PersistReason.STOPS if work.stop() else PersistReason.RESTS)
    except StateLost:
        save_lost_work(work)
        raise
    if work.guard is not None:
        work.guard.report()
    return work.run


def _perform(work: Work, action: schedule.Action) -> None:
    match action:
        case schedule.Rest() | schedule.Wait():
            pass
        case schedule.Cancel():
            seal_rest(work.context, work.config, work.run_id)
            integration.cancel(work)
        case schedule.MakePlan():
            make_plan(work)
        case schedule.Integrate():
            work.context.persist(PersistReason.INTEGRATES)
            integration.integrate(work)
        case schedule.Finish():
            seal_rest(work.context, work.config, work.run_id)  # nobody comes back to a run that has ended
            integration.finish(work)
        case _:
            _perform_in_phase(work, action)


def _perform_in_phase(work: Work, action: schedule.PhaseAction) -> None:
    match action:
        case schedule.BeginPhase():
            attempt.begin_phase(work, action.phase)
        case schedule.BeginAttempt():
            attempt.begin_attempt(work, action)
        case schedule.SettleInterrupted():
            attempt.settle_interrupted(work, action.execution)
        case schedule.RunStep():
            run_step(work, action)
        case schedule.Check():
            attempt.check(work, action.execution)
        case schedule.EndRound():
            end_round(work, action.phase, action.execution)
        case schedule.Decide():
            attempt.decide(work, action.phase, action.execution)
        case schedule.KeepPhase():
            integration.keep_phase(work, action.phase, action.execution)
            work.context.persist(PersistReason.PHASE_ENDED)
        case _:
            assert_never(action)


def _wait(work: Work, action: schedule.Wait, *, wait: bool) -> bool:
    """Returns whether the time was waited for here; otherwise the run now waits in the state."""
    remaining_s = (action.until - datetime.now(UTC)).total_seconds()
    if remaining_s > SHORT_WAIT_S and not wait:
        run = work.context.state.get_run(work.run_id)
        if run.status is not RunStatus.WAITING:
            work.context.state.update_run_status(work.run_id, RunStatus.WAITING)
        return False
    while not work.halted() and datetime.now(UTC) < action.until:
        time.sleep(_POLL_S)
    work.update_progress(lambda progress: replace(progress, wake_at=None, waiting_for=None))
    work.set_status(RunStatus.EXECUTING)
    return True


@dataclass(frozen=True, slots=True)
class Resumption:
    """What `resume` will do, in sentences: what is done already, what is repeated, and why it stopped."""

    skipped: tuple[str, ...]
    repeated: tuple[str, ...]
    reason: str


def resumption(context: EngineContext, run: Run) -> Resumption:
    """Returns what resuming a run means; changes nothing."""
    phases = context.state.get_phases_for_run(run.id)
    executions = context.state.get_executions(run.id)
    skipped = tuple(f"phase {p.id} ({p.plan.name})" for p in phases if p.status is PhaseStatus.COMPLETED)
    repeated = []
    if not phases:
        repeated.append("whoever makes the plan is asked again")
    if MARKED.search(run.task):
        repeated.append("the task is given to agents without the secret that it held")
    latest = {execution.phase_id: execution for execution in executions}
    for execution in latest.values():
        if execution.status in (ExecutionStatus.RUNNING, ExecutionStatus.INTERRUPTED):
            detail = _continues(execution)
            repeated.append(f"phase {execution.phase_id}, attempt {execution.attempt}: {detail}")
    repeated += [
        f"phase {p.id} ({p.plan.name}): tried again" for p in phases if p.status is PhaseStatus.FAILED
    ]
    return Resumption(skipped, tuple(repeated), _why(run))


def _continues(execution: Execution) -> str:
    done, iteration = execution.progress.steps_done, execution.progress.rounds.iteration
    if not done:
        return "starts again in the same tree"
    return f"continues after step {done}" + (f" (round {iteration})" if iteration > 1 else "")


def _why(run: Run) -> str:
    progress = run.metadata.progress
    match run.status:
        case RunStatus.FAILED:
            return f"it failed: {progress.error or 'no reason was recorded'}"
        case RunStatus.WAITING:
            return f"it waits for {progress.waiting_for or 'you'}"
        case RunStatus.CANCELLED:
            return "it was cancelled"
        case _:
            return "it was interrupted"


def prepare_resume(context: EngineContext, run: Run) -> None:
    """Makes a failed or waiting run workable again; an interrupted one is left as it is.

    What was asked of a person counts as answered; a run whose budget was used up gets as much again.

    Raises:
        Locked: another process works on this run; nothing was changed.
    """
    state = context.state
    words = f"orchestrator resume {run.id}"
    with FileLock(context.paths.run_lock(run.id), what=f"run {run.id}", command=words), state.transaction():
        run = state.get_run(run.id)
        if run.status in (RunStatus.FAILED, RunStatus.WAITING):
            state.update_run_status(run.id, RunStatus.EXECUTING, progress=_resumed_progress(run))
        for asked in state.get_interventions(run.id, open_only=True):
            state.resolve_intervention(asked.id, "resumed")
        state.record_event(run.id, EventKind.RUN_RESUMED, {"reason": _why(run)})


def _resumed_progress(run: Run) -> RunProgress:
    return replace(
        grant_again(run, thaw(run.metadata.config)),
        wake_at=None,
        waiting_for=None,
        error=None,
        exit_status=None,
    )


def resumable(context: EngineContext) -> tuple[Run, ...]:
    """Returns the runs that can go on and no process works on: interrupted, failed, waiting; newest first."""
    idle = []
    for run in context.state.list_runs():
        if run.status in ENDED_RUN and run.status is not RunStatus.FAILED:
            continue
        if is_alive(context, run.id) is None:
            idle.append(run)
    return tuple(idle)


def due(context: EngineContext, now: datetime) -> tuple[Run, ...]:
    """Returns the waiting runs whose time has come, oldest wake-up first."""
    waiting = [run for run in context.state.list_runs(status=RunStatus.WAITING)]
    ripe = [(run.metadata.progress.wake_at, run) for run in waiting]
    return tuple(
        run
        for at, run in sorted(
            ((at, run) for at, run in ripe if at is not None and at <= now), key=lambda pair: pair[0]
        )
    )


def is_alive(context: EngineContext, run_id: RunId) -> Holder | None:
    """Returns the process that works on a run, None when there is none; takes no lock that lasts."""
    return probe(str(context.paths.run_lock(run_id)))
