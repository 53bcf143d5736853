"""The small program between us and every agent: starts it, watches it, and leaves nothing of it behind.

Started as `python -I -S`; standard library only. It is the parent of all the agent leaves behind (Linux:
sub-reaper), dies together with it when its owner is gone, and needs nothing on the disk.

Control pipe, from the owner: the request (request.py), then the words `go`, and `idle` or `cancelled` to
stop; its end means that the owner died. Report pipe, to the owner, one line each: `started PID START_TIME`,
`failed REASON`, `ended CAUSE WAIT_STATUS CPU_S WALL_S PEAK_BYTES LEFT_OVER UNKILLED`.
"""

from __future__ import annotations

import os
import select
import sys
import time

from orchestrator.process import child, proctable
from orchestrator.process.request import Request, receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable

_PR_SET_CHILD_SUBREAPER = 36
_SIGTERM = 15
_SIGKILL = 9
_GRACE_S = 5.0
_SWEEP_S = 10.0
_STEP_S = 0.005
_HOUSEKEEPING_S = 1.0
_TICK_S = 0.05
_LOOK_S = 5.0
_STOPS = ("idle", "cancelled")
_POLITE = ("deadline", *_STOPS)


def main(control: int, report: int) -> None:
    """Serves one request and returns when nothing of it is running any more."""
    for pipe in (control, report):
        os.set_inheritable(pipe, False)
    request = receive(control)
    if request is not None:
        Supervisor(request, control, report, _libc()).serve()


