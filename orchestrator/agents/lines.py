"""Cuts the stream of a machine into lines, however long one of them is."""

from __future__ import annotations

from dataclasses import dataclass

MAX_LINE_BYTES = 16 << 20
"""No agent has a reason for a longer line, and a reader must not grow with what it is sent."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line that was longer than what is kept of one; nothing of it is."""

    size_bytes: int


class Lines:
    """Keeps one unfinished line of at most `max_bytes`; whatever of it goes beyond that is only counted."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def feed(self, data: bytes) -> list[bytes | Overlong]:
        """Returns the lines that `data` completes, without their ends."""
        first, *more = data.split(b"\n")
        self._keep(first)
        if not more:
            return []
        *whole, rest = more
        lines = [self._take(), *whole]
        self._keep(rest)
        return lines

    @property
    def is_overlong(self) -> bool:
        """Returns whether the unfinished line is already longer than what is kept of one."""
        return self._size_bytes > self._max_bytes

    def finish(self) -> list[bytes | Overlong]:
        """Returns the last line when the stream ended without a line end."""
        return [self._take()] if self._size_bytes else []

    def _keep(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._size_bytes > self._max_bytes:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _take(self) -> bytes | Overlong:
        size_bytes, line = self._size_bytes, b"".join(self._parts)
        self._parts.clear()
        self._size_bytes = 0
        return Overlong(size_bytes) if size_bytes > self._max_bytes else line
