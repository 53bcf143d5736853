"""Finds the session of this boot without reading JSON: standard library alone, for the front door."""

from __future__ import annotations

import os

from orchestrator.paths import is_session_id, names

_LIMIT_BYTES = 4096


def session_names(sessions_dir: str) -> list[str]:
    """Returns the names under `sessions/` that hold an identity or a state of ours; often none."""
    try:
        found = os.listdir(sessions_dir)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in found if is_session_id(name) and _is_session(sessions_dir, name))


def of_this_boot(sessions_dir: str, boot: str, git_dir: tuple[int, int]) -> list[str]:
    """Returns the ids of the sessions that belong to this boot and this very repository."""
    marks = (f'"boot": "{boot}"'.encode(), f'"git_dir": [{git_dir[0]}, {git_dir[1]}]'.encode())
    return [name for name in session_names(sessions_dir) if _has(sessions_dir, name, marks)]


def _is_session(sessions_dir: str, name: str) -> bool:
    place = os.path.join(sessions_dir, name)
    return not os.path.islink(place) and any(
        os.path.isfile(os.path.join(place, file)) for file in (names.IDENTITY, names.STATE)
    )


def _has(sessions_dir: str, name: str, marks: tuple[bytes, ...]) -> bool:
    path = os.path.join(sessions_dir, name, names.IDENTITY)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        text = os.read(descriptor, _LIMIT_BYTES)
    finally:
        os.close(descriptor)
    return all(mark in text for mark in marks)
