"""Opens the database of a workspace: made if missing, brought to this schema, or only read."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import announce
from orchestrator.fs.failure import told
from orchestrator.paths import OrchestratorPaths
from orchestrator.state import schema
from orchestrator.state.database import Database, connect, connect_read_only


def open_to_write(paths: OrchestratorPaths, *, create: bool) -> Database:
    """Opens the database for writing, with every migration applied.

    A crash while it is made leaves an empty file or a complete one; the next call finishes it.

    Raises:
        Refused: `state-missing`, `state-unsafe`, `state-foreign` or `state-newer`.
        DiskFailed, StateDamaged, Locked: it could not be opened or brought to this schema.
    """
    path = os.path.abspath(paths.state_file)
    if create:
        _make_file(path)
    elif not os.path.lexists(path):
        raise _missing(path)
    database = connect(path)
    try:
        schema.migrate(database, Path(os.path.abspath(paths.backups_dir)))
        _watch(database)
    except BaseException:
        database.close()
        raise
    return database


def open_to_read(paths: OrchestratorPaths, *, copied: bool = False) -> Database:
    """Opens the database for reading only, beside a writer and on a read-only file system.

    With `copied` a private copy is read, and nothing at all is made beside the file.

    Raises:
        Refused: `state-missing`, `state-unsafe`, `state-foreign`, `state-newer`, or `state-older` when a
            migration is needed first.
        DiskFailed, StateDamaged: it cannot be read.
    """
    database = connect_read_only(os.path.abspath(paths.state_file), copied=copied)
    try:
        found, last = schema.version(database), schema.newest()
        schema.require_known(database, found, last)
        if found == 0:  # its creation was cut off, so nobody has started a run
            raise _missing(database.path)
        if found < last:
            raise Refused(
                f"{database.path} was written by an older version and must be converted first.",
                code="state-older",
                hint="Convert it (a backup is kept) with: orchestrator doctor --fix",
            )
    except BaseException:
        database.close()
        raise
    return database


def _missing(path: str) -> Refused:
    return Refused(
        f"There is no state in {path}.", code="state-missing", hint="Start with: orchestrator init"
    )


def _make_file(path: str) -> None:
    disk, parent = Disk(), os.path.dirname(path)
    disk.make_dir(parent)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    with told(path):
        announce(f"make {path}")
        try:
            os.close(os.open(path, flags, 0o600))
        except FileExistsError:
            return
    disk.sync_dir(parent)


def _watch(database: Database) -> None:
    """Remembers which files the database consists of; the log exists once a transaction was begun."""
    database.watch(database.path)
    with database.reading():
        database.one("SELECT count(*) FROM sqlite_schema")
    if os.path.exists(database.path + "-wal"):
        database.watch(database.path + "-wal")
