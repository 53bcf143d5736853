"""What is wrong with a database file, and how it is put aside so that another can take its place."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.fs.disk import Disk
from orchestrator.paths import OrchestratorPaths
from orchestrator.state import codec
from orchestrator.state.database import Database

_SUFFIXES = ("-wal", "-shm", "-journal", "")
"""The database itself goes last: a new one made beside an old log would delete that log."""


_ARCHIVED = (
    "SELECT told.run_id FROM events AS told WHERE told.kind = 'run.archived' AND told.run_seq ="
    " (SELECT max(run_seq) FROM events WHERE events.run_id = told.run_id)"
)


def problems(database: Database) -> tuple[str, ...]:
    """Returns what SQLite finds wrong with the file and the references in it; nothing when it is sound."""
    try:
        found = [str(row[0]) for row in database.all("PRAGMA integrity_check(20)")]
        broken = database.all("PRAGMA foreign_key_check")
    except OrchestratorError as error:
        return (error.message,)
    told = [line for line in found if line != "ok"]
    return (*told, *(f"{row[0]} row {row[1]} names a missing row of {row[2]}" for row in broken))


def orphans(database: Database) -> tuple[str, ...]:
    """Returns the rows that name a run which is not there, where the schema itself does not forbid it.

    A run whose last event tells that it was archived is missing rightly.
    """
    found = []
    for table in ("events", "operations"):
        rows = database.all(
            f"SELECT run_id, count(*) FROM {table} WHERE run_id IS NOT NULL"
            f" AND run_id NOT IN (SELECT id FROM runs) AND run_id NOT IN ({_ARCHIVED})"
            " GROUP BY run_id ORDER BY run_id"
        )
        found += [f"{table}: {row[1]} of run {row[0]}" for row in rows]
    return tuple(found)


def quarantine(paths: OrchestratorPaths) -> Path | None:
    """Moves the database and its log files into `quarantine/<time>/`; returns where, None without any.

    Nobody may have it open: the caller holds the locks of all runs. After a crash in between, call it again.

    Raises:
        DiskFailed: not everything could be moved; what was is in the directory named in the error.
    """
    state = str(paths.state_file)
    present = [suffix for suffix in _SUFFIXES if os.path.lexists(state + suffix)]
    if not present:
        return None
    disk = Disk()
    place = paths.quarantine_dir / codec.stamp(codec.now()).replace(":", "")
    disk.make_dir(place)
    for suffix in present:
        disk.rename(state + suffix, place / (paths.state_file.name + suffix))
    return place
