"""The requests for approval that W kept in SQLite: read from a private copy, within bounds.

A stranger's database can make any query endless (a view in the place of a table, for one): steps are
counted.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestrator.errors import DiskFailed, Failed
from orchestrator.fs.disk import Disk
from orchestrator.migrate.sqlite import consistent_copy, is_database
from orchestrator.takeover import fields
from orchestrator.takeover.reading import Unusable

MAX_APPROVALS = 1_000
MAX_BYTES = 256 * 1024 * 1024
_MAX_STEPS = 2_000
_STEP_INSTRUCTIONS = 10_000
_COLUMNS = "id, agent_id, phase, operation, risk_level, status, created_at, decided_at, decision_reason"


@dataclass(frozen=True, slots=True)
class LegacyApproval:
    """A request that an agent made; `status` is W's word: pending, approved, rejected, consumed, expired."""

    id: str
    agent: str
    phase: str
    operation: str
    risk: str
    status: str
    created_at: datetime | None
    decided_at: datetime | None
    reason: str


def read_approvals(path: Path, disk: Disk, scratch: Path) -> tuple[LegacyApproval, ...]:
    """Returns the requests in a database, oldest first, at most 1,000; the file is not touched.

    The copy that is read lies in `scratch`, an existing directory, until the next one takes its place.

    Raises:
        Unusable: it is no database, larger than 256 MiB, damaged, or has no such table.
        DiskFailed: the copy cannot be made.
    """
    if not is_database(str(path)):
        raise Unusable("is no SQLite database")
    if path.stat().st_size > MAX_BYTES:
        raise Unusable(f"is larger than {MAX_BYTES:,} bytes")
    copy = scratch / "approvals.db"
    try:
        consistent_copy(path, copy, disk, scratch)
        return _read(copy)
    except DiskFailed:
        raise  # says nothing about the database: the next call may read it
    except Failed as error:
        raise Unusable(f"cannot be read: {error.message}") from error
    except sqlite3.Error as error:
        raise Unusable(f"cannot be read as a list of approvals: {error}") from error


def _read(copy: Path) -> tuple[LegacyApproval, ...]:
    steps = [0]

    def is_too_long() -> bool:
        steps[0] += 1
        return steps[0] > _MAX_STEPS

    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        connection.set_progress_handler(is_too_long, _STEP_INSTRUCTIONS)
        rows = connection.execute(f"SELECT {_COLUMNS} FROM approvals LIMIT {MAX_APPROVALS}").fetchall()
    found = [_approval(row) for row in rows]
    return tuple(sorted(found, key=lambda each: each.created_at.timestamp() if each.created_at else 0.0))


def _approval(row: tuple[object, ...]) -> LegacyApproval:
    words = [value if isinstance(value, str) else "" for value in row]
    return LegacyApproval(
        id=fields.line(words[0]),
        agent=fields.line(words[1]),
        phase=fields.line(words[2]),
        operation=fields.text(words[3], 1_000),
        risk=fields.word(words[4]),
        status=fields.word(words[5]),
        created_at=fields.moment(words[6]),
        decided_at=fields.moment(words[7]),
        reason=fields.text(words[8], 1_000),
    )
