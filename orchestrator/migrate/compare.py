"""Compares an old place with a new one that both exist, down to where they agree, differ, or one is free."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Literal

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Pair:
    """One old path and its new one, relative to the compared tops ("" is the tops themselves).

    `free`: nothing but perhaps an empty directory is at the new place. `same`: equal in kind and content.
    `different`: both hold something else. `emptied`: a directory whose content is listed before it and which
    is to be put away when that has been dealt with.
    """

    path: str
    verdict: Literal["free", "same", "different", "emptied"]


def pairs(old: str, new: str) -> tuple[Pair, ...]:
    """Returns what to do about each part of `old`, those of a directory before it; follows no link."""
    return tuple(_pairs(old, new, ""))


def is_empty_directory(path: str) -> bool:
    """Returns whether a real directory without any entry stands at `path`."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            return False
        with os.scandir(path) as entries:
            return next(iter(entries), None) is None
    except OSError:
        return False


def same_tree(old: str, new: str) -> bool:
    """Returns whether two paths hold the same kinds, names and contents."""
    return [pair.verdict for pair in pairs(old, new)] == ["same"]


def _pairs(old: str, new: str, path: str) -> list[Pair]:
    here, there = os.path.join(old, path) if path else old, os.path.join(new, path) if path else new
    if not os.path.lexists(there):
        return [Pair(path, "free")]
    if _is_directory(here) and _is_directory(there):
        return _directories(old, new, path, here, there)
    return [Pair(path, "same" if _same(here, there) else "different")]


def _directories(old: str, new: str, path: str, here: str, there: str) -> list[Pair]:
    try:
        mine, theirs = sorted(os.listdir(here)), set(os.listdir(there))
    except OSError:
        return [Pair(path, "different")]
    if not theirs and mine:
        return [Pair(path, "free")]
    below = [pair for name in mine for pair in _pairs(old, new, os.path.join(path, name))]
    if set(mine) == theirs and all(pair.verdict == "same" for pair in below):
        return [Pair(path, "same")]
    return [*below, Pair(path, "emptied")]


def _same(here: str, there: str) -> bool:
    try:
        a, b = os.lstat(here), os.lstat(there)
        if stat.S_IFMT(a.st_mode) != stat.S_IFMT(b.st_mode):
            return False
        if stat.S_ISLNK(a.st_mode):
            return os.readlink(here) == os.readlink(there)
        return stat.S_ISREG(a.st_mode) and a.st_size == b.st_size and digest(here) == digest(there)
    except OSError:
        return False


def digest(path: str) -> str:
    """Returns the SHA-256 of a regular file in hexadecimal; raises OSError."""
    whole = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            whole.update(chunk)
    finally:
        os.close(descriptor)
    return whole.hexdigest()


def _is_directory(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)
