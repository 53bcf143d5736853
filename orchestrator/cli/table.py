"""Columns of text without box drawing; standard library only, for the front door."""

from __future__ import annotations

import os

from orchestrator.cli.terminal import Styled, escape, is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

_GAP = "  "


def columns(rows: Sequence[tuple[str | Styled, ...]], *, width: int = 0) -> list[tuple[str | Styled, ...]]:
    """Returns each row as the parts of one line, cells padded to columns.

    The last column is cut to fit `width` characters; 0 leaves it as it is.
    """
    widths = [max(len(_plain(row[index])) for row in rows) for index in range(len(rows[0]))] if rows else []
    return [_line(row, widths, width) for row in rows]


def _line(row: tuple[str | Styled, ...], widths: list[int], width: int) -> tuple[str | Styled, ...]:
    parts: list[str | Styled] = []
    for index, cell in enumerate(row[:-1]):
        parts += [_one_line(cell), " " * (widths[index] - len(_plain(cell))) + _GAP]
    used = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    if not _plain(row[-1]):
        return _trimmed(parts)
    return (*parts, _cut(_one_line(row[-1]), max(width - used, 8) if width else 0))


def _trimmed(parts: list[str | Styled]) -> tuple[str | Styled, ...]:
    while parts and not _plain(parts[-1]).strip():
        parts.pop()
    return tuple(parts)


def _plain(cell: str | Styled) -> str:
    one = _one_line(cell)
    return one if isinstance(one, str) else one.text


def _one_line(cell: str | Styled) -> str | Styled:
    if isinstance(cell, str):
        return " ".join(escape(cell).split())
    return Styled(" ".join(escape(cell.text).split()), cell.style)


def _cut(cell: str | Styled, room: int) -> str | Styled:
    text = cell if isinstance(cell, str) else cell.text
    if not room or len(text) <= room:
        return cell
    cut = text[: room - 1] + "…"
    return cut if isinstance(cell, str) else Styled(cut, cell.style)


def screen_width(stream: TextIO | None) -> int:
    """Returns the number of columns of a terminal, 0 when `stream` is none."""
    if stream is None or not is_terminal(stream):
        return 0
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return 80
