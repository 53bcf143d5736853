"""Asks a helper program something and returns what it prints. Cheap to import, for the front door.

`subprocess` is left out, because its import costs more than the question. `captured.run_captured` can do
more: input, a directory to start in, an environment of bytes.
"""

from __future__ import annotations

import os
import time

from orchestrator.errors import Failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PASSED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", "TZ", "SYSTEMROOT"}
)
_CHUNK_BYTES = 1 << 16
_GRACE_MS = 200
_SIGKILL = 9
_RESTORED = (13, 25)
"""SIGPIPE and SIGXFSZ, which Python ignores; `signal` would name them, and imports enum."""


class Captured:
    """What a helper program printed; `status` is its exit status, negative for the signal that ended it."""

    __slots__ = ("status", "stderr", "stdout")

    def __init__(self, status: int, stdout: bytes, stderr: bytes) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr


def minimal_environment(extra: Mapping[str, str], *, passed: tuple[str, ...] = ()) -> dict[str, str]:
    """Returns the environment for a child: what any program needs, what is `passed` by name, and `extra`.

    Nothing else of the caller's environment gets in; `extra` wins.
    """
    wanted = _PASSED.union(passed)
    kept = {name: value for name, value in os.environ.items() if name in wanted or name.startswith("LC_")}
    return {**kept, **extra}


def ask_program(argv: Sequence[str], *, environment: Mapping[str, str], timeout_s: float) -> Captured:
    """Runs a program that is on PATH, in a process group of its own, and returns what it printed.

    It starts where the caller is and reads an empty file. Relative entries of PATH are left out: they would
    let a directory supply the program.

    Raises:
        Failed: `not-started`, it is missing or not usable; `timed-out`, it ran longer than `timeout_s` and
            was killed with its process group.
    """
    program = _found(argv[0], environment.get("PATH", os.defpath))
    out, out_child = os.pipe()
    err, err_child = os.pipe()
    try:
        actions = (
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out_child, 1),
            (os.POSIX_SPAWN_DUP2, err_child, 2),
        )
        pid = os.posix_spawn(
            program, tuple(argv), environment, file_actions=actions, setpgroup=0, setsigdef=_RESTORED
        )
    except OSError as error:
        os.close(out)
        os.close(err)
        raise _not_started(argv[0], error.strerror or str(error)) from error
    finally:
        os.close(out_child)
        os.close(err_child)
    return _collect(pid, argv, out, err, timeout_s)


def _found(program: str, path: str) -> str:
    for directory in path.split(os.pathsep):
        place = os.path.join(directory, program)
        if os.path.isabs(directory) and os.path.isfile(place) and os.access(place, os.X_OK):
            return place
    raise _not_started(program, "no such file or directory")


def _collect(pid: int, argv: Sequence[str], out: int, err: int, timeout_s: float) -> Captured:
    parts: dict[int, list[bytes]] = {out: [], err: []}
    try:
        status = _converse(pid, parts, time.monotonic() + timeout_s)
    except BaseException:
        _kill(pid)
        raise
    finally:
        os.close(out)
        os.close(err)
    if status is None:
        _kill(pid)
        raise Failed(
            f"{' '.join(argv[:3])} took longer than {timeout_s:g} s and was stopped.",
            code="timed-out",
            hint="Run it by hand to see what it waits for.",
        )
    return Captured(status, b"".join(parts[out]), b"".join(parts[err]))


def _converse(pid: int, parts: dict[int, list[bytes]], deadline: float) -> int | None:
    """Returns the exit status once the child has ended and said everything; None when time ran out.

    A pipe that something else holds open is not waited for once the child has ended.
    """
    import select

    poll = select.poll()
    for pipe in parts:
        poll.register(pipe, select.POLLIN)
    left, status = len(parts), None
    while left and time.monotonic() < deadline:
        ready = poll.poll(_GRACE_MS)
        for pipe, _ in ready:
            chunk = os.read(pipe, _CHUNK_BYTES)
            parts[pipe].append(chunk)
            if not chunk:
                poll.unregister(pipe)
                left -= 1
        if not ready:
            if status is not None:
                break
            status = _ended(pid)
    return status if status is not None else _ended_by(pid, deadline)


def _ended_by(pid: int, deadline: float) -> int | None:
    """Waits for a child that has closed its output: it ends in an instant, or hardly ever."""
    while True:
        status = _ended(pid)
        if status is not None or time.monotonic() > deadline:
            return status
        time.sleep(0.0002)


def _ended(pid: int) -> int | None:
    done, code = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(code) if done else None


def _kill(pid: int) -> None:
    try:
        if _ended(pid) is None:
            os.killpg(pid, _SIGKILL)
            os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return  # it was waited for: the number may belong to somebody else by now


def _not_started(program: str, reason: str) -> Failed:
    return Failed(
        f"{program} could not be started: {reason[:1].lower() + reason[1:]}.",
        code="not-started",
        hint=f"Check that it is installed: command -v {program}",
    )
