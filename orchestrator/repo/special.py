"""Finds what stands in a tree and holds no content that git could keep: FIFOs, sockets, devices."""

from __future__ import annotations

import os
from pathlib import Path

MOST_ENTRIES = 200_000
"""Larger trees are looked through only so far: the names are for a message, nothing is lost by not naming them."""


def special_files(root: Path, *, most: int = MOST_ENTRIES) -> tuple[bytes, ...]:
    """Returns the paths of special files below `root`, relative to it; git directories and links are not entered."""
    found: list[bytes] = []
    pending = [b""]
    seen = 0
    top = os.fsencode(root)
    while pending and seen < most:
        directory = pending.pop()
        try:
            entries = list(os.scandir(os.path.join(top, directory)))
        except OSError:
            continue
        seen += len(entries)
        for entry in entries:
            path = os.path.join(directory, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name != b".git":
                    pending.append(path)
            elif not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                found.append(path)
    return tuple(sorted(found))
