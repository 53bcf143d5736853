"""Finds what a mark of the catalogue describes: by path, kind and content; follows no link."""

from __future__ import annotations

import fnmatch
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.migrate import sqlite
from orchestrator.migrate.catalogue import HOME, Layout, Mark
from orchestrator.paths import names

_HEAD_BYTES = 64 * 1024
_JSON_BYTES = 16 * 1024 * 1024
_KEY_MARKS = (b"-----BEGIN", b"AGE-SECRET-KEY-")
_WILD = frozenset("*?[")


@dataclass(slots=True)
class Places:
    """Where to look: the checkout's root and the user's home, if known; remembers directories it listed."""

    root: str
    home: str | None
    _listed: dict[str, list[str]] = field(default_factory=dict)

    def find(self, source: str) -> Iterator[str]:
        """Yields the absolute paths that a source of the catalogue names, sorted; never through a link."""
        base, pattern = self.root, source
        if source.startswith(HOME):
            if self.home is None:
                return
            base, pattern = self.home, source.removeprefix(HOME)
        found = [base]
        for part in pattern.split("/"):
            found = [path for directory in found for path in self._children(directory, part)]
        yield from found

    def relative(self, path: str) -> str:
        """Returns a path below the root relative to it."""
        return os.path.relpath(path, self.root)

    def ours(self) -> bool:
        """Returns whether `.orchestrator/` carries our mark."""
        return is_ours(os.path.join(self.root, names.DIRECTORY))

    def _children(self, directory: str, part: str) -> list[str]:
        if directory not in (self.root, self.home) and _kind(directory) != "directory":
            return []
        if not _WILD & set(part):
            path = os.path.join(directory, part)
            return [path] if os.path.lexists(path) else []
        return [os.path.join(directory, n) for n in self._names(directory) if fnmatch.fnmatchcase(n, part)]

    def _names(self, directory: str) -> list[str]:
        if directory not in self._listed:
            self._listed[directory] = listed(directory)
        return self._listed[directory]


def recognised(layout: Layout, places: Places) -> bool:
    """Returns whether a layout is there: by its marks, or by the version in our own `layout.json`."""
    recognition = layout.recognise
    if recognition is None:
        directory = os.path.join(places.root, names.DIRECTORY)
        version = None if os.path.islink(directory) else layout_version(directory)
        return layout.upgrades is not None and version == layout.upgrades.from_version
    some = not recognition.any or any(_found(mark, places) for mark in recognition.any)
    return some and all(_found(mark, places) for mark in recognition.all)


def fits(mark: Mark | None, path: str, places: Places) -> bool:
    """Returns whether what stands at `path` is and holds what the mark says."""
    if mark is None:
        return True
    kind = _kind(path)
    if mark.type != "any" and kind != mark.type and kind != "link":
        return False
    if mark.not_ours and places.ours():
        return False
    if mark.holds and not _holds(mark.holds, path):
        return False
    return _content_fits(mark, path)


def is_ours(directory: str) -> bool:
    """Returns whether `directory` holds a `layout.json` of this tool."""
    return layout_version(directory) is not None


def layout_version(directory: str) -> int | None:
    """Returns the version in a `layout.json` of this tool; None where there is none."""
    document = read_object(os.path.join(directory, names.LAYOUT))
    if document is None or document.get("tool") != "orchestrator":
        return None
    version = document.get("layout_version")
    return version if isinstance(version, int) else None


def holds_private_key(path: str) -> bool:
    """Returns whether a file begins with what private keys begin with, within its first 4 KiB."""
    head = read_head(path, 4096)
    return any(mark in head for mark in _KEY_MARKS) and b"PUBLIC KEY" not in head


def read_head(path: str, limit_bytes: int = _HEAD_BYTES) -> bytes:
    """Returns the start of a regular file; nothing where there is none or it may not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit_bytes)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def read_object(path: str) -> dict[str, object] | None:
    """Returns the JSON object that a file, or the first line of a `.jsonl` file, holds; else None."""
    text = read_head(path, _JSON_BYTES)
    if path.endswith(".jsonl"):
        text = text.split(b"\n", 1)[0]
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def listed(directory: str) -> list[str]:
    """Returns the sorted names in a directory; none where it cannot be read."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _found(mark: Mark, places: Places) -> bool:
    return any(fits(mark, path, places) for path in places.find(mark.path))


def _holds(patterns: tuple[str, ...], path: str) -> bool:
    if _kind(path) != "directory":
        return False
    found = listed(path)
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in found)


def _content_fits(mark: Mark, path: str) -> bool:
    if mark.starts_with and not read_head(path).startswith(mark.starts_with.encode()):
        return False
    if mark.contains and mark.contains.encode() not in read_head(path):
        return False
    if mark.sqlite_tables and not set(mark.sqlite_tables) <= sqlite.tables(path):
        return False
    if mark.json_keys or mark.json_any or mark.lacks:
        return _keys_fit(mark, path)
    return True


def _keys_fit(mark: Mark, path: str) -> bool:
    document = read_object(path)
    if document is None:
        return False
    keys = document.keys()
    some = not mark.json_any or any(key in keys for key in mark.json_any)
    return some and all(key in keys for key in mark.json_keys) and not any(key in keys for key in mark.lacks)


def _kind(path: str) -> str:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return "nothing"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "link"
    return "file" if stat.S_ISREG(mode) else "special"
