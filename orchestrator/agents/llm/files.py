"""The built-in tools that read and change files of the tree."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.agents.confined import ConfinedTree, PathRefused
from orchestrator.agents.llm.tool import Arguments, Tool, ToolProblem
from orchestrator.agents.taking import put
from orchestrator.fs.disk import Disk

_MAX_LINES = 2000
_MAX_CHARACTERS = 60_000
_MAX_FILE_BYTES = 4 << 20
_MAX_FOUND = 200
_MAX_ENTRIES = 500
_MAX_LINE = 300

_PATH = {"type": "string", "description": "Path in the tree, such as src/app.py."}


class FileTools:
    """Reads, searches, edits and writes files of one tree; what is refused is told to the model."""

    def __init__(self, tree: ConfinedTree) -> None:
        self._tree = tree
        self._disk = Disk()

    def tools(self) -> tuple[Tool, ...]:
        """Returns the tools."""
        return (*self._looking(), *self._changing())

    def _looking(self) -> tuple[Tool, ...]:
        return (
            Tool(
                "read",
                "Returns the lines of a file with their numbers, or what a directory holds.",
                {
                    "path": _PATH,
                    "offset": {"type": "integer", "description": "First line, from 1."},
                    "limit": {"type": "integer", "description": "Lines at most."},
                },
                ("path",),
                self._read,
            ),
            Tool(
                "search",
                "Returns the lines of the tree's files that hold a text, as path:line: text.",
                {
                    "pattern": {"type": "string", "description": "What to look for."},
                    "regex": {"type": "boolean", "description": "Whether it is a regular expression."},
                    "path": {"type": "string", "description": "Only below this directory, or this file."},
                },
                ("pattern",),
                self._search,
            ),
        )

    def _changing(self) -> tuple[Tool, ...]:
        return (
            Tool(
                "edit_file",
                "Replaces a text in a file, which must stand there exactly once (or everywhere with `all`).",
                {
                    "path": _PATH,
                    "old": {"type": "string", "description": "The text that is there, with its white space."},
                    "new": {"type": "string", "description": "The text that shall be there."},
                    "all": {"type": "boolean", "description": "Replace it wherever it stands."},
                },
                ("path", "old", "new"),
                self._edit,
            ),
            Tool(
                "write",
                "Writes a whole file; one that is there is replaced, directories are made.",
                {"path": _PATH, "content": {"type": "string", "description": "All that shall be in it."}},
                ("path", "content"),
                self._write,
            ),
        )

    def _read(self, given: Arguments) -> str:
        place = self._tree.to_read(given.text("path"))
        if place.is_dir():
            return _listed(place)
        lines = _text_of(place).splitlines()
        first = max(1, given.whole("offset", 1))
        shown = lines[first - 1 : first - 1 + min(_MAX_LINES, max(1, given.whole("limit", _MAX_LINES)))]
        text = "\n".join(f"{number}\t{line}" for number, line in enumerate(shown, first))
        rest = len(lines) - (first - 1 + len(shown))
        return shortened(text) + (f"\n({rest} more lines; go on with offset)" if rest > 0 else "")

    def _search(self, given: Arguments) -> str:
        pattern = given.text("pattern")
        try:
            sought = re.compile(pattern if given.flag("regex") else re.escape(pattern))
        except re.error as error:
            raise ToolProblem(f"the regular expression is invalid: {error}") from error
        found: list[str] = []
        for place in _files_below(self._tree.to_read(given.text("path", "."))):
            found += _matches(place, self._tree.shown(place), sought, _MAX_FOUND - len(found))
            if len(found) >= _MAX_FOUND:
                return shortened("\n".join(found)) + "\n(there may be more: search more narrowly)"
        return shortened("\n".join(found)) or "(nothing was found)"

    def _edit(self, given: Arguments) -> str:
        place = self._tree.to_write(given.text("path"))
        if not place.exists():
            raise ToolProblem("there is no such file; `write` makes one")
        text, old, new = _text_of(place), given.text("old"), given.text("new")
        count = text.count(old) if old else 0
        if count == 0:
            raise ToolProblem("`old` is not in the file: read it again and copy the text exactly")
        if count > 1 and not given.flag("all"):
            raise ToolProblem(
                f"`old` is in the file {count} times: name more of its surroundings, or set `all`"
            )
        self._put(place, text.replace(old, new))
        return f"replaced {count} times" if count > 1 else "replaced"

    def _write(self, given: Arguments) -> str:
        place = self._tree.to_write(given.text("path"))
        content = given.text("content", empty=True)
        self._put(place, content)
        return f"wrote {len(content.encode('utf-8', 'surrogateescape'))} bytes"

    def _put(self, place: Path, text: str) -> None:
        put(self._disk, place, text)


def shortened(text: str, limit: int = _MAX_CHARACTERS) -> str:
    """Returns a text whose middle is left out where it is too long for a model."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… ({len(text) - 2 * half:,} characters are left out) …\n{text[-half:]}"


def _text_of(place: Path) -> str:
    if not place.is_file():
        raise PathRefused(f"{place.name!r} is no file" if place.exists() else "there is no such file")
    if place.stat().st_size > _MAX_FILE_BYTES:
        raise ToolProblem(f"the file is larger than {_MAX_FILE_BYTES >> 20} MiB; search it, or use a command")
    data = place.read_bytes()
    if b"\0" in data[:8192]:
        raise ToolProblem("the file is not text")
    return data.decode("utf-8", "surrogateescape")


def _listed(place: Path) -> str:
    entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    names = [entry.name + ("/" if entry.is_dir() else "") for entry in entries if entry.name != ".git"]
    more = f"\n({len(names) - _MAX_ENTRIES} more)" if len(names) > _MAX_ENTRIES else ""
    return "\n".join(names[:_MAX_ENTRIES]) + more or "(empty)"


def _files_below(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for directory, below, names in os.walk(place):
        below[:] = sorted(name for name in below if name not in (".git", ".orchestrator"))
        yield from (Path(directory, name) for name in sorted(names) if _is_plain(Path(directory, name)))


def _is_plain(place: Path) -> bool:
    return place.is_file() and not place.is_symlink() and place.name != ".git"


def _matches(place: Path, shown: str, sought: re.Pattern[str], many: int) -> list[str]:
    try:
        lines = _text_of(place).splitlines()
    except (OSError, ToolProblem, PathRefused):
        return []  # not text, too large, or gone: not a place to find something in
    hits = ((number, line) for number, line in enumerate(lines, 1) if sought.search(line))
    return [
        f"{shown}:{number}: {line[:_MAX_LINE]}" for (number, line), _ in zip(hits, range(many), strict=False)
    ]
