"""Runs a program on the user's own terminal: the pager."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.errors import Failed


def feed(argv: Sequence[str], data: bytes, *, environment: Mapping[str, str]) -> int:
    """Runs a program with the terminal as its output and `data` as its input; returns its exit status.

    It shares our session, so that it can read keys; Ctrl-C is its own while it runs. That it ends before it
    has read everything is no error.

    Raises:
        Failed: `not-started`, it is missing or not usable; nothing was printed.
    """
    try:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, env=dict(environment))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Failed(
            f"{argv[0]} could not be started: {reason}.",
            code="not-started",
            hint=f"Check that it is installed: command -v {argv[0]}",
        ) from error
    with _interrupts_ignored():
        process.communicate(data)
    return process.returncode


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: Ctrl-C does not arrive here anyway
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
