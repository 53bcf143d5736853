"""Finds known values and keys by shape in bytes of which more may follow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ahocorasick_rs import BytesAhoCorasick, Implementation

from orchestrator.redaction.shapes import SHAPES, WORD, Shape, compiled

_PREFIX_BYTES = 12
_MAX_FAST_BYTES = 1 << 17
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Span:
    """Where something secret stands, and the name of the value, or None and the id of the key's shape.

    `anchor` is where it was recognised: before `start` when only a part of it is secret.
    """

    start: int
    end: int
    word: str
    name: str | None
    anchor: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a piece of a stream holds up to `undecided`: `spans` by beginning, the longest first.

    From `undecided` on more bytes could still make something secret, or something longer; it is the length of
    the piece when nothing could; `ends` are those of the spans that reach so far. It stays undecided while a
    further part of `awaited` (the rest of a known value) or characters of the shape `growing` follow.
    """

    spans: tuple[Span, ...]
    undecided: int
    ends: frozenset[int]
    awaited: bytes = b""
    growing: Shape | None = None


class Matcher:
    """Looks for the forms of known values, and for keys by their shapes.

    One pass of an automaton finds where a form or a key may begin, by its first bytes alone, so that a value
    of a megabyte costs no more than a short one; the rest is compared there.
    """

    def __init__(self, forms: Mapping[bytes, str]) -> None:
        self._forms = forms
        self._marks: dict[str, bytes] = {}
        self._literals: dict[bytes, list[tuple[bytes, str]]] = {}
        for form in sorted(forms, key=len, reverse=True):
            self._literals.setdefault(form[:_PREFIX_BYTES], []).append((form, forms[form]))
        self._shapes: dict[bytes, list[Shape]] = {}
        for shape in SHAPES:
            for prefix in shape.prefixes:
                self._shapes.setdefault(prefix.encode(), []).append(shape)
        self._patterns = tuple({**self._literals, **self._shapes})
        self._beginnings = frozenset(
            pattern[:length] for pattern in self._patterns for length in range(1, len(pattern))
        )
        self._longest = max(map(len, self._patterns))
        self._automaton = BytesAhoCorasick(
            self._patterns, implementation=_implementation(sum(map(len, self._patterns)))
        )

    def mark(self, word: str) -> bytes:
        """Returns what is written instead of a secret of this name or shape, unless that would show one."""
        if word not in self._marks:
            wanted = f"[redacted:{_UNFIT.sub('_', word)[:64]}]".encode()
            fit = (mark for mark in (wanted, b"[redacted]") if not any(form in mark for form in self._forms))
            self._marks[word] = next(fit, b"[***]")
        return self._marks[word]

    def find(self, data: bytes, begin: int, *, final: bool, ends: frozenset[int] = frozenset()) -> Found:
        """Returns what stands in `data` from `begin` on; what is before it only tells where words begin.

        With `final` nothing will follow. `ends` is where secrets end that were found before.
        """
        spans: list[Span] = []
        all_ends, going_on = set(ends), None
        undecided = len(data) if final else self._unfinished_beginning(data, begin)
        hits = self._automaton.find_matches_as_indexes(data, overlapping=True)
        for index, start, _ in sorted(hits, key=_start):
            if start < begin:
                continue
            if start >= undecided:
                break
            found = self._at(data, start, self._patterns[index], final, follows_secret=start in all_ends)
            for item in found:
                if isinstance(item, Span):
                    spans.append(item)
                    all_ends.add(item.end)
                else:
                    undecided, going_on = start, item
                    break
        certain = _certain(spans, undecided)
        sure = tuple(sorted((span for span in spans if span.start < certain), key=_longest_first))
        later = frozenset(end for end in (*ends, *(span.end for span in sure)) if end >= certain)
        if going_on is None or certain < undecided:
            return Found(sure, certain, later)
        if isinstance(going_on, Shape):
            return Found(sure, certain, later, growing=going_on if going_on.characters else None)
        return Found(sure, certain, later, awaited=going_on)

    def _at(
        self, data: bytes, start: int, pattern: bytes, final: bool, *, follows_secret: bool
    ) -> Iterator[Span | bytes | Shape]:
        """Yields what stands at one place: secrets, the rest of a value, a shape that may go on."""
        yield from self._known(data, start, pattern, final)
        yield from self._shaped(data, start, pattern, final, follows_secret=follows_secret)

    def _unfinished_beginning(self, data: bytes, begin: int) -> int:
        """Returns where the longest end of `data` stands with which a form or key could begin."""
        for start in range(max(begin, len(data) - self._longest + 1), len(data)):
            if data[start:] in self._beginnings:
                return start
        return len(data)

    def _known(self, data: bytes, start: int, pattern: bytes, final: bool) -> Iterator[Span | bytes]:
        """Yields the longest value that stands there, and before it the rest of one that still could."""
        for form, name in self._literals.get(pattern, ()):
            if data.startswith(form, start):
                yield Span(start, start + len(form), name, name, start)
                return
            there = len(data) - start
            if not final and there < len(form) and form.startswith(data[start:]):
                yield form[there:]

    def _shaped(
        self, data: bytes, start: int, pattern: bytes, final: bool, *, follows_secret: bool
    ) -> Iterator[Span | Shape]:
        for shape in self._shapes.get(pattern, ()):
            if shape.begins_word and not follows_secret and not compiled(WORD).match(data, start):
                continue
            if not final and _may_go_on(shape, data, start):
                yield shape
            else:
                yield from _key(shape, data, start)


def _start(hit: tuple[int, int, int]) -> int:
    return hit[1]


def _longest_first(span: Span) -> tuple[int, int, bool]:
    return span.start, -span.end, span.name is None


def _certain(spans: list[Span], undecided: int) -> int:
    """Returns up to where all is certain, so that no key is cut off from what it was recognised by."""
    for span in sorted(spans, key=lambda span: span.anchor, reverse=True):
        if span.anchor < undecided <= span.start:
            undecided = span.anchor
    return undecided


def _may_go_on(shape: Shape, data: bytes, start: int) -> bool:
    """Returns whether bytes behind the end of `data` could decide if, or how far, this is a key."""
    if len(data) - start >= shape.max_bytes:
        return False
    if shape.closed and compiled(shape.closed).match(data, start):
        return False
    reach = compiled(shape.reaches).match(data, start)
    return reach is not None and reach.end() == len(data)


def _key(shape: Shape, data: bytes, start: int) -> Iterator[Span]:
    for pattern in filter(None, (shape.closed, shape.pattern)):
        found = compiled(pattern).match(data, start, start + shape.max_bytes)
        if found is not None:
            group = "key" if "key" in found.re.groupindex else 0
            yield Span(*found.span(group), shape.id, None, start)
            return


def _implementation(total_bytes: int) -> Implementation:
    # The table of the fast one takes a kilobyte a state.
    return Implementation.DFA if total_bytes <= _MAX_FAST_BYTES else Implementation.ContiguousNFA
