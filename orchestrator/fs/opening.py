"""Opens files in places where somebody else may have put a link, a FIFO or a directory."""

from __future__ import annotations

import errno
import os
import stat

from orchestrator.errors import Refused
from orchestrator.fs.failure import printable

StrPath = str | os.PathLike[str]

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def unsafe_path(path: StrPath, what: str) -> Refused:
    """Returns the error for `what` standing at a path where it must not; it was not touched."""
    return Refused(
        f"{printable(path)} is {what}, so nothing is written there.",
        code="unsafe-path",
        hint="Look at what stands there, and move it away.",
    )


def open_for_append(path: StrPath, mode: int) -> tuple[int, bool]:
    """Returns a descriptor that appends to a regular file, and whether the file was made for it.

    Raises:
        Refused: `unsafe-path`, a link or something else that is no regular file stands there.
    """
    flags = os.O_WRONLY | os.O_APPEND | _NOFOLLOW
    try:
        return _open_checked(path, flags, mode), False
    except FileNotFoundError:
        pass
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:  # somebody else made it meanwhile
        return _open_checked(path, flags, mode), False
    os.chmod(path, mode)
    return descriptor, True


def open_regular(path: StrPath) -> int:
    """Returns a descriptor that reads a regular file; raises Refused like `open_for_append`."""
    return _open_checked(path, os.O_RDONLY | _NOFOLLOW, 0)


def _open_checked(path: StrPath, flags: int, mode: int) -> int:
    # Without O_NONBLOCK the open of a FIFO that somebody put there would wait for ever.
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise unsafe_path(path, "not a regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise unsafe_path(path, "not a regular file")
    return descriptor
