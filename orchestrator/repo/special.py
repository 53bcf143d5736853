"""Finds what stands in a tree and holds no content that git could keep: FIFOs, sockets, devices."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def special_files(root: Path, changed: Iterable[bytes]) -> tuple[bytes, ...]:
    """Returns the special files at the top of `root` and beside the `changed` paths, relative to `root`.

    Looking everywhere would cost as much as the whole snapshot, and only a message depends on it: such files
    hold no bytes that could be lost.
    """
    top = os.fsencode(root)
    directories = {b""}
    for path in changed:
        parent = os.path.dirname(path)
        while parent not in directories:
            directories.add(parent)
            parent = os.path.dirname(parent)
    found: list[bytes] = []
    for directory in directories:
        found += _specials(top, directory)
    return tuple(sorted(found))


def _specials(top: bytes, directory: bytes) -> list[bytes]:
    try:
        with os.scandir(os.path.join(top, directory)) as entries:
            return [os.path.join(directory, entry.name) for entry in entries if _is_special(entry)]
    except OSError:
        return []  # replaced by a file, or gone


def _is_special(entry: os.DirEntry[bytes]) -> bool:
    return not (
        entry.is_symlink() or entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
    )