class Supervisor:
    """One supervised program, from the fork to the last of its orphans."""

    def __init__(self, request: Request, control: int, report: int, libc: ctypes.CDLL | None) -> None:
        self._request = request
        self._control = control
        self._report = report
        self._libc = libc
        self._is_subreaper = _become_subreaper(libc)
        self._pid = 0
        self._status: int | None = None
        self._cpu_s = 0.0
        self._peak = 0
        self._known: dict[int, int] = {}
        self._looked = 0.0
        self._killed: set[int] = set()

    def serve(self) -> None:
        """Holds the child until the owner says `go`, watches it, ends everything, and reports."""
        gate, outcome = self._hold()
        self._say(f"started {self._pid} {proctable.start_time(self._pid)}")
        cause = self._await_go()
        began = time.monotonic()
        if not cause:
            failure = _open_gate(gate, outcome)
            if failure:
                self._say("failed " + failure)
            cause = self._watch(began)
        wall_s = time.monotonic() - began
        self._end(cause)
        unkilled = self._sweep()
        status = self._status if self._status is not None else _SIGKILL
        numbers = f"{status} {self._cpu_s:.6f} {wall_s:.6f} {self._peak} {len(self._killed)} {unkilled}"
        self._say(f"ended {cause} {numbers}")

    def _hold(self) -> tuple[int, int]:
        gate_end, gate = os.pipe()
        outcome, outcome_end = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(gate)
            if self._libc is not None and sys.platform == "linux":
                child.die_with_parent(self._libc, parent)
            child.become(self._request, gate_end, outcome_end, self._libc)
        os.close(gate_end)
        os.close(outcome_end)
        _let_go_of_streams()
        return gate, outcome

    def _await_go(self) -> str:
        """Returns why not to start, or nothing when the owner said `go`."""
        word = self._hear()
        return "" if word == "go" else word

    def _watch(self, began: float) -> str:
        """Returns why it is over: `exited`, `deadline`, `owner-gone`, or the word of the owner."""
        deadline = began + self._request.timeout_s if self._request.timeout_s else None
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        handle = _pidfd(self._pid)
        if handle >= 0:
            poller.register(handle, select.POLLIN)
        while not self._has_ended():
            rest_s = _HOUSEKEEPING_S if handle >= 0 else _TICK_S
            if deadline is not None:
                rest_s = min(rest_s, max(0.0, deadline - time.monotonic()))
            if any(descriptor == self._control for descriptor, _ in poller.poll(rest_s * 1000 + 1)):
                word = self._hear()
                if word != "go":
                    return word
            if deadline is not None and time.monotonic() >= deadline and not self._has_ended():
                return "deadline"
            self._remember(_LOOK_S)
        return "exited"

    def _hear(self) -> str:
        words = os.read(self._control, 4096).decode().split()
        if not words:
            return "owner-gone"
        return next((word for word in words if word in _STOPS), words[-1])

    def _has_ended(self) -> bool:
        """Reaps adopted orphans; True once the child itself has ended, which stays unreaped where possible.

        While it is unreaped its number, and with it the process group, cannot belong to anybody else.
        """
        if self._status is not None:
            return True
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            self._reap(self._pid)
            return self._status is not None
        while True:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid == self._pid:
                return found is not None
            self._reap(found.si_pid)

    def _reap(self, which: int) -> bool:
        """Returns whether a process was reaped; adds what it consumed."""
        try:
            pid, status, used = os.wait4(which, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return False
        self._cpu_s += used.ru_utime + used.ru_stime
        self._peak = max(self._peak, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
        if pid == self._pid:
            self._status = status
        return True

    def _end(self, cause: str) -> None:
        """Ends the child's group: politely if there is time, which there is not once the owner is gone."""
        if cause in _POLITE:
            self._remember(0.0)
            self._signal_group(_SIGTERM)
            limit = time.monotonic() + _GRACE_S
            while not self._has_ended() and time.monotonic() < limit and not self._owner_is_gone():
                pass
        self._killed.update(self._others())
        self._signal_group(_SIGKILL)

    def _owner_is_gone(self) -> bool:
        """Waits a moment for the owner's last word or its death; True after the latter."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        return bool(poller.poll(_STEP_S * 1000)) and not os.read(self._control, 4096)

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            if self._status is None:  # killed between its fork and its setsid
                os.kill(self._pid, number)
        except PermissionError:
            return  # macOS: nothing but the zombie is left; anywhere: only another user's processes are

    def _sweep(self) -> int:
        """Kills and reaps until nothing is left; returns how many could not be killed (another user's)."""
        limit = time.monotonic() + _SWEEP_S
        while True:
            while self._reap(-1):
                pass
            others = self._others()
            if self._status is not None and not others:
                return 0
            if time.monotonic() > limit:
                return len(others) + (self._status is None)
            self._killed.update(others)
            for pid in others:
                _kill(pid)
            time.sleep(_STEP_S)

    def _others(self) -> dict[int, int]:
        """Returns the living processes that came from the child, without the child itself."""
        if self._is_subreaper and self._has_no_orphans():
            return {}
        processes = proctable.table()
        # Without a sub-reaper nothing that the child left becomes ours; only the child and a `ps` are.
        found = proctable.descendants(os.getpid() if self._is_subreaper else self._pid, processes)
        found.update(
            {pid: born for pid, born in self._known.items() if processes.get(pid, (0, 0))[1] == born}
        )
        found.pop(self._pid, None)
        return found

    def _has_no_orphans(self) -> bool:
        """True when the kernel says at once that the ended child left nobody: the usual case, without a scan.

        What the child leaves becomes a child of ours the moment it ends.
        """
        if not self._has_ended():
            return False
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                return set(file.read().split()) <= {str(self._pid)}
        except OSError:
            return False  # a kernel built without it

    def _remember(self, every_s: float) -> None:
        """Without a sub-reaper, orphans can be found again only if they were seen as descendants once."""
        if self._is_subreaper or time.monotonic() - self._looked < every_s:
            return
        self._looked = time.monotonic()
        self._known.update(proctable.descendants(self._pid, proctable.table()))

    def _say(self, line: str) -> None:
        try:
            os.write(self._report, line.encode("utf-8", "replace") + b"\n")
        except BrokenPipeError:
            return  # nobody is left to be told; the sweep goes on


def _open_gate(gate: int, outcome: int) -> str:
    """Lets the child go on; returns why it could not become the program, or nothing once it has."""
    try:
        os.write(gate, b"g")
    except BrokenPipeError:
        return "it was killed before it could start"
    os.close(gate)
    reason = b""
    while chunk := os.read(outcome, 4096):
        reason += chunk
    os.close(outcome)
    return reason.decode("utf-8", "replace").replace("\n", " ")


def _let_go_of_streams() -> None:
    # They are the child's now: as long as we kept them, a reader would wait for us.
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, _SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # gone meanwhile, or another user's: counted when the time for the sweep is over


def _pidfd(pid: int) -> int:
    """Returns a descriptor that becomes readable when the process ends; -1 where there is none."""
    open_pidfd: Callable[[int], int] | None = getattr(os, "pidfd_open", None)
    try:
        return open_pidfd(pid) if open_pidfd else -1
    except OSError:
        return -1  # an old kernel, or a sandbox that forbids it


def _become_subreaper(libc: ctypes.CDLL | None) -> bool:
    """Returns whether orphans below this process become its children (Linux, unless a sandbox forbids it)."""
    if sys.platform == "linux" and libc is not None:
        return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    return False


def _libc() -> ctypes.CDLL | None:
    try:
        import ctypes

        return ctypes.CDLL(None)
    except (ImportError, OSError):
        return None  # a Python without it: no sub-reaper, no death with the parent
