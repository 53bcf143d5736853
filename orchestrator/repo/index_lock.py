"""Holds git's own lock on an index, in a way that tells our lock from everybody else's after a crash."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from orchestrator.errors import Locked
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import announce
from orchestrator.fs.failure import told

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class HardLinksMissing(Exception):
    """The file system cannot give one file two names; the lock has to be made in place."""


class IndexLock:
    """`index.lock` of one worktree, with a token as its content.

    The file is written under another name in `scratch`, our directory beside the index, and appears as
    `index.lock` by a hard link: it is complete from its first moment and its inode is known before.
    """

    def __init__(self, git_dir: Path, token: str) -> None:
        self.path = git_dir / "index.lock"
        self.scratch = git_dir / f"orchestrator-{token}"
        self._token = token
        self._prepared = self.scratch / "lock"

    def prepare(self) -> tuple[int, int]:
        """Writes the lock under its other name and returns its (device, inode)."""
        disk = Disk()
        disk.make_dir(self.scratch)
        disk.write(self._prepared, self._token.encode("ascii"))
        facts = os.lstat(self._prepared)
        return facts.st_dev, facts.st_ino

    def take(self) -> None:
        """Takes the lock; never waits.

        Raises:
            Locked: another git command holds it, or left it behind.
            HardLinksMissing: nothing happened; record that there is no inode to know, then `take_in_place`.
        """
        announce(f"link {self.path}")
        with told(self.path):
            try:
                os.link(self._prepared, self.path)
            except FileExistsError as error:
                raise index_locked(self.path) from error
            except OSError as error:
                if error.errno in _NO_HARD_LINKS:
                    raise HardLinksMissing from error
                raise
        Disk().sync_dir(self.path.parent)

    def take_in_place(self) -> None:
        """Takes the lock on a file system without hard links; a kill in between leaves an empty lock.

        Raises:
            Locked: as `take`.
        """
        announce(f"create {self.path}")
        with told(self.path):
            try:
                descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError as error:
                raise index_locked(self.path) from error
            try:
                os.write(descriptor, self._token.encode("ascii"))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        Disk().sync_dir(self.path.parent)

    def is_ours(self, inode: tuple[int, int] | None) -> bool:
        """Returns whether the lock there is ours: a regular file with our token and, if known, our inode."""
        try:
            facts = os.lstat(self.path)
            if not stat.S_ISREG(facts.st_mode) or facts.st_size != len(self._token):
                return False
            content = self.path.read_bytes()
        except OSError:
            return False
        same_inode = inode is None or inode == (facts.st_dev, facts.st_ino)
        return same_inode and content == self._token.encode("ascii")

    def release(self, inode: tuple[int, int] | None) -> bool:
        """Removes the lock if it is ours, then our directory; returns whether there was a lock of ours."""
        disk = Disk()
        held = self.is_ours(inode)
        if held:
            disk.remove(self.path)
        if os.path.lexists(self.scratch):
            disk.remove_tree(self.scratch)
        return held


def index_locked(path: Path) -> Locked:
    """Returns the error for an `index.lock` that is not ours."""
    error = Locked(what="The index of this checkout", holder=f"another git command ({path})")
    error.hint = f"Wait for it to end. If no git command is running: rm {path}"
    return error
