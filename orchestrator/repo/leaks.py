"""Looks for known secrets in the objects that a checkpoint brings: files, names, messages, refs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.model.record import Leak
from orchestrator.redaction.redactor import Redactor
from orchestrator.redaction.stream import RedactedStream
from orchestrator.repo.git import Git

_FILES = "tree/"
_OURS = "run.json"
_LOCALLY = {"GIT_NO_LAZY_FETCH": "1"}


def find_leaks(
    git: Git, redactor: Redactor, new: Iterable[str], known: Iterable[str], *, inside: str = _FILES
) -> tuple[Leak, ...]:
    """Returns where known values stand in what is reachable from `new` and not from `known`.

    Paths below `inside` are files of the work tree. Objects are read one after the
    other, in pieces. Nothing is read when no value is known.

    Raises:
        GitFailed: an object cannot be read.
    """
    if not redactor.knows_any:
        return ()
    paths = _new_objects(git, new, known)
    reader = _Reader(redactor, paths)
    asked = "".join(f"{oid}\n" for oid in paths).encode()
    git.run("cat-file", "--batch", input=asked, env=_LOCALLY, on_output=reader.take)
    leaks = dict.fromkeys(_leak(redactor, place, name, inside) for place, name in reader.found())
    return tuple(leaks)


def _new_objects(git: Git, new: Iterable[str], known: Iterable[str]) -> Mapping[str, str]:
    words = ("rev-list", "--objects", "--missing=allow-any", *new, "--not", *known, "--")
    listed = git.run(*words, env=_LOCALLY).stdout.decode("utf-8", "surrogateescape")
    split = (line.partition(" ") for line in listed.split("\n") if line)
    return {oid: path for oid, _, path in split if path != _OURS}


def _leak(redactor: Redactor, place: str, name: str, inside: str) -> Leak:
    in_tree = (place + "/").startswith(inside)
    path = (place + "/").removeprefix(inside).rstrip("/") if in_tree else place
    shown = os.fsencode(redactor.text(path)).decode("utf-8", "replace")
    return Leak(shown or ".", name, in_tree)


class _Reader:
    """Reads what `cat-file --batch` prints, piece by piece, and searches each object."""

    def __init__(self, redactor: Redactor, paths: Mapping[str, str]) -> None:
        self._redactor = redactor
        self._paths = paths
        self._header = b""
        self._left = 0
        self._place = ""
        self._stream: RedactedStream | None = None
        self._found: dict[tuple[str, str], None] = {}

    def take(self, data: bytes) -> None:
        """Takes the next piece."""
        while data:
            data = self._content(data) if self._stream is not None else self._heading(data)

    def found(self) -> Iterator[tuple[str, str]]:
        """Returns place and name of each value that was found."""
        return iter(self._found)

    def _heading(self, data: bytes) -> bytes:
        line, end, rest = data.partition(b"\n")
        self._header += line
        if end:
            self._begin(self._header.decode("ascii", "replace").split(" "))
            self._header = b""
        return rest

    def _begin(self, words: list[str]) -> None:
        if len(words) != 3 or not words[2].isdigit():
            return  # what separates two objects, or one that is missing
        oid, kind, size = words
        path = self._paths.get(oid, "")
        self._place = path if kind in ("blob", "tree") else f"({kind} {oid[:12]})"
        self._left = int(size)
        self._stream = self._redactor.stream()

    def _content(self, data: bytes) -> bytes:
        assert self._stream is not None
        piece, rest = data[: self._left], data[self._left :]
        self._stream.feed(piece)
        self._left -= len(piece)
        if not self._left:
            self._stream.flush()
            self._found.update(((self._place, name), None) for name in sorted(self._stream.names))
            self._stream = None
        return rest
