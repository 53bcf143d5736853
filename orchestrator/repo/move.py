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
from orchestrator.fs.failure import printable
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

    Any error before the branch has moved takes everything back first; what could not be taken back is
    said in the hint. The caller holds the lock that keeps other moves of ours out of this repository.

    Raises:
        Locked: another git command holds the index.
        Refused: `dirty-tree`, files or the branch changed since they were looked at.
        Failed: what `seal` raises; GitFailed, DiskFailed.
    """
    mover = _Mover(repository, move, record)
    try:
        mover.lock()
        mover.move_files()
        mover.seal(seal)
        mover.move_branch(reflog)
    except BaseException as error:
        mover.take_back(error)
        raise
    mover.finish()
    return mover.move


class _Mover:
    """One move being performed; `move` is what was recorded last."""

    def __init__(self, repository: Repository, move: Move, record: Journal) -> None:
        self.move = move
        self._repository = repository
        self._record = record
        self._lock = IndexLock(repository.git_dir, move.token)
        self._index = self._lock.scratch / "index"
        record(move.facts())

    def _know(self, **facts: object) -> None:
        self.move = self.move.model_copy(update=facts)
        self._record(self.move.facts())

    def lock(self) -> None:
        """Takes the lock on the index."""
        self._know(lock_inode=self._lock.prepare())
        try:
            self._lock.take()
        except HardLinksMissing:
            self._know(lock_inode=None)
            self._lock.take_in_place()

    def move_files(self) -> None:
        """Brings the worktree, and an index of our own, to the new tree; durable."""
        move = self.move
        self._require_unmoved()
        digest = Disk().copy(self._repository.git_dir / "index", self._index)
        git = self._git()
        if git.text("write-tree") != self._repository.tree_of(move.old):
            # Asked before anything moves: what is staged could not be told from what hooks stage later.
            raise _dirty("Something was staged in this very moment.")
        self._know(index_sha256=digest)
        git.run("update-index", "-q", "--refresh", ok=(0, 1), mutates=True, settings=_KEEP_CACHE)
        words = ("read-tree", "-m", "-u", move.old, move.tree)
        try:
            git.run(*words, mutates=True, settings=_KEEP_CACHE, network=True)
        except GitFailed as error:
            raise _changed_meanwhile(error) from error
        self._sync(move.old, move.tree)

    def seal(self, seal: Seal) -> None:
        """Lets the new commit be made and records it."""
        new = seal(self._git(), self._lock.scratch)
        tree = self._repository.tree_of(new)
        if tree != self.move.tree:
            self._sync(self.move.tree, tree)
        sync_file(self._index)
        Disk().sync_dir(self._lock.scratch)
        self._repository.sync_ref(self.move.branch)
        self._know(new=new)

    def move_branch(self, reflog: str) -> None:
        """Moves the branch by compare-and-swap: from here on the move has happened."""
        move = self.move
        self._require_unmoved()
        assert move.new is not None
        git, environment = with_users_programs(self._repository.git)
        environment.update(self._repository.identity().environment())
        git.run("update-ref", "-m", reflog, move.branch, move.new, move.old, env=environment, mutates=True)
        self._repository.sync_ref(move.branch)

    def finish(self) -> None:
        """Puts the new index in place and gives up the lock."""
        Disk().rename(self._index, self._repository.git_dir / "index")
        self._lock.release(self.move.lock_inode)

    def take_back(self, error: BaseException) -> None:
        """Undoes what was done so far, and tells in the hint of `error` what the user changed meanwhile."""
        with contextlib.suppress(OrchestratorError):  # the first error is the one to tell; `settle` goes on
            settled = settle_move(self._repository, self.move, self._record)
            if settled.left and isinstance(error, OrchestratorError):
                paths = ", ".join(printable(path) for path in settled.left)
                error.hint = f"These files were changed meanwhile and stay as they are: {paths}"

    def _git(self) -> Git:
        return dataclasses.replace(self._repository.git, index=self._index)

    def _sync(self, before: ObjectId, after: ObjectId) -> None:
        sync_paths(self._repository.checkout, self._repository.changed_paths(before, after))

    def _require_unmoved(self) -> None:
        head = self._repository.head()
        if head.branch != self.move.branch or head.oid != self.move.old:
            raise _dirty("The branch or HEAD was moved in this very moment.")


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
