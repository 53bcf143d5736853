"""The child's side of a supervised start: held on a pipe until its existence is recorded, then the program.

Runs in a freshly forked process and ends in an exec or an exit; standard library only, few imports.
"""

from __future__ import annotations

import errno
import os

from orchestrator.process.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
_CPU_WARNING_S = 5  # between SIGXCPU, which a program may handle, and SIGKILL
_IGNORED_BY_PYTHON = (13, 25)  # SIGPIPE and SIGXFSZ, the same numbers on Linux and macOS


def become(request: Request, gate: int, outcome: int, libc: ctypes.CDLL | None) -> None:
    """Waits for one byte on `gate` and turns into the program; what goes wrong is written to `outcome`.

    The end of `gate` (whoever held it has died) ends this process without having run anything. Never returns.
    """
    try:
        os.setsid()
        _restore_signals(libc)
        if os.read(gate, 1):
            _become_program(request)
    except OSError as error:
        os.write(outcome, _sentence(error))
    except MemoryError:
        os.write(outcome, b"its memory limit is too small to start anything")
    finally:
        os._exit(127)


def die_with_parent(libc: ctypes.CDLL, parent: int) -> None:
    """Asks Linux to kill this process when its parent dies; ends it if that happened before the call."""
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(127)


def _become_program(request: Request) -> None:
    os.chdir(request.cwd)
    files = candidates(request.argv[0], request.environment.get(b"PATH", os.defpath.encode()))
    if any(request.limits):
        _limit(request.limits)
    denied: OSError | None = None
    for file in files:
        try:
            os.execve(file, request.argv, request.environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            denied = error
    raise denied or FileNotFoundError(errno.ENOENT, "No such program", request.argv[0])


def candidates(program: bytes, path: bytes) -> list[bytes]:
    """Returns the files that `program` may mean, in order; relative entries of PATH are not looked at.

    A relative entry would name files in the tree an agent works in, which anybody may have put there.
    """
    if b"/" in program:
        return [program]
    return [os.path.join(entry, program) for entry in path.split(b":") if entry.startswith(b"/")]


def _limit(limits: tuple[int, int, int, int]) -> None:
    import resource

    memory, cpu, processes, file_bytes = limits
    wanted = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_NPROC: processes and processes + _tasks_of_this_user(),
        resource.RLIMIT_FSIZE: file_bytes,
    }
    for kind, value in wanted.items():
        if value:
            ceiling = value + _CPU_WARNING_S if kind == resource.RLIMIT_CPU else value
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY:
                value, ceiling = min(value, hard), min(ceiling, hard)
            resource.setrlimit(kind, (value, ceiling))


def _tasks_of_this_user() -> int:
    """Returns how many tasks the kernel counts already: its limit is per user, ours is meant per program."""
    count = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc/self/task") else ():
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue  # it ended meanwhile
    return count


def _restore_signals(libc: ctypes.CDLL | None) -> None:
    # Python ignores these two, and an exec would pass that on: `yes | head` would never end.
    if libc is not None:
        for number in _IGNORED_BY_PYTHON:
            libc.signal(number, None)
        return
    import signal  # imports enum, 4 ms: only where ctypes does not work

    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)


def _sentence(error: OSError) -> bytes:
    name = error.filename if isinstance(error.filename, bytes) else b""
    return (error.strerror or str(error)).encode() + (b": " + name if name else b"")
