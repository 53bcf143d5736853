"""Redacts bytes that come piece by piece, the same way however they are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.redaction.shapes import LOOK_BEHIND_BYTES, Shape, compiled

if TYPE_CHECKING:
    from orchestrator.redaction.matching import Found, Matcher


class RedactedStream:
    """Gives back what it was fed, without secrets; holds back only what could still become one.

    `names` are those of the known values met so far; `has_changed` tells that anything was taken out.
    """

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._before = b""
        self._held: list[bytes] = []
        self._awaited = b""
        self._growing: Shape | None = None
        self._arrived = 0
        self._ends: frozenset[int] = frozenset()
        self._word = ""
        self.names: set[str] = set()
        self.has_changed = False

    def feed(self, data: bytes) -> bytes:
        """Takes a further piece and returns what is certain by now."""
        if self._only_goes_on(data):
            self._held.append(data)
            self._arrived += len(data)
            return b""
        return self._settled(data, final=False)

    def flush(self) -> bytes:
        """Returns the rest, for nothing follows; afterwards another stream may begin."""
        rest = self._settled(b"", final=True)
        self._before, self._ends, self._word = b"", frozenset(), ""
        return rest

    def _only_goes_on(self, data: bytes) -> bool:
        """Returns whether what is held back goes on as it could, so that there is nothing new to find."""
        arrived = self._arrived + len(data)
        if self._growing is None:
            return arrived < len(self._awaited) and self._awaited.startswith(data, self._arrived)
        more = compiled(f"{self._growing.characters}*")
        return arrived < self._growing.max_bytes and more.fullmatch(data) is not None

    def _settled(self, data: bytes, *, final: bool) -> bytes:
        piece = b"".join((self._before, *self._held, data))
        begin = len(self._before)
        ends = frozenset(begin + end for end in self._ends)
        found = self._matcher.find(piece, begin, final=final, ends=ends)
        clean = self._cleaned(piece, max(ends, default=begin), found)
        self._ends = frozenset(end - found.undecided for end in found.ends)
        self._before = piece[max(0, found.undecided - LOOK_BEHIND_BYTES) : found.undecided]
        self._held = [piece[found.undecided :]]
        self._awaited, self._growing = found.awaited, found.growing
        self._arrived = len(self._held[0]) if found.growing else 0
        return clean

    def _cleaned(self, piece: bytes, at: int, found: Found) -> bytes:
        """Returns what is certain from `at` on; what a secret has beyond that is dropped later."""
        parts = []
        for span in found.spans:
            if span.name is not None:
                self.names.add(span.name)
            if span.end <= at:
                continue
            if span.start >= at:
                parts.append(piece[at : span.start])
            if span.start >= at or span.word != self._word:
                parts.append(self._matcher.mark(span.word))
            at, self._word, self.has_changed = span.end, span.word, True
        parts.append(piece[at : found.undecided])
        return b"".join(parts)
