"""Feeds a child and reads what it prints without being held up by an orphan that keeps the pipe open."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import subprocess
import time
from collections.abc import Callable

_TICK_S = 0.05
_GRACE_S = 0.2
_CHUNK_BYTES = 1 << 16


def converse(
    process: subprocess.Popen[bytes],
    input: bytes,
    deadline: float,
    on_output: Callable[[bytes], None] | None = None,
) -> tuple[bytes, bytes] | None:
    """Returns all of stdout and stderr once the child has ended; None when `deadline` (monotonic) came first.

    The pipes are read to their end, or until the child has ended and nothing came for 0.2 s: then somebody
    else holds them open. The child may be reaped by this. With `on_output` stdout goes there in pieces, and
    what is returned of it is empty.
    """
    outputs: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    receivers = {name: pieces.append for name, pieces in outputs.items()}
    if on_output is not None:
        receivers["stdout"] = on_output
    rest = memoryview(input)
    silent_since = time.monotonic()
    with selectors.DefaultSelector() as selector:
        _register(selector, process)
        while selector.get_map():
            if time.monotonic() > deadline:
                break
            ready = selector.select(min(_TICK_S, max(0.0, deadline - time.monotonic())))
            if ready:
                silent_since = time.monotonic()
            elif process.poll() is not None and time.monotonic() - silent_since > _GRACE_S:
                break
            for key, _ in ready:
                if key.data == "stdin":
                    rest = _feed(selector, key, rest)
                else:
                    _drain(selector, key, receivers[key.data])
    if not _ended(process, deadline):
        return None
    return b"".join(outputs["stdout"]), b"".join(outputs["stderr"])


def close(process: subprocess.Popen[bytes]) -> None:
    """Closes our ends of the child's pipes."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _register(selector: selectors.BaseSelector, process: subprocess.Popen[bytes]) -> None:
    for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr")):
        if stream is not None:
            selector.register(stream, selectors.EVENT_READ, name)
    if process.stdin is not None:
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE, "stdin")


def _feed(selector: selectors.BaseSelector, key: selectors.SelectorKey, rest: memoryview) -> memoryview:
    try:
        rest = rest[os.write(key.fd, rest[:_CHUNK_BYTES]) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        rest = rest[:0]  # the child does not want more
    if not rest:
        selector.unregister(key.fileobj)
        _close(key.fileobj)
    return rest


def _close(stream: object) -> None:
    if hasattr(stream, "close"):
        stream.close()


def _drain(
    selector: selectors.BaseSelector, key: selectors.SelectorKey, receive: Callable[[bytes], None]
) -> None:
    chunk = os.read(key.fd, _CHUNK_BYTES)
    if chunk:
        receive(chunk)
    else:
        selector.unregister(key.fileobj)


def _ended(process: subprocess.Popen[bytes], deadline: float) -> bool:
    _sleep_until_exit(process, deadline)
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _sleep_until_exit(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Sleeps until the child ends: `Popen.wait` with a limit looks every 0.5 ms and more (CPython 3.11).

    Only Linux says so; elsewhere, and where it must not be asked (seccomp), `Popen.wait` does it alone.
    """
    if process.returncode is not None or not hasattr(os, "pidfd_open"):
        return
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(process.pid)
        try:
            watch = select.poll()
            watch.register(descriptor, select.POLLIN)
            watch.poll(max(0.0, deadline - time.monotonic()) * 1e3)
        finally:
            os.close(descriptor)
