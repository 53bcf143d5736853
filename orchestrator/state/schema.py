"""Brings a database to the schema of this version, by numbered migrations, each after a backup."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from orchestrator.errors import Locked, Refused
from orchestrator.fs.disk import Disk
from orchestrator.state import codec
from orchestrator.state.database import BUSY_TIMEOUT_S, Database
from orchestrator.state.failure import translated
from orchestrator.state.vitals import APPLICATION_ID

MIGRATIONS = Path(__file__).with_name("migrations")
BACKUPS_KEPT = 3


def newest(migrations: Path = MIGRATIONS) -> int:
    """Returns the number of the last migration."""
    return max(_number(name) for name in os.listdir(migrations) if name.endswith(".sql"))


def version(database: Database) -> int:
    """Returns the schema version of a database; 0 when nothing is in it yet.

    Raises:
        Refused: `state-foreign`, another program's database; `state-newer`, made by a later version.
        StateDamaged: it cannot be read, or is no database.
    """
    found = _pragma(database, "user_version")
    row = database.one("SELECT count(*) FROM sqlite_schema")
    is_empty = row is not None and row[0] == 0
    if not is_empty and _pragma(database, "application_id") != APPLICATION_ID:
        raise Refused(
            f"{database.path} is a database of another program.",
            code="state-foreign",
            hint="Move it away, then: orchestrator doctor --recover",
        )
    return 0 if is_empty else found


def require_known(database: Database, found: int, last: int) -> None:
    """Refuses a database that a later version of the program has changed.

    Raises:
        Refused: `state-newer`.
    """
    if found > last:
        raise Refused(
            f"{database.path} was written by a newer version (schema {found}; this one knows up to {last}).",
            code="state-newer",
            hint="Update this program: pip install --upgrade orchestrator",
        )


def migrate(database: Database, backups: Path, migrations: Path = MIGRATIONS) -> None:
    """Applies every migration that the database lacks; each is one transaction, and comes after a backup.

    A crash leaves the database at one of the versions between; the next call goes on from there.

    Raises:
        Refused: `state-foreign` or `state-newer`; nothing was changed.
        DiskFailed, StateDamaged, Locked: the migration in question was undone.
    """
    last = newest(migrations)
    require_known(database, found := version(database), last)
    _use_write_ahead_log(database)
    while found < last:
        if found:
            back_up(database, backups, found)
        _apply(database, found, migrations)
        found = version(database)


def back_up(database: Database, backups: Path, found: int) -> Path:
    """Writes a copy of the database into `backups`, where the last three are kept, and returns its path.

    Raises:
        DiskFailed: no place for it; the database is as it was.
    """
    disk = Disk()
    disk.make_dir(backups)
    disk.sweep_temp(backups)
    name = f"state-{codec.stamp(codec.now()).replace(':', '')}-v{found:04d}.db"
    target = backups / name
    disk.write(target, _image(database))
    for old in sorted(backups.glob("state-*-v*.db"))[:-BACKUPS_KEPT]:
        disk.remove(old)
    return target


def _image(database: Database) -> bytes:
    """Returns the bytes of a complete database file that needs no log beside it."""
    memory = sqlite3.connect(":memory:")
    try:
        database.copy_into(memory)
        return memory.serialize()
    except sqlite3.Error as error:
        raise translated(error, database.path) from error
    finally:
        memory.close()


def _use_write_ahead_log(database: Database) -> None:
    """Switches to WAL; SQLite does not wait by itself when another process is doing the same."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while (mode := _asked_for_log(database, deadline)) is None:
        time.sleep(0.005)
    if mode != "wal":
        raise Refused(
            f"{database.path} lies on a file system that cannot keep a database safely.",
            code="state-no-wal",
            hint="Keep the repository on a local disk.",
        )


def _asked_for_log(database: Database, deadline: float) -> str | None:
    try:
        row = database.one("PRAGMA journal_mode = WAL")
    except Locked:
        if time.monotonic() > deadline:
            raise
        return None
    return str(row[0]) if row else ""


def _apply(database: Database, found: int, migrations: Path) -> None:
    with database.transaction():
        if version(database) != found:  # another process was faster
            return
        number = found + 1
        for statement in _statements(_text(migrations, number)):
            database.run(statement)
        database.run(f"PRAGMA application_id = {APPLICATION_ID}")
        database.run(f"PRAGMA user_version = {number}")


def _text(migrations: Path, number: int) -> str:
    [path] = migrations.glob(f"{number:04d}_*.sql")
    return path.read_text(encoding="utf-8")


def _statements(script: str) -> list[str]:
    """Splits a script at its statements' ends; `executescript` would commit the transaction it runs in."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def _number(name: str) -> int:
    return int(name.split("_", 1)[0])


def _pragma(database: Database, name: str) -> int:
    row = database.one(f"PRAGMA {name}")
    return row[0] if row is not None and isinstance(row[0], int) else 0
