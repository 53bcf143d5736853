"""The two streams: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys

from orchestrator.cli.terminal import Styled, is_terminal, paint, wants_colour, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from orchestrator.model.json import Json
    from orchestrator.redaction.redactor import Redactor

__all__ = ["Screen", "Styled"]

SCHEMA_VERSION = 1


class Screen:
    """Prints. What comes in as text is escaped here, so no caller can forget it.

    With `as_json` the prose of `out` stays silent: a command prints its one object with `json`. With a
    `redactor`, which every command sets, nothing is printed that it finds to be secret.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: int = 0) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.redactor: Redactor | None = None
        self._colour_out = wants_colour(sys.stdout)
        self._colour_err = wants_colour(sys.stderr)
        self._passing = False

    @property
    def is_terminal(self) -> bool:
        """Returns whether results go to a terminal that can do more than print lines."""
        return is_terminal(sys.stdout) and os.environ.get("TERM", "") not in ("", "dumb")

    @property
    def errors_on_terminal(self) -> bool:
        """Returns whether progress goes to a terminal that can do more than print lines."""
        return is_terminal(sys.stderr) and os.environ.get("TERM", "") not in ("", "dumb")

    def out(self, *parts: str | Styled) -> None:
        """Prints one line of a result, unless JSON is asked for."""
        if not self.as_json:
            self._write(sys.stdout, self._painted(parts, colour=self._colour_out) + "\n")

    def note(self, *parts: str | Styled) -> None:
        """Prints one line of progress or advice on standard error, unless quiet."""
        if not self.quiet:
            self._write(sys.stderr, self._painted(parts, colour=self._colour_err) + "\n")

    def detail(self, *parts: str | Styled) -> None:
        """Prints one line that only `-v` asks for."""
        if self.verbose:
            self.note(*parts)

    def warn(self, sentence: str) -> None:
        """Prints a warning on standard error; quiet does not hide it."""
        self.error(Styled("warning: ", "yellow"), sentence)

    def error(self, *parts: str | Styled) -> None:
        """Prints one line of an error."""
        self._write(sys.stderr, self._painted(parts, colour=self._colour_err) + "\n")

    def passing(self, text: str) -> None:
        """Shows one line on a terminal's standard error that the next one, on either stream, replaces.

        The caller cuts it to the width: of a line that wraps only the last row would go away.
        """
        write(sys.stderr, f"\r\x1b[K{self._painted((text,), colour=False)}\r")
        self._passing = True

    def _write(self, stream: TextIO | None, text: str) -> None:
        if self._passing:
            self._passing = False
            write(sys.stderr, "\r\x1b[K")
        write(stream, text)

    def json(self, fields: dict[str, Json]) -> None:
        """Prints an object as one line of JSON, `schema_version` first."""
        shown: Json = {"schema_version": SCHEMA_VERSION, **fields}
        if self.redactor is not None:
            shown = self.redactor.json(shown, keys=False)
        self._write(sys.stdout, encode(shown) + "\n")

    def raw(self, data: bytes) -> None:
        """Prints bytes as they are but for secrets, escaped line by line on a terminal."""
        if self.redactor is not None:
            data = self.redactor.data(data)
        if is_terminal(sys.stdout):
            self._write(sys.stdout, paint((data.decode("utf-8", "backslashreplace"),), colour=False))
            return
        self._write(sys.stdout, "")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def redacted(self, text: str) -> str:
        """Returns text as it may be shown."""
        return text if self.redactor is None else self.redactor.text(text)

    def _painted(self, parts: tuple[str | Styled, ...], *, colour: bool) -> str:
        clean = (
            self.redacted(part) if isinstance(part, str) else Styled(self.redacted(part.text), part.style)
            for part in parts
        )
        return paint(tuple(clean), colour=colour)


def encode(value: Json) -> str:
    """Returns a value as JSON on one line; what is no text in a file name stays as an escape."""
    try:
        from _json import encode_basestring_ascii as quoted  # `json` imports `re` and `enum`: half of a start
    except ImportError:  # not CPython
        from json.encoder import py_encode_basestring_ascii as quoted
    return _encoded(value, quoted)


def _encoded(value: Json, quoted: Callable[[str], str]) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if value - value == 0 else "null"  # JSON knows no infinity
    if isinstance(value, dict):
        members = (f"{quoted(name)}:{_encoded(each, quoted)}" for name, each in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_encoded(each, quoted) for each in value) + "]"
    raise TypeError(f"{type(value).__name__} cannot be said in JSON")
