"""One attempt of a phase: its beginning, its checks, its verdict, and what an interruption leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestrator.engine import verification
from orchestrator.engine.budget import MORE, remaining
from orchestrator.engine.keeping import checkpoint_tree, existing_tree, keep, open_tree, tree_before
from orchestrator.engine.recording import add_usage, usage_told
from orchestrator.engine.schedule import BeginAttempt
from orchestrator.engine.verdict import Evidence, reach_verdict
from orchestrator.engine.work import Work
from orchestrator.model.agent import Cause
from orchestrator.model.event import EventKind
from orchestrator.model.ids import PhaseId
from orchestrator.model.run import (
    Execution,
    ExecutionProgress,
    ExecutionStatus,
    Phase,
    PhaseStatus,
    Rounds,
    RunStatus,
)
from orchestrator.model.verdict import Decision, Verdict
from orchestrator.process import leftovers
from orchestrator.verify.clean import discard

QUOTA_WAIT_S = 120.0
"""How long a run waits at least after a service said that it was asked too often, in seconds."""


def begin_phase(work: Work, phase: Phase) -> None:
    """Starts a phase, or reopens one that failed, with all its retries."""
    with work.context.state.transaction():
        work.set_status(RunStatus.EXECUTING)
        work.context.state.update_phase_status(work.run_id, phase.id, PhaseStatus.IN_PROGRESS, retries=0)


def begin_attempt(work: Work, action: BeginAttempt) -> None:
    """Starts an attempt; after an interruption it goes on behind the steps that were finished."""
    state, before = work.context.state, action.before
    with state.transaction():
        work.set_status(RunStatus.EXECUTING)
        execution = state.create_execution(work.run_id, action.phase.id, attempt=action.attempt)
        if before is not None and before.status is ExecutionStatus.INTERRUPTED:
            progress = _carried(before.progress)
        else:
            progress = ExecutionProgress(rounds=Rounds(tree=tree_before(work, execution)))
        state.set_execution_progress(execution.id, progress)


def _carried(before: ExecutionProgress) -> ExecutionProgress:
    """Returns what an attempt that goes on behind an interrupted one begins with."""
    return ExecutionProgress(
        steps_done=before.steps_done,
        checkpoint=before.checkpoint,
        tree=before.tree,
        changed=before.changed,
        rounds=before.rounds,
    )


def settle_interrupted(work: Work, execution: Execution) -> None:
    """Ends what a dead owner left running, checkpoints the tree and closes the attempt as interrupted."""
    end_leftovers(work, execution)
    progress = execution.progress
    progress = replace(progress, usage=add_usage(progress.usage, usage_told(work, execution)))
    if existing_tree(work) is not None:
        tree = open_tree(work)
        checkpoint = keep(work, tree, f"interrupted attempt {execution.attempt}")
        progress = replace(progress, checkpoint=checkpoint.commit, tree=checkpoint.tree)
    with work.context.state.transaction():
        work.context.state.set_execution_progress(execution.id, replace(progress, process=None))
        work.context.state.fail_execution(execution.id, "its process died", interrupted=True)


def end_leftovers(work: Work, execution: Execution) -> None:
    """Kills the processes that carry this attempt's marker; a copied repository has other markers."""
    leftovers.end_all(work.marker(execution.id), exact=True)


def record_interruption(work: Work) -> None:
    """Closes the attempt that a stop broke off, so that the next process need not find out."""
    for execution in work.context.state.get_executions(work.run_id):
        if execution.status is ExecutionStatus.RUNNING and execution.progress.process is not None:
            settle_interrupted(work, execution)


def check(work: Work, execution: Execution) -> None:
    """Runs the checks on the tree the attempt left and records what they found.

    Stopped in the middle it records nothing, and the checks run again when the run goes on.
    """
    tree = execution.progress.tree
    conclusion: verification.Conclusion | None = verification.nothing_to_check()
    if tree is not None:
        end_leftovers(work, execution)
        work.set_status(RunStatus.VERIFYING)
        conclusion = verification.verify_attempt(work, execution, tree)
    if conclusion is not None:
        _conclude_check(work, execution, conclusion)


def _conclude_check(work: Work, execution: Execution, conclusion: verification.Conclusion) -> None:
    state = work.context.state
    progress = replace(
        execution.progress,
        checked=True,
        indeterminate=conclusion.indeterminate,
        unverified=conclusion.unverified,
        over=conclusion.over,
        broken=conclusion.broken,
        receipts=tuple((r.tree, r.check, r.environment, r.tests_run) for r in conclusion.receipts),
    )
    found_again = frozenset(finding.identity for finding, _ in conclusion.findings)
    with state.transaction():
        if execution.progress.rounds.iteration > 1:  # what the round before complained about is said anew
            state.resolve_findings_absent_from(execution, conclusion.identities - found_again, own=True)
        state.add_findings(execution, conclusion.findings)
        state.resolve_findings_absent_from(execution, conclusion.identities)
        state.set_execution_progress(execution.id, progress)
        for note in conclusion.notes:
            work.note(note)


