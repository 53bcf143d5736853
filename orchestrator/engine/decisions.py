"""What else a user decides about runs: discard, cancel, undo; each is recorded and can be taken back."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from orchestrator.engine import integration
from orchestrator.engine.context import EngineContext
from orchestrator.engine.keeping import remove_tree, seal_rest
from orchestrator.engine.merging import OperationJournal, repository_lock, settle_operation
from orchestrator.engine.work import open_work
from orchestrator.errors import Locked, OrchestratorError, Refused
from orchestrator.fs.lock import FileLock
from orchestrator.model.ids import OperationId, RunId
from orchestrator.model.record import Operation, OperationKind, OperationStatus
from orchestrator.model.run import ENDED_RUN, Run, RunStatus
from orchestrator.repo import removal, undo
from orchestrator.repo.removal import WayBack

_UNDOABLE = (
    OperationKind.MERGE,
    OperationKind.DISCARD,
    OperationKind.CANCEL,
    OperationKind.MIGRATE,
    OperationKind.UNDO,
)


def discard_run(context: EngineContext, run_id: RunId) -> WayBack | None:
    """Drops a run's result branch and its tree, and cancels the run unless it is completed.

    What it asked of a person needs no answer any more. Everything stays reachable from `refs/orchestrator/`;
    `undo` brings the branch back, or makes a run without one resumable. None when the run has left neither
    branch nor result.

    Raises:
        Locked: a process works on this run.
        Refused: `branch-not-ours`, `branch-checked-out`.
    """
    run = context.state.get_run(run_id)
    with _run_lock(context, run_id, "discard"), repository_lock(context, f"orchestrator discard {run_id}"):
        journal = OperationJournal(context, OperationKind.DISCARD, run_id)
        way_back = removal.discard(
            context.repository, run_id, recorded=run.metadata.progress.result, record=journal
        )
        _drop_tree(context, run_id)
        with context.state.transaction():
            if run.status not in (RunStatus.COMPLETED, RunStatus.CANCELLED):
                context.state.update_run_status(run_id, RunStatus.CANCELLED)
                if journal.operation is None:
                    _record_cancel(context, run)
            for asked in context.state.get_interventions(run_id, open_only=True):
                context.state.resolve_intervention(asked.id, "discarded")
            if journal.operation is not None:
                context.state.update_operation(journal.operation.id, OperationStatus.DONE)
    return way_back


def _drop_tree(context: EngineContext, run_id: RunId) -> None:
    remove_tree(open_work(context, run_id, lambda: False), "discarded")


def cancel_run(context: EngineContext, run_id: RunId) -> Run:
    """Ends a run that has not ended: asks its process, or does it here when there is none.

    Its tree is checkpointed and kept. Returns the run as it stands; while its process still ends it, the run
    is not cancelled yet.

    Raises:
        Refused: `already-ended`.
    """
    run = context.state.get_run(run_id)
    if run.status in ENDED_RUN:
        raise Refused(
            f"Run {run_id} has ended already ({run.status}).",
            code="already-ended",
            hint=f"Look at it with: orchestrator report {run_id}",
        )
    with context.state.transaction():
        context.state.request_cancel(run_id)
        _record_cancel(context, run)
    lock = _run_lock(context, run_id, "cancel")
    try:
        lock.acquire(timeout_s=0.5)
    except Locked:
        return context.state.get_run(run_id)
    try:
        if context.state.get_run(run_id).status not in ENDED_RUN:  # its owner may just have ended it
            work = open_work(context, run_id, lambda: False)
            integration.cancel(work)
            seal_rest(context, work.config, run_id)
    finally:
        lock.release()
    return context.state.get_run(run_id)


def _record_cancel(context: EngineContext, run: Run) -> None:
    """Records a cancel as done, with what its undo gives back."""
    facts = {"status": run.status.value, "waiting_for": run.metadata.progress.waiting_for}
    operation = context.state.begin_operation(
        OperationKind.CANCEL, run.id, os.fspath(context.repository.checkout), {"cancel": facts}
    )
    context.state.update_operation(operation.id, OperationStatus.DONE)


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """The operation that an undo would take back, and what that means in a sentence."""

    operation: Operation
    sentence: str


def undo_plan(context: EngineContext, operation_id: OperationId | None) -> UndoPlan:
    """Returns what `undo` would do in this checkout; changes nothing.

    Raises:
        Refused: `nothing-to-undo`, `operation-unknown`, `operation-elsewhere`.
    """
    here = os.fspath(context.repository.checkout)
    if operation_id is None:
        operation = _last_operation(context, here)
    else:
        operation = _named_operation(context, operation_id, here)
    run = f" of run {operation.run_id}" if operation.run_id else ""
    when = operation.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    verb = "Do again what was undone by" if operation.kind is OperationKind.UNDO else "Take back"
    return UndoPlan(operation, f"{verb} the {operation.kind}{run} of {when}")


def perform_undo(context: EngineContext, plan: UndoPlan) -> str:
    """Takes an operation back and returns what was done in words; undoing an undo does it again.

    A crash in the middle is finished or reverted by the next command that writes.

    A migration is not taken back here: `migrate --rollback` does that, in a room above this one.

    Raises:
        Refused, NotTrusted, Locked, Failed: as `repo.undo.undo`; nothing was changed.
    """
    operation = plan.operation
    with repository_lock(context, "orchestrator undo"):
        if operation.kind is OperationKind.CANCEL:
            return _undo_cancel(context, operation)
        journal = OperationJournal(context, OperationKind.UNDO, operation.run_id, undoes=operation)
        facts = operation.facts.get("journal")
        assert isinstance(facts, dict), "an operation that is done has a journal"
        try:
            undone = undo.undo(context.repository, facts, journal)
        except OrchestratorError:
            if journal.operation is not None:
                settle_operation(context, journal.operation)
            raise
        _record_undo(context, operation, journal.operation)
    return f"{undone.what} (the way back: {undone.way_back})"


def _record_undo(context: EngineContext, undone: Operation, performed: Operation | None) -> None:
    state = context.state
    with state.transaction():
        state.update_operation(undone.id, OperationStatus.UNDONE)
        if performed is not None:
            state.update_operation(performed.id, OperationStatus.DONE)
        root, times = _root(state.get_operations(), undone)
        if times % 2 == 0 and root.status is OperationStatus.UNDONE:
            state.update_operation(root.id, OperationStatus.DONE)
        if root.kind is OperationKind.MERGE and root.run_id is not None:
            progress = state.get_run(root.run_id).metadata.progress
            state.set_run_progress(root.run_id, replace(progress, merged=times % 2 == 0))


def _root(operations: list[Operation], undone: Operation) -> tuple[Operation, int]:
    """Returns the operation that a chain of undos goes back to, and how many undos now lie on it."""
    by_id = {operation.id: operation for operation in operations}
    times, current = 1, undone
    while current.kind is OperationKind.UNDO:
        current = by_id[OperationId(str(current.facts["undoes"]))]
        times += 1
    return current, times


def _undo_cancel(context: EngineContext, operation: Operation) -> str:
    assert operation.run_id is not None
    run = context.state.get_run(operation.run_id)
    if run.status is not RunStatus.CANCELLED:
        raise Refused(
            f"Run {run.id} is not cancelled any more ({run.status}).",
            code="nothing-to-undo",
            hint="See what was done with: orchestrator ops",
        )
    facts = operation.facts.get("cancel")
    before = facts.get("waiting_for") if isinstance(facts, dict) else None
    waiting_for = before if isinstance(before, str) else "you to resume it"
    progress = replace(run.metadata.progress, waiting_for=waiting_for, error=None, exit_status=None)
    with context.state.transaction():
        context.state.update_run_status(run.id, RunStatus.WAITING, progress=progress)
        context.state.update_operation(operation.id, OperationStatus.UNDONE)
    return f"run {run.id} can be resumed: orchestrator resume {run.id}"


def _last_operation(context: EngineContext, here: str) -> Operation:
    for operation in context.state.get_operations(worktree=here):
        if operation.status is OperationStatus.DONE and operation.kind in _UNDOABLE:
            return operation
    raise Refused(
        "Nothing has been done in this checkout that could be undone.",
        code="nothing-to-undo",
        hint="See what was done with: orchestrator ops",
    )


def _named_operation(context: EngineContext, operation_id: OperationId, here: str) -> Operation:
    found = next((o for o in context.state.get_operations() if o.id == operation_id), None)
    if found is None or found.kind not in _UNDOABLE or found.status is not OperationStatus.DONE:
        raise Refused(
            f"There is no operation {operation_id} that could be undone.",
            code="operation-unknown",
            hint="See what was done with: orchestrator ops",
        )
    if found.worktree != here:
        raise Refused(
            f"Operation {operation_id} was done in {found.worktree}.",
            code="operation-elsewhere",
            hint=f"orchestrator -C {found.worktree} undo {operation_id}",
        )
    return found


def _run_lock(context: EngineContext, run_id: RunId, verb: str) -> FileLock:
    return FileLock(
        context.paths.run_lock(run_id), what=f"run {run_id}", command=f"orchestrator {verb} {run_id}"
    )
