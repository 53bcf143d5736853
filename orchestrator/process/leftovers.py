"""Finds and ends processes that outlived their supervisor, by the marker in their environment and start time.

Linux reads /proc, other systems ask `ps`. A program that clears its environment cannot be found this way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.process import proctable
from orchestrator.process.marker import MARKER

_SIGKILL = 9
_END_S = 5.0
_STEP_S = 0.005


@dataclass(frozen=True, slots=True)
class Leftover:
    """A process that carries one of our markers; `start_time` tells it from a later one with its number."""

    pid: int
    start_time: int
    marker: str
    command: str


def find(marker: str, *, exact: bool = False) -> list[Leftover]:
    """Returns this user's processes whose marker begins with (`exact`: is) `marker`, without the caller.

    Supervisors that still run are among them: they carry the marker too.
    """
    source = _from_proc() if proctable.has_proc() else _from_ps(proctable.environments())
    matching = (found for found in source if found.marker == marker or not exact)
    return [found for found in matching if found.marker.startswith(marker) and found.pid != os.getpid()]


def end(leftover: Leftover) -> bool:
    """Kills the process unless its number belongs to another one by now; returns whether it is gone.

    Waits up to 5 s for it to disappear. False when it belongs to another user or will not die.
    """
    limit = time.monotonic() + _END_S
    while _is_alive(leftover):
        try:
            os.kill(leftover.pid, _SIGKILL)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        if time.monotonic() > limit:
            return False
        time.sleep(_STEP_S)
    return True


def end_all(marker: str, *, exact: bool = False) -> list[Leftover]:
    """Ends whatever `find` returns until it returns nothing; returns what would not end."""
    stubborn: set[Leftover] = set()
    while found := [leftover for leftover in find(marker, exact=exact) if leftover not in stubborn]:
        stubborn.update(leftover for leftover in found if not end(leftover))
    return sorted(stubborn, key=lambda leftover: leftover.pid)


def _is_alive(leftover: Leftover) -> bool:
    found = proctable.look_up(leftover.pid)
    return found is not None and found[1] == leftover.start_time


def _from_proc() -> Iterator[Leftover]:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        born = proctable.look_up(int(name))
        marker = _marker(_read(f"/proc/{name}/environ"))
        # Looked at twice: the number must not have changed hands between the two reads.
        if born is not None and marker and proctable.look_up(int(name)) == born:
            command = _read(f"/proc/{name}/cmdline").replace(b"\0", b" ").strip()
            yield Leftover(int(name), born[1], marker, command.decode("utf-8", "replace"))


def _from_ps(printed: str) -> Iterator[Leftover]:
    processes = proctable.table()
    for line in printed.splitlines():
        pid, _, rest = line.strip().partition(" ")
        words = rest.split(" ")
        marker = next((word for word in words if word.startswith(MARKER + "=")), "")
        if marker and pid.isdigit() and int(pid) in processes:
            command = rest.partition(marker)[0].strip()
            yield Leftover(int(pid), processes[int(pid)][1], marker.partition("=")[2], command)


def _marker(environment: bytes) -> str:
    prefix = MARKER.encode() + b"="
    for pair in environment.split(b"\0"):
        if pair.startswith(prefix):
            return pair[len(prefix) :].decode("utf-8", "replace")
    return ""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""  # it ended meanwhile, or belongs to another user
