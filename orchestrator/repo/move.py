"""Moves a branch and the worktree that has it checked out from one commit to another; a kill leaves either.

Order: journal → our lock on the index → worktree, with an index of our own → hooks and commit → journal of
the new commit → branch, by compare-and-swap → index → lock. The branch decides: before it has moved
everything is taken back, afterwards everything is finished (`settle`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import GitFailed, OrchestratorError, Refused
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId
from orchestrator.repo.durable import sync_file, sync_paths
from orchestrator.repo.git import Git
from orchestrator.repo.hooks import with_users_programs
from orchestrator.repo.index_lock import HardLinksMissing, IndexLock
from orchestrator.repo.journal import Journal, Move
from orchestrator.repo.repository import Repository
from orchestrator.repo.settle import settle_move

Seal = Callable[[Git, Path], ObjectId]
"""Makes or names the new commit once the worktree and the index of the git it is given hold its files.

The path is a directory of ours for scratch files.
"""

_KEEP_CACHE = (("core.untrackedCache", "keep"),)


def perform(repository: Repository, move: Move, seal: Seal, record: Journal, reflog: str) -> Move:
    """Performs the move and returns it with everything known; durable when it returns.

    Any error before the branch has moved takes everything back first; what could not be taken back is said in
    the hint. The caller holds the lock that keeps other moves of ours out of this repository.

    Raises:
        Locked: another git command holds the index.
        Refused: `dirty-tree`, files or the branch changed since they were looked at.
        Failed: what `seal` raises; GitFailed, DiskFailed.
    """
    record(move.facts())
    lock = IndexLock(repository.git_dir, move.token)
    try:
        move = _lock(lock, move, record)
        move = _move_files(repository, lock, move, record)
        move = _seal(repository, lock, move, seal, record)
        _move_branch(repository, move, reflog)
    except BaseException as error:
        _take_back(repository, move, record, error)
        raise
    finish(repository, lock, move)
    return move


def finish(repository: Repository, lock: IndexLock, move: Move) -> None:
    """Puts the new index in place and gives up the lock: what is left to do once the branch has moved."""
    scratch = lock.scratch / "index"
    if scratch.exists():
        Disk().rename(scratch, repository.git_dir / "index")
    lock.release(move.lock_inode)


def _lock(lock: IndexLock, move: Move, record: Journal) -> Move:
    move = move.model_copy(update={"lock_inode": lock.prepare()})
    record(move.facts())
    try:
        lock.take()
    except HardLinksMissing:
        move = move.model_copy(update={"lock_inode": None})
        record(move.facts())
        lock.take_in_place()
    return move


def _move_files(repository: Repository, lock: IndexLock, move: Move, record: Journal) -> Move:
    _require_unmoved(repository, move)
    index = lock.scratch / "index"
    digest = Disk().copy(repository.git_dir / "index", index)
    move = move.model_copy(update={"index_sha256": digest})
    record(move.facts())
    git = dataclasses.replace(repository.git, index=index)
    git.run("update-index", "-q", "--refresh", ok=(0, 1), mutates=True, settings=_KEEP_CACHE)
    try:
        git.run(
            "read-tree", "-m", "-u", move.old, move.tree, mutates=True, settings=_KEEP_CACHE, network=True
        )
    except GitFailed as error:
        raise _changed_meanwhile(error) from error
    if git.text("write-tree") != move.tree:
        raise _dirty("Something was staged in this very moment.")
    sync_paths(repository.checkout, repository.changed_paths(move.old, move.tree))
    return move


def _seal(repository: Repository, lock: IndexLock, move: Move, seal: Seal, record: Journal) -> Move:
    index = lock.scratch / "index"
    new = seal(dataclasses.replace(repository.git, index=index), lock.scratch)
    tree = repository.tree_of(new)
    if tree != move.tree:
        sync_paths(repository.checkout, repository.changed_paths(move.tree, tree))
    sync_file(index)
    Disk().sync_dir(lock.scratch)
    repository.sync_ref(move.branch)
    move = move.model_copy(update={"new": new})
    record(move.facts())
    return move


def _move_branch(repository: Repository, move: Move, reflog: str) -> None:
    _require_unmoved(repository, move)
    assert move.new is not None
    git, environment = with_users_programs(repository.git)
    environment.update(repository.identity().environment())
    git.run("update-ref", "-m", reflog, move.branch, move.new, move.old, env=environment, mutates=True)
    repository.sync_ref(move.branch)


def _require_unmoved(repository: Repository, move: Move) -> None:
    head = repository.head()
    if head.branch != move.branch or head.oid != move.old:
        raise _dirty("The branch or HEAD was moved in this very moment.")


def _take_back(repository: Repository, move: Move, record: Journal, error: BaseException) -> None:
    with contextlib.suppress(
        OrchestratorError
    ):  # the first error is the one to tell; the next command settles
        settled = settle_move(repository, move, record)
        if settled.outcome == "finished":
            return
        if settled.left and isinstance(error, OrchestratorError):
            error.hint = "These files were changed meanwhile and stay as they are: " + ", ".join(settled.left)


def _changed_meanwhile(error: GitFailed) -> OrchestratorError:
    if "not uptodate" in error.stderr or "would be overwritten" in error.stderr:
        return _dirty(error.message)
    if "Updating the following directories would lose" in error.stderr:
        return _dirty(error.message)
    return error


def _dirty(reason: str) -> Refused:
    return Refused(
        f"The checkout changed while the move was prepared: {reason}",
        code="dirty-tree",
        hint="Commit or stash your changes, then try again.",
    )
