"""Lists the processes of this machine with their parents and start times: from /proc, or else from `ps`.

Standard library only and few imports: the supervisor uses it too.
"""

from __future__ import annotations

import os

_PLACES = "/bin:/usr/bin"

Table = dict[int, tuple[int, int]]
"""Maps a process id to its parent's and its start time (clock ticks after boot; from `ps`: epoch seconds)."""


def table() -> Table:
    """Returns every process that is not a zombie; the list is only as fresh as the moment it was read."""
    return from_proc() if has_proc() else from_ps()


def has_proc() -> bool:
    """Returns whether this system shows its processes in /proc as Linux does."""
    return os.path.exists("/proc/self/stat")


def from_proc() -> Table:
    """Returns the table as Linux shows it in /proc."""
    found: Table = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (facts := _stat(name)) is not None:
            found[int(name)] = facts
    return found


def from_ps() -> Table:
    """Returns the table as `ps` prints it: macOS, and systems without /proc. Empty when there is no `ps`."""
    return parse_ps(_run_ps("-A", "-o", "stat=,pid=,ppid=,lstart="))


def parse_ps(printed: str) -> Table:
    """Returns the table in lines of `stat pid ppid lstart`, the last being five words in the C locale."""
    import time  # only here: needed where there is no /proc

    found: Table = {}
    for line in printed.splitlines():
        words = line.split()
        if len(words) == 8 and not words[0].startswith("Z"):
            started = time.mktime(time.strptime(" ".join(words[3:])))
            found[int(words[1])] = (int(words[2]), int(started))
    return found


def look_up(pid: int) -> tuple[int, int] | None:
    """Returns parent and start time of one process, None when it is gone or a zombie."""
    if has_proc():
        return _stat(str(pid))
    return from_ps().get(pid)


def start_time(pid: int) -> int:
    """Returns when a process started; 0 if it is gone."""
    found = look_up(pid)
    return found[1] if found else 0


def descendants(root: int, processes: Table) -> dict[int, int]:
    """Returns the ids and start times of everything below `root`, without `root`."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    found: dict[int, int] = {}
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found and pid != root:
                found[pid] = processes[pid][1]
                waiting.append(pid)
    return found


def environments() -> str:
    """Returns `pid command and environment` lines of this user's processes; empty when there is no `ps`."""
    return _run_ps("-E", "-x", "-ww", "-o", "pid=,command=")


def _stat(name: str) -> tuple[int, int] | None:
    try:
        with open(f"/proc/{name}/stat", "rb") as file:
            words = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # A first thread that ended looks like a zombie while other threads (words[17] counts them) still run.
    if len(words) < 20 or (words[0] in b"ZX" and words[17] in (b"0", b"1")):
        return None
    return int(words[1]), int(words[19])


def _run_ps(*arguments: str) -> str:
    import subprocess  # 9 ms, and only where there is no /proc

    try:
        done = subprocess.run(
            ["ps", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "") + ":" + _PLACES},
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")
