"""Finds JSON in what a model said: alone, in fenced blocks, or among prose; trailing commas are forgiven."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from orchestrator.model.json import Json

T = TypeVar("T")

_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)^[ \t]*\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_MAX_TRIES = 1000


def found_in(text: str, read: Callable[[Json], T | None], *, alone: Callable[[Json], bool]) -> Sequence[T]:
    """Returns what `read` makes of the JSON values in a text, None being what it does not take for its own.

    The whole text goes before fenced blocks, these before values among prose; the first of these places that
    has any counts alone. A value among prose counts only where `alone` does not say that it needs a block of
    its own, as an empty list does.
    """
    among_prose = (value for value in _in_prose(text) if not alone(value))
    for values in (_whole(text), _in_blocks(text), among_prose):
        taken = [each for each in (read(value) for value in values) if each is not None]
        if taken:
            return taken
    return ()


def _whole(text: str) -> Iterator[Json]:
    yield from _parsed(text)


def _in_blocks(text: str) -> Iterator[Json]:
    for block in _FENCED.finditer(text):
        yield from _parsed(block[2])


def _parsed(text: str) -> Iterator[Json]:
    for form in (text, _forgiven(text)):
        try:
            value: Json = json.loads(form, strict=False)
        except (ValueError, RecursionError):
            continue
        yield value
        return


def _in_prose(text: str) -> Iterator[Json]:
    decoder, end = json.JSONDecoder(strict=False), 0
    text = _forgiven(text)
    for number, opening in enumerate(_OPENING.finditer(text)):
        if number >= _MAX_TRIES:
            return
        if opening.start() < end:
            continue
        try:
            value, end = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        yield value


def _forgiven(text: str) -> str:
    """Returns the text without commas before a closing bracket."""
    return _COMMA.sub(lambda found: found[1] or "", text)
