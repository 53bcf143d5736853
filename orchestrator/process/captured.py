"""Runs short helper programs and returns what they print."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from orchestrator.errors import Failed
from orchestrator.process import pipes
from orchestrator.process.asked import Captured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def run_captured(
    argv: Sequence[str | bytes],
    *,
    cwd: str | os.PathLike[str],
    environment: Mapping[str, str],
    input: bytes = b"",
    timeout_s: float,
    on_output: Callable[[bytes], None] | None = None,
) -> Captured:
    """Runs a short helper program in a session of its own and returns what it printed.

    Ctrl-C on the terminal does not reach it, and it can ask nothing there. It is not supervised: what it
    leaves running in the background stays, and a pipe held open by such an orphan is not waited for. With
    `on_output` its stdout goes there in pieces as it comes, and is not returned.

    Raises:
        Failed: `not-started`, the program or the directory is missing or not usable; `timed-out`, it ran
            longer than `timeout_s` and was killed with its process group.
    """
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.PIPE if input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
    except (OSError, ValueError) as error:
        raise _not_started(argv[0], error) from error
    return _collect(process, argv, input, timeout_s, on_output)


def _collect(
    process: subprocess.Popen[bytes],
    argv: Sequence[str | bytes],
    input: bytes,
    timeout_s: float,
    on_output: Callable[[bytes], None] | None,
) -> Captured:
    try:
        outputs = pipes.converse(process, input, time.monotonic() + timeout_s, on_output)
    except BaseException:
        _kill_group(process)
        raise
    finally:
        pipes.close(process)
    if outputs is None:
        _kill_group(process)
        raise Failed(
            f"{_shown(argv)} took longer than {timeout_s:g} s and was stopped.",
            code="timed-out",
            hint="Run it by hand to see what it waits for.",
        )
    return Captured(process.wait(), *outputs)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return  # reaped: the number may belong to somebody else by now
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.wait()


def _not_started(program: str | bytes, error: OSError | ValueError) -> Failed:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, OSError) and error.filename not in (None, program):
        reason = f"{reason}: {os.fsdecode(error.filename)}"
    return Failed(
        f"{os.fsdecode(program)} could not be started: {reason[:1].lower() + reason[1:]}.",
        code="not-started",
        hint=f"Check that it is installed: command -v {os.path.basename(os.fsdecode(program))}",
    )


def _shown(argv: Sequence[str | bytes]) -> str:
    return " ".join(os.fsdecode(word) for word in argv[:3])
