"""Reads what programs that nobody vouches for have written: bounded, regular files only, made printable."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass

_ESCAPES = re.compile(
    "\x1b\\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # colours, cursor
    "|\x1b\\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\\\)"  # titles, links
    "|\x1b[@-Z\\\\^_]"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Content:
    """The first bytes of a file, and whether there were more."""

    data: bytes
    cut: bool


class Printed:
    """Keeps the beginning of one stream and its end, however long it is."""

    def __init__(self, *, head_bytes: int, tail_bytes: int = 1 << 16) -> None:
        self.head = bytearray()
        self._tail = bytearray()
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes

    def take(self, chunk: bytes) -> None:
        """Keeps what there is room for of a further piece."""
        self.head += chunk[: self._head_bytes - len(self.head)]
        self._tail += chunk
        del self._tail[: -self._tail_bytes]

    @property
    def tail(self) -> bytes:
        """Returns the last bytes."""
        return bytes(self._tail)


def read_regular(path: str | os.PathLike[str], *, limit_bytes: int) -> Content | None:
    """Returns at most `limit_bytes` of a regular file; None when missing, a link, a pipe or unreadable."""
    flags = (
        os.O_RDONLY
        | getattr(os, "O_NOFOLLOW", 0)
        | getattr(os, "O_NONBLOCK", 0)
        | getattr(os, "O_CLOEXEC", 0)
    )
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(limit_bytes + 1)
    return Content(data[:limit_bytes], cut=len(data) > limit_bytes)


def plain_text(data: bytes) -> str:
    """Returns output as a person sees it: UTF-8 with replacements, no escapes, no control characters."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", _ESCAPES.sub("", text))


def last_lines(text: str, *, lines: int = 15, characters: int = 1500) -> str:
    """Returns the end of a text, whole lines where they fit, without blank ones."""
    kept = [line.rstrip() for line in text[-20 * characters :].splitlines() if line.strip()][-lines:]
    return "\n".join(kept)[-characters:]


def one_line(text: str, *, characters: int = 300) -> str:
    """Returns a text on one line, cut with an ellipsis."""
    flat = " ".join(text[: 4 * characters].split())
    return flat if len(flat) <= characters else flat[: characters - 1] + "…"
