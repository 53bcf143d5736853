"""The signs of life of a database: its version and how many runs it holds. Standard library only."""

from __future__ import annotations

import os
import sqlite3

from orchestrator.errors import OrchestratorError
from orchestrator.state.peek import SCHEMA_VERSION
from orchestrator.state.snapshot import open_to_read, open_untouched, refuse_unsafe

APPLICATION_ID = 0x6F726368
"""`orch`, in the header of every database of ours."""


def count_runs(path: str) -> int | None:
    """Returns how many runs a database of ours holds; None where something about it needs a closer look.

    Nothing is written, locked or left beside it. None stands for missing, foreign, older, newer and damaged
    ones.

    Raises:
        Refused: `state-unsafe`.
    """
    refuse_unsafe(path)
    if os.path.lexists(path + "-journal"):
        return None
    try:
        return _count_untouched(path) if not _has_log(path) else _count_copied(path)
    except (sqlite3.Error, OrchestratorError, OSError):
        return None


def _has_log(path: str) -> bool:
    try:
        return os.lstat(path + "-wal").st_size > 0
    except FileNotFoundError:
        return False


def _count_copied(path: str) -> int | None:
    connection, _ = open_to_read(path, copied=True)
    try:
        return _count(connection)
    finally:
        connection.close()


def _count_untouched(path: str) -> int | None:
    before = os.lstat(path)
    connection = open_untouched(path)
    try:
        found = _count(connection)
    finally:
        connection.close()
    after = os.lstat(path)
    same = (before.st_ino, before.st_size, before.st_mtime_ns) == (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
    )
    return found if same and not _has_log(path) else _count_copied(path)


def _count(connection: sqlite3.Connection) -> int | None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
        return None
    count: int = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    return count
