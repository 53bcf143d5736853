"""Finds the files of a tree that a power cut emptied: written shortly before, and never on the disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orchestrator.model.ids import ObjectId
from orchestrator.repo.repository import Repository

_BLOCK_BYTES = 1 << 16


def emptied(repository: Repository, place: Path, known: ObjectId) -> tuple[bytes, ...]:
    """Returns files of `place` that hold nothing, or only zero bytes, but something in the tree `known`.

    Nothing behind a link is looked at.
    """
    root, found = os.fsencode(os.path.realpath(place)), []
    for item in repository.git.zsplit("ls-tree", "-r", "-l", "-z", known):
        facts, _, path = item.partition(b"\t")
        mode, _, _, size = facts.split()
        if mode.startswith(b"100") and size != b"0" and _holds_nothing(root, path):
            found.append(path)
    return tuple(found)


def _holds_nothing(root: bytes, path: bytes) -> bool:
    whole = os.path.join(root, path)
    if os.path.realpath(os.path.dirname(whole)) != os.path.dirname(whole):
        return False
    try:
        if not stat.S_ISREG(os.lstat(whole).st_mode):
            return False
        descriptor = os.open(whole, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    with open(descriptor, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            if block.strip(b"\0"):
                return False
    return True
