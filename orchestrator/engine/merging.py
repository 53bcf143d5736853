"""Merges a run's result into the user's branch, journalled, so that a crash in it is settled later."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace

from orchestrator.config.frozen import thaw
from orchestrator.engine.context import EngineContext
from orchestrator.engine.verification import verify_merged
from orchestrator.errors import AnswerIsNo, Locked, OrchestratorError, Refused
from orchestrator.fs.lock import DirectoryLock
from orchestrator.model.ids import ObjectId, OperationId, RunId
from orchestrator.model.json import JsonObject
from orchestrator.model.record import Operation, OperationKind, OperationStatus
from orchestrator.model.run import Run
from orchestrator.repo import carrier, merge, undo
from orchestrator.repo.git import find_repository
from orchestrator.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class MergeDone:
    """The merge commit and the branch (full name) it is on; `already` when there was nothing to do."""

    commit: ObjectId
    branch: str
    operation_id: OperationId | None
    already: bool
    notes: tuple[str, ...]


class OperationJournal:
    """Makes the facts of one operation durable: the first call begins it, later ones replace its facts."""

    def __init__(
        self,
        context: EngineContext,
        kind: OperationKind,
        run_id: RunId | None,
        undoes: Operation | None = None,
    ) -> None:
        self._context = context
        self._kind = kind
        self._run_id = run_id
        self._undoes = undoes
        self.operation: Operation | None = None

    def __call__(self, facts: JsonObject) -> None:
        """Records what is about to happen; durable when it returns."""
        stored = {"journal": facts, "undoes": self._undoes.id if self._undoes else None}
        state = self._context.state
        if self.operation is None:
            place = os.fspath(self._context.repository.checkout)
            self.operation = state.begin_operation(self._kind, self._run_id, place, stored)
        else:
            self.operation = state.update_operation(self.operation.id, OperationStatus.INTENDED, stored)


def repository_lock(context: EngineContext, command: str) -> DirectoryLock:
    """Returns the lock that keeps other moves of ours out of this repository; no file is made for it."""
    return DirectoryLock(
        context.repository.common_dir,
        record=context.paths.locks_dir / "repository.lock",
        what="this repository",
        command=command,
    )


def merge_run(context: EngineContext, run_id: RunId) -> MergeDone:
    """Merges a run's result into the branch the user stands on; durable when it returns.

    When that branch has moved since the run began, the checks run on the merged tree first. A crash in the
    middle is finished or reverted by the next command that writes.

    Raises:
        Refused, NotTrusted, Locked, Failed: as `repo.merge.merge`, and `carrier-in-branch`: a commit in which
            orchestrator carries the state of runs would come along; nothing was changed.
        AnswerIsNo: `merged-tree-fails`: the gates do not hold on the merged tree.
    """
    run = context.state.get_run(run_id)
    result = _result(run)
    with repository_lock(context, f"orchestrator merge {run_id}"):
        tip = context.repository.head().oid
        carrier.require_none(context.repository, *(oid for oid in (tip, result) if oid is not None))
        if tip is not None and tip != run.metadata.origin.base:
            _check_merged_tree(context, run, tip, result)
        journal = OperationJournal(context, OperationKind.MERGE, run_id)
        done = _journalled_merge(context, run, result, journal, tip)
    return MergeDone(
        done.commit,
        done.branch,
        journal.operation.id if journal.operation else None,
        done.already,
        done.notes,
    )


def _result(run: Run) -> ObjectId:
    result = run.metadata.progress.result
    if result is None:
        raise Refused(
            f"Run {run.id} has no result to merge ({run.status}).",
            code="nothing-to-merge",
            hint=f"Look at it with: orchestrator report {run.id}",
        )
    if run.metadata.progress.branch is None and run.metadata.progress.outcome is None:
        raise Refused(
            f"Run {run.id} has not passed its gates ({run.status}), so it is not merged.",
            code="not-passed",
            hint=f"Go on with it: orchestrator resume {run.id}",
        )
    return result


def _check_merged_tree(context: EngineContext, run: Run, tip: ObjectId, result: ObjectId) -> None:
    simulation = merge.simulate(context.repository, tip, result)
    if simulation.tree is None or simulation.tree == context.repository.tree_of(result):
        return
    config = thaw(
        run.metadata.config, current=context.config, redactor=context.redactor, parts=("verify", "worktrees")
    )
    over = verify_merged(context, run, config, base=tip, tree=simulation.tree)
    if over:
        raise AnswerIsNo(
            f"The checks do not pass on the merged tree: {' '.join(over)}",
            code="merged-tree-fails",
            hint=f"Start again from here: orchestrator run --base HEAD {run.task.splitlines()[0]!r}",
        )


def _journalled_merge(
    context: EngineContext, run: Run, result: ObjectId, journal: OperationJournal, tip: ObjectId | None
) -> merge.Merged:
    message = f"Merge branch 'orchestrator/{run.id}'\n\n{run.task.strip()}\n"
    try:
        done = merge.merge(context.repository, result, message, journal, onto=tip)
    except OrchestratorError:
        if journal.operation is not None:
            with suppress(Locked):
                settle_operation(context, journal.operation)
        raise
    _conclude(context, journal.operation, run.id, OperationStatus.DONE, merged=True)
    return done


def settle_interrupted(context: EngineContext) -> tuple[str, ...]:
    """Finishes or reverts every operation that a crash interrupted, and says what came of each.

    What a living process is just doing is left to it.
    """
    intended = context.state.intended_operations()
    if not intended:
        return ()
    lock = repository_lock(context, "orchestrator (settling)")
    try:
        lock.acquire(timeout_s=0.2)
    except Locked:
        return ()
    try:
        return tuple(s for operation in intended for s in settle_operation(context, operation))
    finally:
        lock.release()


def settle_operation(context: EngineContext, operation: Operation) -> tuple[str, ...]:
    """Finishes or reverts one operation under the repository's lock and records which."""
    facts = operation.facts.get("journal")
    if not isinstance(facts, dict):
        context.state.update_operation(operation.id, OperationStatus.REVERTED)
        return ()
    repository = _repository_at(context, operation.worktree)
    if repository is None:
        context.state.update_operation(operation.id, OperationStatus.REVERTED)
        return (f"{operation.worktree} is gone, so its interrupted {operation.kind} was given up.",)

    def record(facts: JsonObject) -> None:
        stored = {**operation.facts, "journal": facts}
        context.state.update_operation(operation.id, OperationStatus.INTENDED, stored)

    settled = undo.settle(repository, facts, record)
    finished = settled.outcome == "finished"
    status = OperationStatus.DONE if finished else OperationStatus.REVERTED
    merged = True if operation.kind is OperationKind.MERGE and finished else None
    _conclude(context, operation, operation.run_id, status, merged=merged)
    kept = tuple(f"{path} was changed meanwhile and stays as it is." for path in settled.left)
    return (f"An interrupted {operation.kind} was {settled.outcome}.", *kept, *settled.notes)


def _repository_at(context: EngineContext, worktree: str) -> Repository | None:
    if worktree == os.fspath(context.repository.checkout):
        return context.repository
    try:
        located = find_repository(worktree, {})
    except Refused:
        return None
    if located.common_dir != context.located.common_dir:
        return context.repository  # the repository was moved or copied; its main checkout is the one meant
    return Repository(located, trusted=context.repository.trusted)


def _conclude(
    context: EngineContext,
    operation: Operation | None,
    run_id: RunId | None,
    status: OperationStatus,
    *,
    merged: bool | None,
) -> None:
    with context.state.transaction():
        if operation is not None:
            context.state.update_operation(operation.id, status)
        if merged is not None and run_id is not None:
            progress = context.state.get_run(run_id).metadata.progress
            context.state.set_run_progress(run_id, replace(progress, merged=merged))
