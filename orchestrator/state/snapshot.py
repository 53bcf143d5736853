"""Opens a database to read it, also where nothing can be written; standard library only, for the front door.

A database in WAL mode needs its `-shm` file even for reading. Where that cannot be made (a read-only file
system, somebody else's directory) SQLite refuses, and a private copy is read instead.
"""

from __future__ import annotations

import os
import sqlite3

from orchestrator.errors import Failed, Refused
from orchestrator.fs.failure import told
from orchestrator.state.failure import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

READ_TIMEOUT_S = 5.0
_ATTEMPTS = 20
_CANNOT = (8, 14)
_KIND, _REGULAR = 0o170000, 0o100000
_PLAIN = b"/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


def open_to_read(path: str, *, copied: bool = False) -> tuple[sqlite3.Connection, bool]:
    """Returns a connection that can only read, and whether it reads a copy instead of the file itself.

    With `copied` it always does: then not even `-wal` and `-shm` appear beside the file.

    Raises:
        Refused: `state-missing` or `state-unsafe`.
        DiskFailed, StateDamaged: it cannot be read, or is no database.
    """
    refuse_unsafe(path)
    if not os.path.lexists(path):
        raise Refused(
            f"There is no state in {path}.", code="state-missing", hint="Start with: orchestrator init"
        )
    if not copied:
        try:
            return _in_place(path), False
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF not in _CANNOT:
                raise translated(error, path) from error
    try:
        with told(path):
            return _from_copy(path), True
    except sqlite3.Error as error:
        raise translated(error, path) from error


def refuse_unsafe(path: str) -> None:
    """Refuses a database where a link, or what is no file, stands at its name or at that of a file beside it.

    Raises:
        Refused: `state-unsafe`.
    """
    for name in (path, path + "-wal", path + "-shm"):
        try:
            mode = os.lstat(name).st_mode
        except OSError:
            continue  # missing, or a place that opening it will complain about
        if mode & _KIND != _REGULAR:
            raise Refused(
                f"{name} is not a regular file.",
                code="state-unsafe",
                hint="Look where it leads and move it away, then: orchestrator doctor --recover",
            )


def _in_place(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode=ro",
        uri=True,
        timeout=READ_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _restrict(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_untouched(path: str) -> sqlite3.Connection:
    """Returns a connection that locks nothing and makes no file; the caller knows that nobody writes.

    Source: sqlite.org/uri.html, `immutable`; a log beside the file is not read.

    Raises:
        sqlite3.Error: it is no database, or cannot be read.
    """
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        _restrict(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _restrict(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def _from_copy(path: str) -> sqlite3.Connection:
    """Returns a database in memory; the copy that it is read from is private and gone when this returns."""
    import tempfile  # dear to import, and hardly ever needed

    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as place:
        copied = os.path.join(place, "state.db")
        _copy_settled(path, copied)
        source = sqlite3.connect(copied, isolation_level=None)
        try:
            source.backup(memory)
        finally:
            source.close()
    _restrict(memory)
    return memory


def _copy_settled(path: str, target: str) -> None:
    """Copies the database with its log while neither changes; a writer may be at work elsewhere."""
    for _ in range(_ATTEMPTS):
        before = list(_signature(path))
        _copy_file(path, target)
        _copy_file(path + "-wal", target + "-wal")
        if before == list(_signature(path)):
            return
    raise Failed(
        f"The state in {path} changes too fast to be copied.",
        code="state-busy",
        hint="Try again in a moment.",
    )


def _signature(path: str) -> Iterator[tuple[int, int, int]]:
    for name in (path, path + "-wal"):
        try:
            found = os.stat(name)
        except FileNotFoundError:
            yield (0, 0, 0)
        else:
            yield (found.st_ino, found.st_size, found.st_mtime_ns)


def _copy_file(source: str, target: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    with open(os.open(target, flags, 0o600), "wb") as writer:
        if not os.path.lexists(source):
            return
        with open(source, "rb") as reader:
            while chunk := reader.read(1 << 20):
                writer.write(chunk)


def _quoted(path: str) -> str:
    return "".join(
        chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in os.fsencode(os.path.abspath(path))
    )
