"""Finishes or takes back a move that was killed; the branch decides which (see `move`)."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.errors import GitFailed, NotTrusted
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId
from orchestrator.repo.index_lock import HardLinksMissing, IndexLock
from orchestrator.repo.journal import Journal, Move, identity_of
from orchestrator.repo.repository import Repository
from orchestrator.repo.take_back import take_back_files

_ORPHAN_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Settled:
    """How an interrupted operation ended.

    `finished`: exactly as if it had not been interrupted. `reverted`: exactly as before it. `left`: the
    user moved on meanwhile, so only our lock was removed. `left` names the paths that the user changed and
    that stay as they are; `notes` are sentences for the user.
    """

    outcome: Literal["finished", "reverted", "left"]
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def settle_move(repository: Repository, move: Move, record: Journal) -> Settled:
    """Finishes or takes back `move`; safe to repeat after any kill, and when there is nothing left to do.

    Raises:
        Locked: another git command holds the index just now; nothing was changed.
        NotTrusted: files must be taken back that filters of the repository itself wrote; nothing was changed.
    """
    known = move.lock_inode if move.git_dir == identity_of(repository) else None
    lock = IndexLock(repository.git_dir, move.token)
    settled, known = _settle(repository, lock, move, known, record)
    _clear_ref_lock(repository, move)
    lock.release(known)
    return settled


def _settle(
    repository: Repository, lock: IndexLock, move: Move, known: tuple[int, int] | None, record: Journal
) -> tuple[Settled, tuple[int, int] | None]:
    if move.index_sha256 is None:
        return Settled("reverted"), known
    tip = repository.read_ref(move.branch)
    moved = _has_moved(repository, move, tip)
    if repository.head().branch != move.branch or not (moved or tip == move.old):
        return Settled("left", notes=("HEAD is elsewhere by now; the files were left alone.",)), known
    if not lock.scratch.exists():
        return Settled("finished" if moved else "reverted"), known  # only the last word was missing
    if not moved and not repository.trusted and repository.local_filters():
        raise NotTrusted(repository.local_filters())  # files could be neither compared nor written rightly
    _wait_for_orphan(lock.scratch / "index.lock")
    known = _hold(lock, move, known, record)
    if moved:
        return _put_index(repository, lock, move), known
    left = take_back_files(repository, lock.scratch, move)
    return Settled("reverted", left=left), known


def _has_moved(repository: Repository, move: Move, tip: ObjectId | None) -> bool:
    """Returns whether the branch went where the move leads; the user may have committed on top since."""
    if tip is None or move.new is None or tip == move.old:
        return False
    if tip == move.new:
        return True
    back = is_ancestor(repository, move.new, move.old)
    return is_ancestor(repository, move.new, tip) and not (back and is_ancestor(repository, move.old, tip))


def is_ancestor(repository: Repository, commit: ObjectId, of: ObjectId) -> bool:
    """Returns whether `commit` is `of` or one of its ancestors."""
    return repository.git.run("merge-base", "--is-ancestor", commit, of, ok=(0, 1, 128)).status == 0


def _wait_for_orphan(lock: Path) -> None:
    # A git that outlived its killed owner may be writing files still; if it was killed too, its lock stays.
    deadline = time.monotonic() + _ORPHAN_PATIENCE_S
    while lock.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def _hold(
    lock: IndexLock, move: Move, known: tuple[int, int] | None, record: Journal
) -> tuple[int, int] | None:
    if lock.is_ours(known):
        return known
    inode: tuple[int, int] | None = lock.prepare()
    record(move.model_copy(update={"lock_inode": inode}).facts())
    try:
        lock.take()
    except HardLinksMissing:
        record(move.model_copy(update={"lock_inode": None}).facts())
        lock.take_in_place()
        inode = None
    return inode


def _put_index(repository: Repository, lock: IndexLock, move: Move) -> Settled:
    index = repository.git_dir / "index"
    scratch = lock.scratch / "index"
    if not scratch.exists():
        return Settled("finished")  # it was renamed: only the lock was left
    if hashlib.sha256(index.read_bytes()).hexdigest() == move.index_sha256:
        Disk().rename(scratch, index)
        return Settled("finished")
    return _rebase_index(repository, lock, move)


def _rebase_index(repository: Repository, lock: IndexLock, move: Move) -> Settled:
    # Somebody removed our lock and changed the index: what is staged there stays, the rest follows the
    # branch.
    index = repository.git_dir / "index"
    scratch = lock.scratch / "index-of-the-user"
    Disk().copy(index, scratch)
    git = dataclasses.replace(repository.git, index=scratch)
    assert move.new is not None
    try:
        git.run("read-tree", "-m", "-i", move.old, move.new, mutates=True)
    except GitFailed:
        return Settled("finished", notes=("The index was changed meanwhile and is left as it is.",))
    git.run("update-index", "-q", "--refresh", ok=(0, 1), mutates=True)
    Disk().rename(scratch, index)
    return Settled("finished", notes=("The index was changed meanwhile; what you staged is kept.",))


def _clear_ref_lock(repository: Repository, move: Move) -> None:
    # A git of ours that was killed while it moved the branch leaves a lock file with a commit only we know.
    lock = repository.common_dir / f"{move.branch}.lock"
    if move.new is None or move.kind != "merge" or not os.path.lexists(lock):
        return
    if _first_bytes(lock).strip() == move.new.encode("ascii"):
        Disk().remove(lock)


def _first_bytes(path: Path) -> bytes:
    try:
        return b"" if path.is_symlink() else path.read_bytes()[:200]
    except OSError:
        return b""
