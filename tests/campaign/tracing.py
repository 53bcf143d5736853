"""Runs the command under strace: finds the calls that change something, and breaks it at one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.campaign.scene import Scene

NAMES = ("rename", "unlink", "unlinkat", "mkdir", "rmdir", "fsync", "fdatasync", "chmod", "link")
"""Calls that change which files there are, or make that durable."""

ALL = (
    *NAMES,
    *(
        "renameat",
        "renameat2",
        "mkdirat",
        "linkat",
        "symlink",
        "symlinkat",
        "fchmod",
        "fchmodat",
        "utimensat",
    ),
    *("write", "pwrite64", "ftruncate", "truncate", "sendfile", "copy_file_range", "fallocate", "setxattr"),
)
"""Calls that change anything, contents too."""

Point = tuple[str, int]
"""The name of a call, and its ordinal among the calls of that name in its task: as strace counts."""


def traced(
    scene: Scene, words: Sequence[str], log: Path, *rule: str, calls: Sequence[str] = NAMES
) -> subprocess.CompletedProcess[str]:
    """Runs the command under strace, with a fault injected when a rule is given."""
    trace = ["-y", "-e", "trace=" + ",".join(f"?{name}" for name in calls)]
    return subprocess.run(
        ["strace", "-f", "-q", "-o", str(log), *trace, *rule, *scene.words(*words)],
        cwd=scene.place,
        env=scene.environment(),
        capture_output=True,
        text=True,
    )


def broken(
    scene: Scene, words: Sequence[str], log: Path, point: Point, fault: str, calls: Sequence[str] = NAMES
) -> subprocess.CompletedProcess[str]:
    """Runs the command and injects a fault (`signal=SIGKILL`, `error=EIO`, ...) at one point."""
    name, ordinal = point
    return traced(scene, words, log, "-e", f"inject={name}:{fault}:when={ordinal}", calls=calls)


def points(log: Path, *, below: Path, calls: Sequence[str] = NAMES) -> list[Point]:
    """Returns every point of a trace that is about files below a directory, in the order of the trace.

    A path that is relative to where the command or its child worked counts too.
    """
    count: dict[tuple[str, str], int] = {}
    found: dict[Point, None] = {}
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+)\s+(\w+)\(", line)
        if match and match[2] in calls:
            key = (match[1], match[2])
            count[key] = count.get(key, 0) + 1
            if str(below) in line or re.match(r'\d+\s+\w+\("[^/]', line):
                found[match[2], count[key]] = None
    return list(found)
