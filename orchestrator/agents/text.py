"""Makes the output of agents fit for people and the database: no escapes, short lines."""

from __future__ import annotations

import re

from orchestrator.model.json import Json, JsonObject

_ESCAPES = re.compile(
    "\x1b\\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b\\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\\\)|\x1b[@-Z\\\\^_]"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LAST_WORD = re.compile(r"(?<!\S)\S+\Z")
_FIRST_WORD = re.compile(r"\S+(?=\s)")
_MAX_WORD = 400
_MAX_LINE_BYTES = 4096
_MAX_DETAIL = 2000
_MAX_MEMBERS = 50
_MAX_DEPTH = 6


def plain_text(data: bytes) -> str:
    """Returns output as UTF-8 with replacements, without terminal escapes and control characters."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", _ESCAPES.sub("", text))


def plain(text: str, limit: int) -> str:
    """Returns what an agent said in its JSON in the same form, cut at `limit` characters."""
    if len(text) <= limit and text.isprintable():
        return text  # the most of them: names, paths, ids
    clean = plain_text(text[: 2 * limit].encode("utf-8", "replace"))
    return clean if len(clean) <= limit else _cut(clean, limit - 1) + "…"


def _cut(text: str, limit: int) -> str:
    """Returns the beginning of a text that ends with a whole word.

    A part of a secret would not be known for one any more. What is longer than any secret is cut anywhere,
    and so are names, which are a single word.
    """
    word = _LAST_WORD.search(text, max(0, limit - _MAX_WORD), limit)
    start = word.start() if word is not None else limit
    is_partial = max(0, limit - _MAX_WORD) < start < limit and not text[limit].isspace()
    return text[:start] if is_partial else text[:limit]


def ending(text: str, limit: int) -> str:
    """Returns the end of a text, which begins with a whole word, after an ellipsis where more was there."""
    if len(text) <= limit:
        return text
    end = text[1 - limit :]
    partial = None if text[-limit].isspace() else _FIRST_WORD.match(end, 0, _MAX_WORD)
    return "…" + (end[partial.end() :] if partial else end)


def brief(detail: JsonObject) -> JsonObject:
    """Returns what an agent told of a tool's use, small enough to be kept: files are in the tree."""
    found = _brief(detail, _MAX_DEPTH)
    return found if isinstance(found, dict) else {}


def _brief(value: Json, depth: int) -> Json:
    if isinstance(value, str):
        return plain(value, _MAX_DETAIL)
    if value is None or isinstance(value, bool | int | float):
        return value if _is_storable(value) else str(value)[:_MAX_LINE_BYTES]
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        members = list(value.items())[:_MAX_MEMBERS]
        return {plain(name, 200): _brief(each, depth - 1) for name, each in members}
    return [_brief(each, depth - 1) for each in list(value)[:_MAX_MEMBERS]]


def _is_storable(value: float | None) -> bool:
    return value is None or abs(value) < 2**63  # false for what is not a number, too


class LineReader:
    """Cuts a stream into lines for people; of a line longer than 4 KiB the rest is dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self.last = ""

    def feed(self, data: bytes) -> list[str]:
        """Returns the lines that `data` completes, blank ones left out."""
        *complete, rest = (self._rest + data).split(b"\n")
        lines = [line for line in (shown(part) for part in complete) if line]
        self._rest = rest[: _MAX_LINE_BYTES + 1]
        self.last = lines[-1] if lines else self.last
        return lines

    def finish(self) -> list[str]:
        """Returns the last line when the stream ended without a line end."""
        return self.feed(b"\n") if self._rest else []


def shown(line: bytes) -> str:
    """Returns the beginning of a line of output as people see it."""
    text = plain_text(line[:_MAX_LINE_BYTES]).strip()
    return text if len(line) <= _MAX_LINE_BYTES else _cut(text + "…", len(text))
