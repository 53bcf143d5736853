"""Tells whether a lock is held, and by whom, without disturbing anybody; standard library only.

The front door asks this for every run it shows: nothing dearer than `os` is imported while no lock is held.
"""

from __future__ import annotations

import errno
import os
import stat

from orchestrator.errors import Refused
from orchestrator.fs.failure import printable, told

RECORD_SUFFIX = ".holder"
_RECORD_LIMIT_BYTES = 16384
_OPEN = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)


class Holder:
    """Who holds a lock, as far as its record tells; `pid` is 0 when there is no record to believe.

    `since` is ISO 8601 UTC; `boot_id` and `start_time` (clock ticks after boot) tell a process from a later
    one with the same number, and are empty and 0 where the system does not say.
    """

    __slots__ = ("boot_id", "command", "host", "pid", "since", "start_time")

    def __init__(
        self,
        *,
        pid: int = 0,
        host: str = "",
        command: str = "",
        since: str = "",
        boot_id: str = "",
        start_time: int = 0,
    ) -> None:
        self.pid = pid
        self.host = host
        self.command = command
        self.since = since
        self.boot_id = boot_id
        self.start_time = start_time

    def describe(self) -> str:
        """Returns the words for a message: pid, host, command and since when."""
        if not self.pid:
            return "another process (its record is missing)"
        return f"pid {self.pid} ({self.host}, `{self.command}`, since {self.since})"


def is_held(path: str | os.PathLike[str]) -> bool:
    """Returns whether a process holds the lock at `path`; a missing lock file means no.

    Takes a shared lock for an instant and never waits; somebody who wants the lock in that instant tries
    again for a second before giving up.

    Raises:
        Refused: `lock-unsafe`, a link, a directory or something else stands there; `unsupported-platform`.
        DiskFailed: the file may not be read, or its file system has no locks.
    """
    try:
        descriptor = open_lock(path)
    except FileNotFoundError:
        return False
    try:
        with told(path):
            return not _try_shared(descriptor)
    finally:
        os.close(descriptor)


def is_directory_held(directory: str | os.PathLike[str]) -> bool:
    """Returns whether a process holds a `DirectoryLock` on an existing directory; asked as `is_held` does.

    Raises:
        DiskFailed: the directory may not be read, or its file system has no locks.
        Refused: `unsupported-platform`.
    """
    with told(directory):
        descriptor = os.open(directory, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            return not _try_shared(descriptor)
        finally:
            os.close(descriptor)


def probe(path: str | os.PathLike[str]) -> Holder | None:
    """Returns who holds the lock at `path`, or None when nobody does; raises what `is_held` raises."""
    return read_record(path) if is_held(path) else None


def read_record(path: str | os.PathLike[str]) -> Holder:
    """Returns what the record beside the lock says; without a pid if it is missing, torn or outdated."""
    try:
        holder = _parse(_read(os.fspath(path) + RECORD_SUFFIX))
    except (OSError, ValueError, TypeError):
        return Holder()
    return Holder() if _is_outdated(holder) else holder


def open_lock(path: str | os.PathLike[str]) -> int:
    """Returns a read-only descriptor of the lock file; FileNotFoundError when there is none."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise lock_unsafe(path)
        return os.open(path, _OPEN)
    except OSError as error:
        if error.errno == errno.ELOOP:  # swapped for a link since the look
            raise lock_unsafe(path) from error
        if isinstance(error, FileNotFoundError):
            raise
        with told(path):
            raise


def lock_unsafe(path: str | os.PathLike[str]) -> Refused:
    """Returns the error for something at the lock's name that is no regular file; it was not touched."""
    return Refused(
        f"{printable(path)} is not a regular file, so it cannot be used as a lock.",
        code="lock-unsafe",
        hint="Find out who put it there, and move it away.",
    )


def boot_id() -> str:
    """Returns what tells this boot of the machine from others; empty where the system does not say."""
    try:
        return _read("/proc/sys/kernel/random/boot_id").decode().strip()
    except OSError:
        return ""


def start_time(pid: int) -> int:
    """Returns when a process started, in clock ticks after boot; 0 if it is gone or nobody says."""
    try:
        return int(_read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return 0


def _try_shared(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        raise Refused(
            "This system has no kernel locks that can be asked without taking them.",
            code="unsupported-platform",
            hint="Use Linux or macOS; on Windows, WSL.",
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True  # closing the descriptor lets go


def _read(path: str) -> bytes:
    descriptor = os.open(path, _OPEN)
    try:
        return os.read(descriptor, _RECORD_LIMIT_BYTES)
    finally:
        os.close(descriptor)


def _parse(data: bytes) -> Holder:
    import json  # 8 ms, and needed only when a lock is held

    facts = json.loads(data)
    return Holder(
        pid=int(facts["pid"]),
        host=str(facts["host"]),
        command=str(facts["command"]),
        since=str(facts["since"]),
        boot_id=str(facts["boot_id"]),
        start_time=int(facts["start_time"]),
    )


def _is_outdated(holder: Holder) -> bool:
    if not holder.start_time or holder.boot_id != boot_id():
        return False  # written elsewhere (a shared disk), or by a system that does not say: believe it
    return start_time(holder.pid) != holder.start_time
