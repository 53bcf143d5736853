"""Makes the output of agents fit for people and the database: no escapes, short lines."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    "\x1b\\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b\\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\\\)|\x1b[@-Z\\\\^_]"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_MAX_LINE_BYTES = 4096


def plain_text(data: bytes) -> str:
    """Returns output as UTF-8 with replacements, without terminal escapes and control characters."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", _ESCAPES.sub("", text))


class LineReader:
    """Cuts a stream into lines for people; of a line longer than 4 KiB the rest is dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self.last = ""

    def feed(self, data: bytes) -> list[str]:
        """Returns the lines that `data` completes, blank ones left out."""
        *complete, rest = (self._rest + data).split(b"\n")
        lines = [line for line in (self._shown(part) for part in complete) if line]
        self._rest = rest[: _MAX_LINE_BYTES + 1]
        self.last = lines[-1] if lines else self.last
        return lines

    def finish(self) -> list[str]:
        """Returns the last line when the stream ended without a line end."""
        return self.feed(b"\n") if self._rest else []

    def _shown(self, line: bytes) -> str:
        return plain_text(line[:_MAX_LINE_BYTES]).strip()
