"""What a terminal may be sent: escaped text, colour or none. Standard library only, for the front door."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}
_NAMED = {0x09: None, 0x0A: None}
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))


class Styled:
    """A piece of text that is shown in a style where the stream can."""

    __slots__ = ("style", "text")

    def __init__(self, text: str, style: str) -> None:
        self.text = text
        self.style = style


def _dangerous() -> dict[int, str]:
    codes = [code for code in (*range(32), *range(0x7F, 0xA0)) if code not in _NAMED]
    table = {code: f"\\x{code:02x}" for code in codes}
    table.update({code: f"\\u{code:04x}" for code in (*_BIDI, 0x2028, 0x2029)})
    return table


_DANGEROUS = _dangerous()


def escape(text: str) -> str:
    r"""Returns `text` with what could drive a terminal written out, as in `\x1b`; keeps `\n` and `\t`.

    Covered: C0 and C1 controls, DEL, and the marks that reorder bidirectional text.
    """
    return text.translate(_DANGEROUS) if not text.isprintable() else text


def is_terminal(stream: TextIO | None) -> bool:
    """Returns whether `stream` is a terminal; closed and absent streams are none."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def wants_colour(stream: TextIO | None) -> bool:
    """Returns whether styles may be sent: NO_COLOR, then FORCE_COLOR, then a terminal that is not `dumb`."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return is_terminal(stream) and os.environ.get("TERM", "") not in ("", "dumb")


def paint(parts: tuple[str | Styled, ...], *, colour: bool) -> str:
    """Returns the parts as one escaped text, with the styles where `colour`."""
    return "".join(_painted(part, colour) for part in parts)


def _painted(part: str | Styled, colour: bool) -> str:
    if isinstance(part, str):
        return escape(part)
    text = escape(part.text)
    return f"\x1b[{_STYLES[part.style]}m{text}\x1b[0m" if colour and text else text


def write(stream: TextIO | None, text: str) -> None:
    r"""Writes text in any encoding, what it cannot say as `\x..`, and flushes.

    Raises:
        BrokenPipeError: the reader has gone.
    """
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def silence(stream: TextIO | None) -> None:
    """Points a stream whose reader has gone at the null device, so that nothing more fails at exit."""
    if stream is None:
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        if stream is sys.stdout:
            sys.stdout = sys.__stdout__
