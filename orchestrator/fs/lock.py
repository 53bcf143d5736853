"""Excludes other processes by kernel locks, freed by any death of their holder; lock files are kept."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Self

import filelock

from orchestrator.errors import DiskFailed, Locked
from orchestrator.fs.disk import Disk, StrPath
from orchestrator.fs.failure import disk_failure
from orchestrator.fs.probe import RECORD_SUFFIX, Holder, boot_id, lock_unsafe, read_record, start_time

_POLL_S = 0.02
_RECORD_S = 3.0
"""How long a loser waits for the record of a holder that has just taken the lock: writing it syncs twice."""
_LIMIT_CHARACTERS = 2000
_NO_DIRECTORY_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL, errno.EISDIR})


class _KernelLock(ABC):
    """What both kinds of lock share: naming the holder, refusing with its name, the `with` statement."""

    def __init__(self, path: str, what: str, command: str) -> None:
        self._path = path
        self._what = what
        self._command = command

    def acquire(self, timeout_s: float = 1.0) -> None:
        """Takes the lock, trying again for `timeout_s` seconds, because readers take it for an instant.

        Raises:
            Locked: another process holds it; the message names that process.
            Refused: `lock-unsafe`, a link or a directory stands at its name and was not touched.
            DiskFailed: the lock file cannot be made, or its file system has no locks.
        """
        if not self._take(timeout_s):
            raise Locked(what=self._what, holder=self._holder().describe())
        try:
            self._record()
        except BaseException:
            self.release()
            raise

    def _holder(self) -> Holder:
        patience_ends = time.monotonic() + _RECORD_S
        while not (holder := read_record(self._path)).pid and time.monotonic() < patience_ends:
            time.sleep(_POLL_S)
        return holder

    @abstractmethod
    def release(self) -> None:
        """Lets go; the lock file and the record stay. Without effect when it is not held."""

    @abstractmethod
    def _take(self, timeout_s: float) -> bool: ...

    def _record(self) -> None:
        facts = {
            "schema_version": 1,
            "pid": os.getpid(),
            "host": os.uname().nodename if hasattr(os, "uname") else "",
            "command": self._command[:_LIMIT_CHARACTERS],
            "since": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "boot_id": boot_id(),
            "start_time": start_time(os.getpid()),
        }
        try:
            Disk().write(self._path + RECORD_SUFFIX, json.dumps(facts).encode() + b"\n")
        except DiskFailed:
            return  # on a full disk the lock still excludes; only its holder's name is missing

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class FileLock(_KernelLock):
    """Excludes others by the file at `path`, made 0600 if missing, with a record of the holder beside.

    `what` begins the sentence of the refusal ("Run r1"); `command` tells others what the holder is doing.
    """

    def __init__(self, path: StrPath, what: str, command: str) -> None:
        super().__init__(os.fspath(path), what, command)
        self._lock = filelock.FileLock(
            self._path, mode=0o600, thread_local=False, fallback_to_soft=False, poll_interval=_POLL_S
        )

    @property
    def is_held(self) -> bool:
        """Returns whether this object holds the lock."""
        return self._lock.is_locked

    def release(self) -> None:
        """Lets go; the lock file and the record stay. Without effect when it is not held."""
        self._lock.release(force=True)

    def _take(self, timeout_s: float) -> bool:
        try:
            _check_place(self._path)
            self._lock.acquire(timeout=timeout_s)
        except filelock.Timeout:
            return False
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR):  # put there since the look
                raise lock_unsafe(self._path) from error
            raise disk_failure(self._path, error) from error
        return True


class DirectoryLock(_KernelLock):
    """Excludes others by the descriptor of an existing directory, in which nothing is made.

    The record of the holder lies beside `record`; where a directory cannot be locked (Windows, some network
    file systems) the file `record` is the lock instead, for every process alike.
    """

    def __init__(self, directory: StrPath, record: StrPath, what: str, command: str) -> None:
        super().__init__(os.fspath(record), what, command)
        self._directory = os.fspath(directory)
        self._descriptor = -1
        self._instead: FileLock | None = None

    @property
    def is_held(self) -> bool:
        """Returns whether this object holds the lock."""
        return self._descriptor >= 0 or (self._instead is not None and self._instead.is_held)

    def release(self) -> None:
        """Lets go; the record stays. Without effect when it is not held."""
        if self._instead is not None:
            self._instead.release()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _take(self, timeout_s: float) -> bool:
        if self._descriptor >= 0:
            return True
        if sys.platform == "win32":  # pragma: no cover - Windows alone
            return self._take_instead(timeout_s)
        descriptor = self._open()
        try:
            if _insist(descriptor, timeout_s):
                self._descriptor = descriptor
        except OSError as error:
            if error.errno not in _NO_DIRECTORY_LOCKS:
                raise disk_failure(self._directory, error) from error
            return self._take_instead(timeout_s)
        finally:
            if self._descriptor != descriptor:
                os.close(descriptor)
        return self._descriptor == descriptor

    def _open(self) -> int:
        try:
            return os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise disk_failure(self._directory, error) from error

    def _take_instead(self, timeout_s: float) -> bool:
        self._instead = FileLock(self._path, self._what, self._command)
        return self._instead._take(timeout_s)


def _check_place(path: str) -> None:
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        # filelock 4.2 would make the directory, readable for everybody
        raise disk_failure(path, FileNotFoundError(errno.ENOENT, "No such file or directory"))
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise lock_unsafe(path)


def _insist(descriptor: int, timeout_s: float) -> bool:
    import fcntl  # here, because Windows has none and this module is imported there too

    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
