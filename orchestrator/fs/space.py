"""How much a file system can still take. Standard library only, for the front door."""

from __future__ import annotations

import os

from orchestrator.fs.failure import told


class FreeSpace:
    """What a file system can still take from this user; `inodes` is None where it knows no such limit."""

    __slots__ = ("bytes", "inodes")

    def __init__(self, *, bytes: int, inodes: int | None) -> None:
        self.bytes = bytes
        self.inodes = inodes


def free_space(path: str | os.PathLike[str]) -> FreeSpace:
    """Returns what the file system of `path`, which must exist, can still take from this user.

    Raises:
        DiskFailed: it cannot be asked.
    """
    with told(path):
        facts = os.statvfs(path)
    return FreeSpace(bytes=facts.f_bavail * facts.f_frsize, inodes=facts.f_favail if facts.f_files else None)
