"""Remembers where this `.orchestrator/` lives, so that a moved or copied repository is noticed."""

from __future__ import annotations

import json
import os

from orchestrator.fs.disk import Disk
from orchestrator.paths import OrchestratorPaths, names


def notice_place(paths: OrchestratorPaths, disk: Disk, git_dir_identity: tuple[int, int]) -> tuple[str, ...]:
    """Returns a sentence when the repository was copied since the last time, and remembers where it is now.

    The identity of the git directory (device, inode) tells a copy from a move: a moved one keeps it.
    Processes and trees of the original are never touched, because their markers carry that identity.
    """
    home = os.fspath(paths.base_dir)
    now = {"path": home, "git_dir": list(git_dir_identity)}
    place = paths.orchestrator_dir / names.PLACE
    before = _read(os.fspath(place))
    if before == now:
        return ()
    disk.write(place, (json.dumps(now) + "\n").encode("utf-8", "surrogateescape"))
    if before is None or before.get("git_dir") == now["git_dir"]:
        return ()
    original = before.get("path")
    return (f"This is a copy of {original}: its runs are copies too, and go on here without touching those.",)


def _read(path: str) -> dict[str, object] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            document = json.loads(os.read(descriptor, 65536))
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
