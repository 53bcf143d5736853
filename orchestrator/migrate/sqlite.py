"""What migration needs of SQLite: tables, locks, a consistent copy; the one module here that imports it.

A database is never opened in place for writing: opening one with a write-ahead log or a hot journal already
changes its bytes, and rollback promises them back. It is moved with its companions under SQLite's own lock.
Source for the lock bytes: sqlite3 `os_unix.c`, PENDING_BYTE; a connection in WAL mode holds the shared range
for as long as it lives, others while a transaction is open.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from orchestrator.errors import Failed, Locked
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import announce
from orchestrator.fs.failure import disk_failure, printable, told
from orchestrator.fs.temp import PREFIX as TEMP_PREFIX

MAGIC = b"SQLite format 3\0"
SCRATCH_PREFIX = f"{TEMP_PREFIX}db-"
COMPANIONS = ("-wal", "-shm", "-journal")
_PENDING_BYTE = 0x40000000
_RANGE_BYTES = 512
_SHM_LOCKS = (120, 8)


def is_database(path: str) -> bool:
    """Returns whether the first bytes of a regular file are SQLite's; a link is not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(MAGIC)) == MAGIC
    except OSError:
        return False
    finally:
        os.close(descriptor)


def tables(path: str) -> frozenset[str]:
    """Returns the names of a database's tables, empty where it is none; locks, changes and makes nothing.

    Read as an immutable file, so what only the write-ahead log knows may be missing.
    """
    if not is_database(path):
        return frozenset()
    import sqlite3  # on demand: most surveys meet no database whose tables matter

    try:
        with closing(sqlite3.connect(_uri(path, "mode=ro&immutable=1"), uri=True)) as connection:
            rows = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    except (sqlite3.Error, OSError):
        return frozenset()
    return frozenset(str(row[0]) for row in rows)


class ExclusiveLock:
    """Keeps every SQLite out of one database while it is moved; follows the file through its rename.

    Raises:
        Locked: a process has the database open with a write-ahead log, or is in a transaction.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptors: list[int] = []

    def __enter__(self) -> ExclusiveLock:
        try:
            self._hold(self._path, _PENDING_BYTE, _RANGE_BYTES)
            if os.path.lexists(self._path + "-shm"):
                self._hold(self._path + "-shm", *_SHM_LOCKS)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _hold(self, path: str, start: int, length: int) -> None:
        flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(path, os.O_RDWR | flags)
        except PermissionError:
            return  # nobody but its owner could have written through it, and neither can we
        except OSError as error:
            if error.errno == errno.EROFS:
                return  # nobody can write through this mount
            raise disk_failure(path, error) from error
        self._descriptors.append(descriptor)
        try:
            _lock(descriptor, start, length)
        except (BlockingIOError, PermissionError) as error:
            raise Locked(
                what=f"The database {printable(self._path)}", holder="another process that has it open"
            ) from error


def in_use(path: str) -> bool:
    """Returns whether a process has the database open so that it must not be moved now."""
    try:
        with ExclusiveLock(path):
            return False
    except Locked:
        return True


def consistent_copy(database: Path, target: Path, disk: Disk, scratch: Path) -> None:
    """Makes `target` a checked copy of a database as SQLite would recover it; the original stays as it is.

    Works on a private copy below `scratch`, removed again: a log or hot journal is replayed there.

    Raises:
        Failed: `database-damaged`, SQLite cannot read it or finds it inconsistent; no target was made.
    """
    import sqlite3

    with told(scratch):
        work = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=scratch))
    try:
        clone, result = work / "clone.db", work / "result.db"
        with told(target):
            shutil.copyfile(database, clone)
            for suffix in COMPANIONS[::2]:
                if os.path.lexists(f"{database}{suffix}"):
                    shutil.copyfile(f"{database}{suffix}", f"{clone}{suffix}")
            announce(f"sqlite-backup {target}")
        with closing(sqlite3.connect(clone)) as source, closing(sqlite3.connect(result)) as copy:
            source.backup(copy)
            problem = copy.execute("pragma integrity_check").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        with told(target):
            os.chmod(result, 0o600)
        disk.copy(result, target)
    except sqlite3.Error as error:
        raise Failed(
            f"SQLite cannot copy {printable(database)}: {error}.",
            code="database-damaged",
            hint="Take everything back with: orchestrator migrate --rollback",
        ) from error
    finally:
        disk.remove_tree(work)


def _lock(descriptor: int, start: int, length: int) -> None:
    import fcntl  # here, because Windows has none

    operation = getattr(fcntl, "F_OFD_SETLK", None)
    if operation is None or sys.platform != "linux":  # pragma: no cover - macOS
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start, os.SEEK_SET)
        return
    # A lock of the open file: an ordinary one would end as soon as the copy closes the file it reads.
    request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    fcntl.fcntl(descriptor, operation, request)


def _uri(path: str, options: str) -> str:
    return f"file:{quote(os.fsencode(os.path.abspath(path)))}?{options}"
