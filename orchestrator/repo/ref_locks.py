"""Knows when git deletes refs of ours, and clears away what a git that was killed meanwhile left behind.

Deleting a ref makes git lock the packed refs of the whole repository, and a killed git leaves that lock, on
which every later deletion fails, the user's own as well. It is nobody's by its name, so a note beside it,
made before, tells that one of ours may have been cut off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from orchestrator.fs.disk import Disk
from orchestrator.process.spawn import Captured
from orchestrator.repo.asking import OURS
from orchestrator.repo.repository import Repository

NOTE = "orchestrator-deletes-refs"
"""The note in the git directory: it is there only while a ref is deleted, and after a kill."""

_LOCK = "packed-refs.lock"
_DRAFT = "packed-refs.new"  # only who holds the lock makes it
_PATIENCE_S = 3.0
_POLL_S = 0.05


def deleting(repository: Repository, name: str, delete: Callable[[], Captured]) -> Captured:
    """Lets `delete` delete one of our refs, again where a killed git is in its way; returns how it ended.

    The caller holds the lock of the ref's run. A kill leaves the ref or not, and locks for the next call.
    """
    disk, note = Disk(), repository.common_dir / NOTE
    was_cut_off = os.path.lexists(note)
    disk.append(note, b"")  # made in place: a temporary file would be litter after a kill
    try:
        done = delete()
        if done.status != 0 and repository.clear_stale_lock(name):
            done = delete()
        if done.status != 0 and was_cut_off and _clear_packed_lock(repository):
            done = delete()
    finally:
        if not os.path.lexists(repository.common_dir / _LOCK):
            disk.remove(note)
    return done


def _clear_packed_lock(repository: Repository) -> bool:
    """Removes the lock on the packed refs unless somebody lets go of it or takes it anew within seconds."""
    lock = repository.common_dir / _LOCK
    before = _inode(lock)
    deadline = time.monotonic() + _PATIENCE_S
    while before is not None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        if _inode(lock) != before:
            return True  # a living git: the deletion is worth another try
    if before is None:
        return False
    Disk().remove(repository.common_dir / _DRAFT)
    Disk().remove(lock)
    return True


def _inode(path: os.PathLike[str]) -> tuple[int, int] | None:
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def tidy(repository: Repository) -> None:
    """Removes the empty directories, locks and logs that deleting all our refs left in the git directory.

    The caller holds the lock of the repository and every run's. While a ref of ours is left, nothing happens.
    """
    if repository.our_refs():
        return
    disk = Disk()
    disk.remove(repository.common_dir / NOTE)
    for prefix in OURS:
        place = repository.common_dir / "logs" / prefix.rstrip("/")
        disk.remove_tree(place)
        for directory, _, files in os.walk(repository.common_dir / prefix.rstrip("/"), topdown=False):
            for name in files:
                if name.endswith(".lock"):
                    disk.remove(os.path.join(directory, name))
            disk.remove_empty(directory)