def decide(work: Work, phase: Phase, execution: Execution) -> None:
    """Reaches the verdict on a checked attempt and records everything that follows from it at once."""
    verdict = reach_verdict(_evidence(work, phase, execution))
    state = work.context.state
    with state.transaction():
        state.record_event(
            work.run_id,
            EventKind.VERDICT_REACHED,
            {"phase": phase.id, "decision": verdict.decision, "reasons": list(verdict.reasons)},
        )
        match verdict.decision:
            case Decision.PROCEED:
                state.complete_execution(execution.id)
            case Decision.RETRY:
                _retry(work, phase, execution, verdict)
            case Decision.ASK:
                _ask(work, phase, execution, verdict)
            case Decision.ABORT:
                _abort(work, phase, execution, verdict)
    if verdict.decision in (Decision.ASK, Decision.ABORT):
        _lay_down(work, verdict.decision)


def _lay_down(work: Work, decision: Decision) -> None:
    """Leaves a resting run so that the refs alone tell how it stands, and nothing that can be made again."""
    tree = existing_tree(work)
    if tree is not None:
        checkpoint = checkpoint_tree(work, tree, f"rests: {decision}")
        work.update_progress(lambda progress: replace(progress, checkpoint=checkpoint.commit))
    discard(work.context.trees, work.run_id)


def _evidence(work: Work, phase: Phase, execution: Execution) -> Evidence:
    progress = execution.progress
    return Evidence(
        over=progress.over,
        broken=progress.broken,
        agent_failure=progress.agent_failure,
        retries=phase.retries,
        max_retries=_max_retries(work, phase, execution),
        can_learn=progress.changed or _takes_prompts(work),
        out_of=remaining(work).used_up(),
        hopeless=progress.cause == Cause.CREDENTIAL,
    )


def _retry(work: Work, phase: Phase, execution: Execution, verdict: Verdict) -> None:
    state = work.context.state
    state.fail_execution(execution.id, _sentence(verdict))
    state.update_phase_status(work.run_id, phase.id, PhaseStatus.IN_PROGRESS, retries=phase.retries + 1)
    if execution.progress.agent_failure is not None:
        delay_s = work.config.execution.retry_backoff_s * 2**phase.retries
        if execution.progress.cause == Cause.QUOTA:
            delay_s = max(delay_s, QUOTA_WAIT_S * 2**phase.retries)
        wake_at = datetime.now(UTC) + timedelta(seconds=delay_s)
        reason = f"another try: {execution.progress.agent_failure.rstrip('.')}"
        work.update_progress(lambda p: replace(p, wake_at=wake_at, waiting_for=reason))


def _ask(work: Work, phase: Phase, execution: Execution, verdict: Verdict) -> None:
    state = work.context.state
    state.fail_execution(execution.id, _sentence(verdict))
    part = remaining(work).used_up() or "time"
    wait_for(work, phase.id, _sentence(verdict), MORE[part])


def _abort(work: Work, phase: Phase, execution: Execution, verdict: Verdict) -> None:
    state = work.context.state
    state.fail_execution(execution.id, _sentence(verdict))
    state.update_phase_status(work.run_id, phase.id, PhaseStatus.FAILED)
    look = _where_to_look(work, execution)
    work.ask_person(
        phase.id,
        _sentence(verdict),
        f"Look why (orchestrator {look}), then: orchestrator resume {work.run_id}",
    )
    exit_status = _abort_status(execution)
    progress = replace(work.run.metadata.progress, error=_sentence(verdict), exit_status=exit_status)
    state.update_run_status(work.run_id, RunStatus.FAILED, progress=progress)
    work.record_finish(RunStatus.FAILED, exit_status)


def _where_to_look(work: Work, execution: Execution) -> str:
    if execution.progress.cause == Cause.CREDENTIAL:
        return f"agents check {execution.progress.agent}"
    return f"{'findings' if execution.progress.over else 'log'} {work.run_id}"


def _abort_status(execution: Execution) -> int:
    if execution.progress.cause == Cause.CREDENTIAL:
        return 4
    return 1 if execution.progress.over else 3


def wait_for(work: Work, phase_id: PhaseId | None, reason: str, what: str) -> None:
    """Lets the run wait for what only a person can give; `resume` gives it."""
    wish = f"Give it as much {what.removeprefix('more ')} again" if what in MORE.values() else "Let it go on"
    work.ask_person(phase_id, reason, f"{wish}: orchestrator resume {work.run_id}")
    progress = replace(work.run.metadata.progress, waiting_for=what, wake_at=None)
    work.context.state.update_run_status(work.run_id, RunStatus.WAITING, progress=progress)


def _sentence(verdict: Verdict) -> str:
    return " ".join(verdict.reasons)


def _takes_prompts(work: Work) -> bool:
    agents = (work.agent_or_none(step) for step in work.steps)
    return any(agent is not None and agent.takes_prompt for agent in agents)


def _max_retries(work: Work, phase: Phase, execution: Execution) -> int:
    """Returns how often an attempt like this is repeated: a step that failed may set its own limit."""
    progress = execution.progress
    if progress.agent_failure is None:
        return phase.max_retries
    own = work.steps[(progress.steps_done - 1) % len(work.steps)].retries
    return phase.max_retries if own is None else own
