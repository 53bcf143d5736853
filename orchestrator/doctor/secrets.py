"""Finds what looks like a secret in files, within bounds, offline; tells places, never values."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.migrate.sniff import read_head
from orchestrator.redaction.redactor import keys_in

_NOT_TOLD = frozenset({"url-password"})
"""Shapes that files under version control show by the dozen in examples."""
_PUTTY = re.compile(rb"PuTTY-User-Key-File-[0-9]:")
_EXAMPLE = b"EXAMPLE"
"""How keys in documentation end. Source: the documentation of AWS."""

_NAMES = frozenset(
    {
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        ".netrc",
        "_netrc",
        ".pgpass",
        ".git-credentials",
        ".env",
    }
)
_SUFFIXES = (".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk")
_BINARY_BYTES = 8000
"""How much of a file is looked at for a NUL byte, as git does to tell binary files."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is read at most: files, bytes of all and of each, seconds."""

    files: int = 100_000
    total_bytes: int = 128 << 20
    file_bytes: int = 1 << 20
    time_s: float = 8.0


@dataclass(slots=True)
class Search:
    """What was found: `places` as `path:line`, or `path` where the name alone tells.

    `cut_short` says why not everything was looked at; it is empty where everything was.
    """

    places: list[str] = field(default_factory=list)
    files: int = 0
    partly: int = 0
    cut_short: str = ""


def search(root: str, paths: Sequence[str], bounds: Bounds) -> Search:
    """Looks at the files under `root`, in this order; follows no link, and waits for no pipe."""
    done, left = Search(), bounds.total_bytes
    deadline = time.monotonic() + bounds.time_s
    real_root = os.path.realpath(root)
    for path in paths:
        done.cut_short = _reached(bounds, done, left, deadline)
        if done.cut_short:
            break
        done.files += 1
        if _is_telling(os.path.basename(path)):
            done.places.append(path)
        content = _content(real_root, path, bounds.file_bytes)
        left -= len(content)
        done.partly += len(content) > bounds.file_bytes
        done.places += [f"{path}:{line}" for line in sorted(set(_lines(content)))]
    return done


def _reached(bounds: Bounds, done: Search, left: int, deadline: float) -> str:
    if done.files >= bounds.files:
        return f"after {bounds.files:,} files"
    if left <= 0:
        return f"after {bounds.total_bytes >> 20} MiB"
    return f"after {bounds.time_s:g} s" if time.monotonic() > deadline else ""


def _is_telling(name: str) -> bool:
    return name in _NAMES or name.lower().endswith(_SUFFIXES)


def _content(root: str, path: str, limit_bytes: int) -> bytes:
    place = os.path.join(root, os.path.dirname(path))
    if os.path.realpath(place) != os.path.normpath(place):
        return b""  # a directory was replaced by a link: what it leads to is not tracked
    content = read_head(os.path.join(root, path), limit_bytes + 1)
    return b"" if b"\0" in content[:_BINARY_BYTES] else content


def _lines(content: bytes) -> Iterator[int]:
    for key in keys_in(content):
        if key.word not in _NOT_TOLD and not content[: key.end].endswith(_EXAMPLE):
            yield content.count(b"\n", 0, key.start) + 1
    for found in _PUTTY.finditer(content):
        yield content.count(b"\n", 0, found.start()) + 1
