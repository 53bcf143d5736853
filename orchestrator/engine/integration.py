"""From a tree that passed to a result: phase commits, the branch, the merge, the seal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.engine.attempt import settle_interrupted
from orchestrator.engine.keeping import existing_tree, remove_tree
from orchestrator.engine.merging import merge_run
from orchestrator.engine.work import TREE, Work
from orchestrator.errors import Failed, OrchestratorError, Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import ObjectId
from orchestrator.model.run import (
    Execution,
    ExecutionStatus,
    Integrate,
    Outcome,
    Phase,
    PhaseStatus,
    RunProgress,
    RunStatus,
)
from orchestrator.repo import merge, removal, results
from orchestrator.repo.stacking import advance, is_usable
from orchestrator.verify.clean import discard


def keep_phase(work: Work, phase: Phase, execution: Execution) -> None:
    """Commits the tree that passed on top of the phases before, unless it changed nothing.

    Doing this again after a crash finds the same commit.
    """
    tip = _keep_commit(work, phase, execution)
    with work.context.state.transaction():
        if tip is not None:
            work.update_progress(lambda progress: replace(progress, result=tip))
        work.context.state.update_phase_status(work.run_id, phase.id, PhaseStatus.COMPLETED)
        work.set_status(RunStatus.EXECUTING)


def _keep_commit(work: Work, phase: Phase, execution: Execution) -> ObjectId | None:
    repository, metadata = work.context.repository, work.run.metadata
    parent = metadata.progress.result or metadata.origin.base
    passed = execution.progress.tree
    if passed is None or passed == repository.tree_of(parent):
        return None
    commit = results.commit_phase(
        repository,
        work.run_id,
        tree=passed,
        parent=parent,
        message=_message(work, phase),
        identity=repository.identity(),
    )
    tree = existing_tree(work)
    if tree is not None and is_usable(tree):
        advance(tree, commit)
    return commit


def _message(work: Work, phase: Phase) -> str:
    run = work.run
    subject = phase.plan.name.strip() or run.task.strip().splitlines()[0]
    body = phase.plan.description.strip()
    lines = [subject[:100]]
    if lines == [subject]:
        body = body.removeprefix(f"{subject}\n").strip()
    if body and body != subject:
        lines += ["", body]
    if work.config.git.commit_trailers:
        lines += ["", f"Orchestrator-Run: {run.id}", f"Orchestrator-Phase: {phase.id}"]
        if work.context.session_id is not None:
            lines.append(f"Orchestrator-Session: {work.context.session_id}")
    return "\n".join(lines) + "\n"


def integrate(work: Work) -> None:
    """Publishes the result branch by compare-and-swap, and merges it when the user asked for that.

    A merge that cannot be done now leaves the branch, an intervention, and a waiting run.
    """
    progress = work.run.metadata.progress
    assert progress.result is not None, "only a result is integrated"
    if progress.branch is None:
        branch = results.publish_branch(work.context.repository, work.run_id, progress.result, None)
        with work.context.state.transaction():
            work.update_progress(lambda p: replace(p, branch=branch))
            work.context.state.record_event(
                work.run_id, EventKind.BRANCH_UPDATED, {"branch": branch, "head": progress.result}
            )
            _note_conflicts(work, progress.result)
    if work.run.metadata.options.integrate is Integrate.MERGE:
        _merge(work)


def _note_conflicts(work: Work, result: ObjectId) -> None:
    origin = work.run.metadata.origin
    if origin.branch is None:
        return
    tip = work.context.repository.read_ref(origin.branch)
    if tip is None or tip == origin.base:
        return
    simulation = merge.simulate(work.context.repository, tip, result)
    if simulation.conflicts:
        files = ", ".join(simulation.conflicts[:5])
        work.note(f"{origin.branch} has moved, and merging would conflict in: {files}.")


def _merge(work: Work) -> None:
    if work.guard is not None:
        work.guard.report()
    try:
        merge_run(work.context, work.run_id)
    except (Refused, Failed) as error:
        _wait_for_merge(work, error)
        return
    finally:
        if work.guard is not None:
            work.guard.accept()
    work.update_progress(lambda progress: replace(progress, merged=True))


def _wait_for_merge(work: Work, error: OrchestratorError) -> None:
    state = work.context.state
    progress = replace(work.run.metadata.progress, waiting_for=f"its merge: {error.message}")
    with state.transaction():
        work.ask_person(None, error.message, f"{error.hint} (then: orchestrator resume {work.run_id})")
        state.update_run_status(work.run_id, RunStatus.WAITING, progress=progress)


def finish(work: Work) -> None:
    """Seals a run whose phases are done: last checkpoint, tree removed, completed, in that order.

    Repeating it after a crash seals again and changes nothing else.
    """
    progress = replace(work.run.metadata.progress, outcome=_outcome(work))
    _seal(work, progress)
    with work.context.state.transaction():
        work.context.state.update_run_status(work.run_id, RunStatus.COMPLETED, progress=progress)
        work.record_finish(RunStatus.COMPLETED, 0)


def _outcome(work: Work) -> Outcome:
    if work.run.metadata.progress.result is None:
        return Outcome.NO_CHANGES
    executions = work.context.state.get_executions(work.run_id)
    passed = [e.progress for e in executions if e.status is ExecutionStatus.SUCCEEDED]
    doubtful = any(progress.indeterminate or progress.unverified for progress in passed)
    return Outcome.UNVERIFIED if doubtful else Outcome.VERIFIED


def _seal(work: Work, progress: RunProgress) -> None:
    run = work.run
    ended = replace(
        run,
        status=RunStatus.COMPLETED,
        completed_at=datetime.now(UTC),
        metadata=replace(run.metadata, progress=progress),
    )
    remove_tree(work, "sealed", ended=ended)
    removal.remove_notes(work.context.trees.root / work.run_id / TREE)
    discard(work.context.trees, work.run_id)


def cancel(work: Work) -> None:
    """Ends a run that somebody cancelled; its tree is checkpointed and kept, so it can be taken up again."""
    for execution in work.context.state.get_executions(work.run_id):
        if execution.status is ExecutionStatus.RUNNING:
            settle_interrupted(work, execution)
    progress = replace(work.run.metadata.progress, cancel_requested=False, error="It was cancelled.")
    state = work.context.state
    with state.transaction():
        for asked in state.get_interventions(work.run_id, open_only=True):
            state.resolve_intervention(asked.id, "cancelled")
        state.update_run_status(work.run_id, RunStatus.CANCELLED, progress=progress)
        work.record_finish(RunStatus.CANCELLED, 3)
