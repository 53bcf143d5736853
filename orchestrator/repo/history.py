"""Finds what an agent committed, stashed or gave a name, by reading its git directory as plain files.

No git runs in the agent's repository: its configuration, hooks and filters are whatever it made them.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_LARGEST_BYTES = 64 << 20
_OID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PACKED = re.compile(rb"^([0-9a-f]{40,64}) (refs/[^\n]+)$", re.MULTILINE)
_LOGGED = re.compile(rb"^([0-9a-f]{40,64}) ([0-9a-f]{40,64}) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class GitFiles:
    """Where the parts of a repository are: `own` holds HEAD and index, `common` the objects and refs."""

    own: Path
    common: Path

    @property
    def objects(self) -> Path:
        """Returns the object store."""
        return self.common / "objects"

    @property
    def index(self) -> Path:
        """Returns the index file."""
        return self.own / "index"


def git_files(work_tree: Path, *, inside: Path) -> GitFiles | None:
    """Returns the git directory of a work tree, or None when there is none inside `inside` (a resolved path).

    A `.git` that is a link, or a file that names a place outside, is not followed.
    """
    entry = work_tree / ".git"
    try:
        kind = os.lstat(entry).st_mode
    except OSError:
        return None
    own = entry
    if stat.S_ISREG(kind):
        line = read_small(entry).split(b"\n", 1)[0]
        if not line.startswith(b"gitdir: "):
            return None
        own = work_tree / os.fsdecode(line[len(b"gitdir: ") :].strip())
    elif not stat.S_ISDIR(kind):
        return None
    common = own
    named = read_small(own / "commondir").strip()
    if named:
        common = own / os.fsdecode(named)
    places = [Path(os.path.realpath(place)) for place in (own, common)]
    if not all(place.is_relative_to(inside) for place in places) or not (places[1] / "objects").is_dir():
        return None
    return GitFiles(places[0], places[1])


def read_small(path: Path, *, largest_bytes: int = _LARGEST_BYTES) -> bytes:
    """Returns the bytes of a regular file up to a size, empty for anything else; opens no link or FIFO."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return b""
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > largest_bytes:
        os.close(descriptor)
        return b""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(largest_bytes)


def head(files: GitFiles) -> str | None:
    """Returns the object HEAD stands for, or None before the first commit or when it is damaged."""
    text = read_small(files.own / "HEAD").strip()
    if text.startswith(b"ref: "):
        return refs(files.common).get(os.fsdecode(text[5:].strip()))
    return text.decode("ascii") if _OID.fullmatch(text) else None


def refs(common: Path) -> Mapping[str, str]:
    """Returns the objects that refs stand for, by full name (bytes that are not UTF-8 escaped)."""
    found = {
        os.fsdecode(name): oid.decode("ascii")
        for oid, name in _PACKED.findall(read_small(common / "packed-refs"))
    }
    for path in _files(common / "refs"):
        text = read_small(path).strip()
        if _OID.fullmatch(text):
            found[str(path.relative_to(common))] = text.decode("ascii")
    return found


def logged(files: GitFiles) -> frozenset[str]:
    """Returns every object that a reflog of this repository, its linked worktrees or its stash names."""
    found: set[str] = set()
    for place in {files.own / "logs", files.common / "logs", files.common / "worktrees"}:
        for path in _files(place):
            for old, new in _LOGGED.findall(read_small(path)):
                found.update((old.decode("ascii"), new.decode("ascii")))
    return frozenset(oid for oid in found if oid.strip("0"))


def pseudo_heads(files: GitFiles) -> Mapping[str, str]:
    """Returns what ORIG_HEAD, MERGE_HEAD and their kin, and the HEADs of linked worktrees, stand for."""
    found = {}
    for place in (files.own, *_directories(files.common / "worktrees")):
        for entry in _directory_files(place):
            text = read_small(entry).split(b"\n", 1)[0].strip() if entry.name.endswith("HEAD") else b""
            oid = text.split(b"\t", 1)[0]  # FETCH_HEAD has more columns
            if _OID.fullmatch(oid):
                found[str(entry.relative_to(files.common)) if place != files.own else entry.name] = (
                    oid.decode()
                )
    return found


def _files(place: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(place):
        for name in sorted(names):
            yield Path(directory, name)


def _directories(place: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [Path(entry.path) for entry in os.scandir(place) if entry.is_dir(follow_symlinks=False)]
    return []


def _directory_files(place: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [Path(entry.path) for entry in os.scandir(place) if entry.is_file(follow_symlinks=False)]
    return []
