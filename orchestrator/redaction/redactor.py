"""Takes known values and keys by shape out of text, bytes, JSON and streams."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestrator.model.json import Json
from orchestrator.redaction.forms import forms_of
from orchestrator.redaction.stream import RedactedStream

if TYPE_CHECKING:
    from orchestrator.redaction.matching import Matcher, Span

MAX_DEPTH = 100
MARKED = re.compile(r"\[redacted(?::[A-Za-z0-9_.-]+)?\]|\[\*{3}\]")
"""What stands for a secret that was taken out of text."""
_WINDOW_BYTES = 1 << 17
_FEW = 8


class Redactor:
    """Knows secret values by name, and writes `[redacted:NAME]` wherever one would stand.

    A key that is not known, but is recognised by its shape, becomes `[redacted:SHAPE]`. What was redacted
    once stays the same when it is redacted again. May be used from several threads.
    """

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        self._matcher: Matcher | None = None
        self._lock = threading.Lock()

    def add(self, name: str, value: str) -> bool:
        """Makes a value known, with each of its lines; returns False for one that is too short for it.

        A value that is known under another name keeps the first. What is being redacted as a stream goes on
        with what was known when it began.
        """
        forms = forms_of(value)
        with self._lock:
            for form in forms:
                self._forms.setdefault(form, name)
            self._matcher = None
        return bool(forms)

    @property
    def knows_any(self) -> bool:
        """Returns whether there is a known value."""
        return bool(self._forms)

    def text(self, text: str) -> str:
        """Returns text without secrets: the same object when it holds none."""
        try:
            data, errors = text.encode("utf-8", "surrogateescape"), "surrogateescape"
        except UnicodeEncodeError:  # a surrogate that stands for no byte, from somebody's JSON
            data, errors = text.encode("utf-8", "surrogatepass"), "surrogatepass"
        clean = self.data(data)
        return text if clean is data else clean.decode("utf-8", errors)

    def data(self, data: bytes) -> bytes:
        """Returns bytes without secrets: the same object when they hold none."""
        matcher = self._ready()
        if len(data) <= _WINDOW_BYTES and not matcher.find(data, 0, final=True).spans:
            return data
        stream = RedactedStream(matcher)
        pieces = [stream.feed(data[at : at + _WINDOW_BYTES]) for at in range(0, len(data), _WINDOW_BYTES)]
        pieces.append(stream.flush())
        return b"".join(pieces) if stream.has_changed else data

    def json(self, value: Json, *, keys: bool = True) -> Json:
        """Returns JSON without secrets in its strings and, unless they are words of ours, in its keys.

        What nests deeper than 100 levels becomes a note.
        """
        if self._is_clean(value):
            return value
        return self._json(value, MAX_DEPTH, keys)

    def all_json(self, values: Sequence[Json]) -> Sequence[Json]:
        """Returns several JSON values without secrets, as `json` returns each."""
        if self._is_clean(values):
            return values
        if len(values) <= _FEW:
            return [self.json(value) for value in values]
        middle = len(values) // 2
        return [*self.all_json(values[:middle]), *self.all_json(values[middle:])]

    def stream(self) -> RedactedStream:
        """Returns something that takes bytes piece by piece and gives them back without secrets."""
        return RedactedStream(self._ready())

    def names_in(self, data: bytes) -> frozenset[str]:
        """Returns the names of the known values that stand in `data` in any form."""
        stream = self.stream()
        stream.feed(data)
        stream.flush()
        return frozenset(stream.names)

    def _is_clean(self, value: Json) -> bool:
        """Returns whether one look at all strings of a small value together finds nothing: most hold none.

        Parted by a line end, which is in no form of a value that is a single line and in which every word
        ends, as at the end of text. Whatever is found, across two strings too, is looked at one by one.
        """
        strings: list[str] = []
        if not _gather(value, strings, MAX_DEPTH):
            return False
        try:
            data = "\n".join(strings).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return False
        return len(data) <= _WINDOW_BYTES and not self._ready().find(data, 0, final=True).spans

    def _json(self, value: Json, depth: int, keys: bool) -> Json:
        if isinstance(value, str):
            return value if isinstance(value, Enum) else self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth == 0:
            return "(nested too deeply)"
        if isinstance(value, Mapping):
            return self._members(value, depth, keys)
        return [self._json(each, depth - 1, keys) for each in value]

    def _members(self, value: Mapping[str, Json], depth: int, keys: bool) -> dict[str, Json]:
        made: dict[str, Json] = {}
        for name, each in value.items():
            shown, number = self.text(name) if keys else name, 2
            while shown in made or (shown != name and shown in value):
                shown, number = f"{self.text(name)} {number}", number + 1
            made[shown] = self._json(each, depth - 1, keys)
        return made

    def _ready(self) -> Matcher:
        with self._lock:
            if self._matcher is None:
                self._matcher = _matcher(dict(self._forms)) if self._forms else _shapes_alone()
            return self._matcher


def _gather(value: Json, strings: list[str], depth: int) -> bool:
    """Adds every string in `value`, keys too; returns False for one that nests too deeply."""
    if isinstance(value, str):
        strings.append(value)
        return True
    if value is None or isinstance(value, bool | int | float):
        return True
    if depth == 0:
        return False
    if isinstance(value, Mapping):
        strings.extend(value)
        return all([_gather(each, strings, depth - 1) for each in value.values()])
    return all([_gather(each, strings, depth - 1) for each in value])


def keys_in(data: bytes) -> tuple[Span, ...]:
    """Returns the keys in `data` that are known by their shape alone, by beginning."""
    return _shapes_alone().find(data, 0, final=True).spans


def _matcher(forms: dict[bytes, str]) -> Matcher:
    from orchestrator.redaction.matching import Matcher  # its automaton is for those who write

    return Matcher(forms)


@lru_cache(maxsize=1)
def _shapes_alone() -> Matcher:
    """Returns what knows no value, always the same."""
    return _matcher({})
