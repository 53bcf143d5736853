"""Turns what SQLite reports into errors of the tree."""

from __future__ import annotations

import errno
import os
import sqlite3

from orchestrator.errors import (
    DiskFailed,
    Failed,
    Locked,
    OrchestratorError,
    Refused,
    StateDamaged,
    StateLost,
)
from orchestrator.fs.failure import disk_failure

_FULL, _READ_ONLY, _IO, _CANNOT_OPEN, _PERMISSION = 13, 8, 10, 14, 3
_BUSY, _LOCKED, _CORRUPT, _NOT_A_DATABASE = 5, 6, 11, 26
_MOVED = 8 | 4 << 8
_LEAST_BYTES = 64 << 10
"""What SQLite needs at least: one block of the shared memory beside its log is 32 KiB."""


def translated(error: sqlite3.Error, path: str) -> OrchestratorError:
    """Returns the error a user is shown for `error`, raised while the database at `path` was used.

    Source: sqlite.org/rescode.html; the low byte of an extended code is its primary code.
    """
    extended = getattr(error, "sqlite_errorcode", None) or 0
    code = extended & 0xFF
    if extended == _MOVED:
        return StateLost(path=path)
    if code == _FULL:
        return DiskFailed(
            path=path,
            reason="no space is left",
            code="disk-full",
            hint="Free some space, then run the same command again.",
        )
    if code == _READ_ONLY:
        return DiskFailed(path=path, reason="it is read-only", code="read-only")
    if code == _PERMISSION:
        return DiskFailed(path=path, reason="permission denied", code="permission")
    if code in (_IO, _CANNOT_OPEN):
        return _of_the_disk(error, path)
    if code in (_BUSY, _LOCKED):
        return Locked(what=f"The state in {path}", holder="another process that has been writing for long")
    if code in (_CORRUPT, _NOT_A_DATABASE):
        return StateDamaged(path=path, reason=str(error))
    if isinstance(error, sqlite3.IntegrityError):
        return Refused(f"The change contradicts what is recorded in {path}: {error}.", code="state-conflict")
    if isinstance(error, sqlite3.DatabaseError) and _tells_of_foreign_content(error):
        return StateDamaged(path=path, reason=str(error))
    return Failed(f"The state in {path} refused a change: {error}.", code="state-failed")


def _of_the_disk(error: sqlite3.Error, path: str) -> DiskFailed:
    """Returns the reason that SQLite does not tell: a disk that is read-only, or too full to map a file."""
    try:
        facts = os.statvfs(os.path.dirname(path) or ".")
    except (AttributeError, OSError):
        return DiskFailed(path=path, reason=str(error))
    if facts.f_flag & os.ST_RDONLY:
        return disk_failure(path, OSError(errno.EROFS, os.strerror(errno.EROFS)))
    if facts.f_bavail * facts.f_frsize < _LEAST_BYTES:
        return disk_failure(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    return DiskFailed(path=path, reason=str(error))


def _tells_of_foreign_content(error: sqlite3.DatabaseError) -> bool:
    """Returns whether tables or JSON are not what our schema made, although the version says they are."""
    text = str(error)
    return text.startswith(("no such table", "no such column", "malformed JSON", "malformed database schema"))
