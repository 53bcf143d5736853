"""Makes files that git wrote into a worktree durable; git itself syncs objects and refs alone."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import told


def sync_paths(root: Path, paths: Iterable[str]) -> None:
    """Makes files just written below `root` durable, and the directories they are in, up to `root`.

    Paths are relative to `root`; those that were removed count by their directories.

    Raises:
        DiskFailed: the device could not take them.
    """
    directories: set[Path] = set()
    for path in paths:
        place = root / path
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if stat.S_ISREG(os.lstat(place).st_mode):
                sync_file(place)
        parent = place.parent
        while parent != root and parent not in directories:
            directories.add(parent)
            parent = parent.parent
    for directory in (root, *sorted(directories)):
        if directory.is_dir() and not directory.is_symlink():
            Disk().sync_dir(directory)


def sync_file(path: Path) -> None:
    """Makes the content of one file durable; a file that its owner may not read is passed over.

    Raises:
        DiskFailed: the device could not take it.
    """
    with told(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except PermissionError:
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
