"""Refuses what others could read or change: a key that they know protects nothing."""

from __future__ import annotations

import os
import shlex
import stat

from orchestrator.errors import Refused
from orchestrator.fs.failure import printable
from orchestrator.fs.opening import open_regular

StrPath = str | os.PathLike[str]

READ_OR_WRITE = 0o077
WRITE = 0o002
"""Of a store that is committed only the contents are protected; strangers must still not change it."""

_LIMIT_BYTES = 16 << 20


def complaint(path: StrPath, forbidden: int) -> tuple[str, str]:
    """Returns what is wrong with who may use a path, and the command that mends it; empty where nothing is.

    A missing path is fine. `forbidden` are permission bits that it must not have.
    """
    try:
        facts = os.lstat(path)
    except OSError:
        return "", ""
    shown = printable(path)
    quoted = shlex.quote(shown)
    if stat.S_ISLNK(facts.st_mode):
        return f"{shown} is a link", f"Look where it leads, then remove it: ls -l {quoted}"
    if os.name != "posix":
        return "", ""
    if forbidden == READ_OR_WRITE and facts.st_uid != os.geteuid():
        return f"{shown} belongs to another user", f"chown {os.geteuid()} {quoted}"
    if facts.st_mode & forbidden:
        can = "read or change" if forbidden == READ_OR_WRITE else "change"
        mode = "go=" if forbidden == READ_OR_WRITE else "o-w"
        return f"Others can {can} {shown} ({stat.S_IMODE(facts.st_mode):04o})", f"chmod {mode} {quoted}"
    return "", ""


def require(path: StrPath, forbidden: int, code: str) -> None:
    """Checks that nobody else can use a path in a way that is forbidden; a missing one is fine.

    Raises:
        Refused: with `code` and the command that mends it.
    """
    wrong, remedy = complaint(path, forbidden)
    if wrong:
        raise Refused(f"{wrong}, so it is not used.", code=code, hint=remedy)


def read(path: StrPath) -> bytes | None:
    """Returns what a regular file holds, None where there is none; no link is followed.

    Raises:
        Refused: `unsafe-path`, something else stands there.
        OSError: it cannot be read.
    """
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_LIMIT_BYTES)
