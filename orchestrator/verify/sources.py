"""Finds the places findings speak of: names relative to the tree, and the text of their lines."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from orchestrator.verify.output import one_line, plain_text, read_regular

_MAX_SOURCE_BYTES = 2 << 20
_KEPT_FILES = 8


class Sources:
    """The files of one tree, read for the context of findings; nothing outside, not even through a link."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.abspath(root)
        self._real_root = os.path.realpath(root)
        self._lines: dict[str, list[bytes]] = {}

    def relative(self, name: str) -> str | None:
        """Returns a file name as POSIX path relative to the tree, None when it lies outside."""
        if not name or "\0" in name or len(name) > 4096:
            return None
        path = os.path.normpath(os.path.join(self._root, name.removeprefix("file://")))
        for root in (self._root, self._real_root):
            if path.startswith(root + os.sep):
                return PurePath(path[len(root) + 1 :]).as_posix()
        return None

    def has(self, relative: str) -> bool:
        """Returns whether a regular file of the tree has this name."""
        return self._inside(relative) is not None

    def location(self, name: str, line: int | None) -> str:
        """Returns `file:line` or `file` relative to the tree; empty when the file lies outside."""
        relative = self.relative(name)
        if relative is None:
            return ""
        shown = one_line(plain_text(os.fsencode(relative)))
        return f"{shown}:{line}" if line is not None and line > 0 else shown

    def context(self, name: str, line: int | None) -> str:
        """Returns the text of the line, empty when there is none."""
        relative = self.relative(name)
        if relative is None or line is None or line < 1:
            return ""
        lines = self._lines_of(relative)
        return one_line(plain_text(lines[line - 1]), characters=200) if line <= len(lines) else ""

    def _inside(self, relative: str) -> str | None:
        real = os.path.realpath(os.path.join(self._real_root, relative))
        inside = real.startswith(self._real_root + os.sep)
        return real if inside and os.path.isfile(real) else None

    def _lines_of(self, relative: str) -> list[bytes]:
        if relative not in self._lines:
            real = self._inside(relative)
            content = read_regular(real, limit_bytes=_MAX_SOURCE_BYTES) if real is not None else None
            if len(self._lines) >= _KEPT_FILES:
                self._lines.clear()
            self._lines[relative] = content.data.split(b"\n") if content is not None else []
        return self._lines[relative]
