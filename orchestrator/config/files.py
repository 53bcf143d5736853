"""Reads configuration files that strangers may have written: bounded, never waiting, never outside."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orchestrator.config.document import MAX_BYTES


class Unreadable(Exception):
    """A file is there and cannot be used; the sentence says why."""


def read(path: Path, *, inside: Path | None = None) -> bytes | None:
    """Returns the bytes of a regular file, or None where there is none; at most one byte past the limit.

    With `inside`, a path that leads out of that directory through symbolic links is not read.

    Raises:
        Unreadable: no regular file, no permission, a loop of links, or it leads outside.
    """
    try:
        if inside is not None:
            _check_inside(path, inside)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise Unreadable("is a link that leads nowhere") from None
        return None
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("is not a regular file")
        return _read(descriptor)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    parts: list[bytes] = []
    left = MAX_BYTES + 1
    while left > 0 and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _check_inside(path: Path, directory: Path) -> None:
    real, root = os.path.realpath(path), os.path.realpath(directory)
    if not Path(real).is_relative_to(root):
        raise Unreadable("leads out of the repository")
