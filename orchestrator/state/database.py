"""One SQLite database: how it is opened, and transactions that are either durable or never happened.

Nothing in a process that holds one open may open the file, its `-wal` or its `-shm` by other means: closing
any descriptor of them drops SQLite's locks, because POSIX locks belong to the process.
Source: sqlite.org/howtocorrupt.html section 2.2.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from orchestrator.errors import DiskFailed, StateLost
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import announce
from orchestrator.state import codec, snapshot
from orchestrator.state.failure import translated

Row = tuple[Any, ...]
Parameters = Sequence[codec.Column]

BUSY_TIMEOUT_S = 30.0
_COMMIT = "database commit"
_SETTINGS = ("PRAGMA trusted_schema = OFF", "PRAGMA foreign_keys = ON", "PRAGMA synchronous = FULL")


class Database:
    """A connection whose transactions nest, notice a removed file, and fail with errors of the tree.

    May be used from several threads: a transaction keeps the others out until it ends. It must not be used in
    a child made by fork. `is_snapshot` tells that it reads a private copy, taken when it was opened.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: str, *, is_snapshot: bool = False, is_writer: bool = False
    ) -> None:
        self.path = path
        self.is_snapshot = is_snapshot
        self._is_writer = is_writer
        self._connection = connection
        self._lock = threading.RLock()
        self._depth = 0
        self._watched: list[tuple[str, int, int]] = []
        self._marks: list[int] = []
        self._on_commit: list[Callable[[], None]] = []
        self._committed: list[Callable[[], None]] = []
        connection.text_factory = codec.readable

    def close(self) -> None:
        """Closes the connection; the last one to close folds the `-wal` file into the database."""
        with self._lock:
            self._connection.close()
        if self._is_writer:
            # SQLite syncs what it folds in, not the removal of its log, which a power cut brings back.
            with contextlib.suppress(DiskFailed):  # every commit is durable without it
                Disk().sync_dir(os.path.dirname(self.path) or ".")

    def watch(self, path: str | os.PathLike[str]) -> None:
        """Makes every later transaction check that `path` still names the file it names now.

        Raises:
            StateLost: it is gone already.
        """
        name = os.path.abspath(path)
        try:
            found = os.stat(name)
        except OSError as error:
            raise StateLost(path=name) from error
        self._watched.append((name, found.st_dev, found.st_ino))

    def unwatch(self, path: str | os.PathLike[str]) -> None:
        """Takes back `watch`; a path that is not watched is fine."""
        name = os.path.abspath(path)
        self._watched = [entry for entry in self._watched if entry[0] != name]

    def check_linked(self) -> None:
        """Checks that the database and everything watched are still the files that their paths name.

        Raises:
            StateLost: one was removed or replaced.
        """
        for path, device, inode in self._watched:
            try:
                found = os.stat(path)
            except OSError as error:
                raise StateLost(path=path) from error
            if found.st_ino != inode or found.st_dev != device:
                raise StateLost(path=path)

    def transaction(self) -> Transaction:
        """Returns a context: what is written inside is durable when it ends without an error, else undone.

        One inside another undoes its own part on an error and becomes durable with the outer one.

        Raises:
            DiskFailed, Locked, StateDamaged, StateLost: nothing of the outermost transaction was written;
                StateLost alone may also come after the commit, when the file was removed meanwhile.
        """
        return Transaction(self)

    def reading(self) -> Reading:
        """Returns a context inside which all reads see the database of one moment."""
        return Reading(self)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once, when the transaction that is open now has become durable."""
        self._on_commit.append(callback)

    def run(self, statement: str, parameters: Parameters = ()) -> int:
        """Executes a statement that writes, inside a transaction; returns how many rows it changed."""
        self._require_transaction()
        try:
            return self._connection.execute(statement, parameters).rowcount
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def run_many(self, statement: str, parameters: Iterable[Parameters]) -> None:
        """Executes a statement that writes once for each of several rows, inside a transaction."""
        self._require_transaction()
        try:
            self._connection.executemany(statement, parameters)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def one(self, statement: str, parameters: Parameters = ()) -> Row | None:
        """Returns the first row of a query, None without one."""
        with self._lock:
            try:
                row: Row | None = self._connection.execute(statement, parameters).fetchone()
            except sqlite3.Error as error:
                raise translated(error, self.path) from error
        return row

    def all(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Returns every row of a query."""
        with self._lock:
            try:
                return self._connection.execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                raise translated(error, self.path) from error

    def each(self, statement: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Yields the rows of a query one by one, for tables that may not fit into memory."""
        with self._lock:
            try:
                yield from self._connection.execute(statement, parameters)
            except sqlite3.Error as error:
                raise translated(error, self.path) from error

    def copy_into(self, target: sqlite3.Connection) -> None:
        """Copies everything committed so far into another database."""
        with self._lock:
            self._connection.backup(target)

    def execute(self, statement: str) -> None:
        """Executes a statement that controls the connection or its transaction."""
        try:
            self._connection.execute(statement)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def begin(self) -> None:
        """Opens a transaction, or a part inside the one that is open; `transaction()` calls it."""
        self._lock.acquire()
        try:
            if self._depth:
                self._require_transaction()  # a savepoint outside of one would begin one of its own
            self.execute(f"SAVEPOINT part{self._depth}" if self._depth else "BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        self._depth += 1
        self._marks.append(len(self._on_commit))

    def finish(self, failed: bool) -> None:
        """Ends what `begin` opened; `transaction()` calls it."""
        self._depth -= 1
        mark = self._marks.pop()
        try:
            if self._depth:
                self._finish_part(failed, mark)
            elif failed:
                self._roll_back()
            else:
                self._commit()
        finally:
            callbacks, self._committed = self._committed, []
            self._lock.release()
        for callback in callbacks:
            callback()

    def begin_reading(self) -> bool:
        """Opens a transaction for reading unless one is open, and returns whether; `reading()` calls it."""
        self._lock.acquire()
        try:
            is_own = not self._connection.in_transaction
            if is_own:
                self.execute("BEGIN")
        except BaseException:
            self._lock.release()
            raise
        return is_own

    def finish_reading(self, is_own: bool) -> None:
        """Ends what `begin_reading` opened; `reading()` calls it."""
        try:
            if is_own:
                self.execute("ROLLBACK")
        finally:
            self._lock.release()

    def _finish_part(self, failed: bool, mark: int) -> None:
        if not failed:
            self.execute(f"RELEASE part{self._depth}")
            return
        del self._on_commit[mark:]
        if self._connection.in_transaction:  # SQLite ends the whole one itself when the disk is full
            self.execute(f"ROLLBACK TO part{self._depth}")
            self.execute(f"RELEASE part{self._depth}")

    def _require_transaction(self) -> None:
        """Refuses to go on after SQLite has ended the transaction by itself, as on a full disk."""
        if not self._connection.in_transaction:
            raise translated(sqlite3.OperationalError("the transaction has ended already"), self.path)

    def _commit(self) -> None:
        try:
            self.check_linked()
            announce(_COMMIT)
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._committed, self._on_commit = self._on_commit, []
        self.check_linked()

    def _roll_back(self) -> None:
        self._on_commit.clear()
        if self._connection.in_transaction:
            self.execute("ROLLBACK")


class Transaction:
    """The context of one transaction; see `Database.transaction`."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.begin()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._database.finish(failed=kind is not None)


class Reading:
    """The context of reads that belong together; see `Database.reading`."""

    __slots__ = ("_database", "_own")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._own = False

    def __enter__(self) -> None:
        self._own = self._database.begin_reading()

    def __exit__(self, *_: object) -> None:
        self._database.finish_reading(self._own)


def connect(path: str) -> Database:
    """Opens an existing or empty database file for writing.

    Raises:
        Refused: `state-unsafe`, a link or something else that is no regular file stands at one of its names.
        DiskFailed, StateDamaged: it cannot be opened, or is no database.
    """
    snapshot.refuse_unsafe(path)
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except sqlite3.Error as error:
        raise translated(error, path) from error
    database = Database(connection, path, is_writer=True)
    try:
        for setting in _SETTINGS:
            database.execute(setting)
    except BaseException:
        database.close()
        raise
    return database


def connect_read_only(path: str, *, copied: bool = False) -> Database:
    """Opens a database for reading, beside a writer and on a read-only file system; changes nothing.

    With `copied` a private copy is read in any case, so that no file appears beside it either.

    Raises:
        Refused: `state-missing`.
        DiskFailed, StateDamaged: it cannot be read.
    """
    connection, is_snapshot = snapshot.open_to_read(path, copied=copied)
    return Database(connection, path, is_snapshot=is_snapshot)
