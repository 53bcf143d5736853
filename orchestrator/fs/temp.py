"""Makes the temporary files that become durable ones by a rename, and sweeps those of dead writers.

A writer holds a kernel lock on its temporary file until it is renamed, so a sweep can tell the living from
the dead without trusting process ids or clocks; a killed writer leaves one file under a name of ours.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys

from orchestrator.paths import names

if sys.platform != "win32":  # pragma: no branch - one platform is measured at a time
    import fcntl

PREFIX = names.TEMP_PREFIX
_RANDOM = re.compile(re.escape(PREFIX) + "[0-9a-f]{16}")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class TempFile:
    """A locked, empty file with the exact `mode` in `directory`, under a random name of ours."""

    __slots__ = ("descriptor", "path")

    def __init__(self, directory: str, mode: int) -> None:
        while True:
            self.path = os.path.join(directory, PREFIX + os.urandom(8).hex())
            self.descriptor = os.open(self.path, _FLAGS, mode)
            if _lock(self.descriptor) and os.fstat(self.descriptor).st_nlink:
                break
            os.close(self.descriptor)  # a sweep was faster between the open and the lock
        try:
            os.chmod(self.path, mode)  # the umask took bits away
        except OSError:
            self.discard()
            raise

    def write(self, data: bytes | memoryview) -> None:
        """Appends all of `data`."""
        write_all(self.descriptor, data)

    def become(self, target: str) -> None:
        """Takes the place of `target` in one step; the lock ends after the rename."""
        os.replace(self.path, target)
        os.close(self.descriptor)
        self.descriptor = -1

    def discard(self) -> None:
        """Removes the file unless it has become the target; quiet about a disk that refuses even that."""
        if self.descriptor < 0:
            return
        with contextlib.suppress(
            OSError
        ):  # the first error is the one to tell; a sweep removes the file later
            os.unlink(self.path)
        os.close(self.descriptor)
        self.descriptor = -1


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Writes every byte: a nearly full disk takes a part first and refuses only the next call."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sweep(directory: str) -> int:
    """Removes temporary files of dead writers from one directory; returns how many."""
    with os.scandir(directory) as entries:
        names = [entry.path for entry in entries if _is_ours(entry)]
    return sum(_remove_if_dead(path) for path in names)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    # Marks of a migration begin alike and mean something: only the names of `TempFile` are litter.
    return _RANDOM.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


def _remove_if_dead(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return False
    try:
        if not _lock(descriptor, wait=False):
            return False
        os.unlink(path)
        return True
    except FileNotFoundError:
        return False
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool = True) -> bool:
    if sys.platform == "win32":  # pragma: no cover - Windows alone
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        return wait  # a file system without locks: write anyway, sweep nothing
    return True
