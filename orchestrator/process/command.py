"""What can be supervised, within which limits, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orchestrator.redaction.redactor import Redactor

Cause = Literal["exited", "deadline", "idle", "cancelled", "not-started"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the kernel refuses a program; None is no limit.

    `memory_mb` is address space, per process; `cpu_s` per process; `processes` is how many tasks may be
    added to those the user has already (not enforced for root); `disk_mb` is the size of one file. Megabytes
    are 2**20.
    """

    memory_mb: int | None = None
    cpu_s: int | None = None
    processes: int | None = None
    disk_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A program to supervise: no shell, exactly this environment, a session of its own.

    `idle_timeout_s` is the longest silence on stdout and stderr together. `log` receives both as they come,
    is made 0600 and appended to; past `max_log_bytes` it keeps its head, and its last line tells how much is
    missing. What the program prints is logged and handed on without the secrets that `redactor` finds in it.
    `marker` is exported as ORCHESTRATOR_EXECUTION, by which `leftovers` finds what a crash left
    running.
    """

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str] = field(repr=False)
    stdin: bytes = b""
    timeout_s: float | None = None
    idle_timeout_s: float | None = None
    log: Path | None = None
    max_log_bytes: int = 50 << 20
    limits: Limits = field(default_factory=Limits)
    marker: str = ""
    redactor: Redactor = field(default_factory=Redactor)


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended; when `supervise` returns this, none of its processes is left (`detail` tells exceptions).

    `exit_status` is None unless it exited by itself; `signal` is the one that ended it, ours included.
    `cpu_s` and `peak_memory_bytes` cover the program and what was reaped below it (peak: of one process, at
    least the supervisor's 9 MB). `left_over` counts the descendants that were still there and were killed.
    """

    exit_status: int | None
    signal: int | None
    cause: Cause
    cpu_s: float
    wall_s: float
    peak_memory_bytes: int
    output_bytes: int
    left_over: int
    detail: str
