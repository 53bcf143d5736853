"""Measures what a state tree takes on the disk, run by run, and remembers the sum for `status`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orchestrator.fs.disk import Disk
from orchestrator.paths import OrchestratorPaths, names

PACKED = ".gz"
_CHECKS = ".checks"
_SHARED = frozenset(
    {
        names.SESSIONS,
        names.SECRETS,
        names.INDEX,
        names.AGENTS,
        names.MIGRATIONS,
        names.PROMPTS,
        names.LAYOUTS,
    }
)
"""Names under `.orchestrator/` that are no part of the state outside of sessions."""


@dataclass(slots=True)
class Measured:
    """Bytes of a state tree: trees and outputs by run, and everything else together."""

    trees: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    plain: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    packed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    logs_bytes: int = 0
    packed_logs_bytes: int = 0
    rest_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Returns the sum."""
        logs = self.logs_bytes + self.packed_logs_bytes
        return (
            self.rest_bytes + logs + sum(sum(part.values()) for part in (self.trees, self.plain, self.packed))
        )


def measure(paths: OrchestratorPaths, trees_root: str, runs: Collection[str] = ()) -> Measured:
    """Returns what a state tree takes now, following no link.

    `trees_root` may lie elsewhere, and other states may have trees there: then only those of `runs` count.
    """
    found = Measured()
    _measure_trees(found, trees_root)
    if os.path.dirname(os.path.abspath(trees_root)) != os.path.abspath(paths.state_dir):
        found.trees = defaultdict(int, {name: size for name, size in found.trees.items() if name in runs})
    _measure_outputs(found, os.fspath(paths.artifacts_dir))
    for entry in _entries(os.fspath(paths.state_dir)):
        if entry.name not in _SHARED | {names.ARTIFACTS, names.WORKTREES, names.LOGS}:
            found.rest_bytes += _bytes_of(entry)
    for entry in _entries(os.fspath(paths.logs_dir)):
        if is_rotated(entry.name):
            found.logs_bytes += _size(entry.path)
        elif is_packed_log(entry.name):
            found.packed_logs_bytes += _size(entry.path)
        else:
            found.rest_bytes += _bytes_of(entry)
    return found


def is_rotated(name: str) -> bool:
    """Returns whether a name in `logs/` is that of a log that was rotated."""
    return name.startswith(names.LOG + ".") and name.removeprefix(names.LOG + ".").isdigit()


def is_packed_log(name: str) -> bool:
    """Returns whether a name in `logs/` is that of a log that was rotated, then compressed."""
    return name.startswith(names.LOG + ".") and name.endswith(PACKED)


def _measure_trees(found: Measured, root: str) -> None:
    for entry in _entries(root):
        if entry.name == _CHECKS:
            for inner in _entries(entry.path):
                found.trees[inner.name] += _bytes_of(inner)
        elif entry.name.startswith("."):
            found.rest_bytes += _bytes_of(entry)
        else:
            found.trees[entry.name] += _bytes_of(entry)


def _measure_outputs(found: Measured, root: str) -> None:
    for entry in _entries(root):
        for size_bytes, name in _files(entry.path):
            part = found.packed if name.endswith(PACKED) else found.plain
            part[entry.name] += size_bytes


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _bytes_of(entry: os.DirEntry[str]) -> int:
    if entry.is_dir(follow_symlinks=False):
        return sum(size_bytes for size_bytes, _ in _files(entry.path))
    return _size(entry.path)


def _files(directory: str) -> Iterator[tuple[int, str]]:
    for place, _, files in os.walk(directory):
        for name in files:
            yield _size(os.path.join(place, name)), name


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0  # removed meanwhile


def remember(paths: OrchestratorPaths, disk: Disk, total_bytes: int) -> None:
    """Writes what was measured where `status` finds it."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    disk.write(paths.disk_use_file, f"{total_bytes} {stamp}\n".encode())
