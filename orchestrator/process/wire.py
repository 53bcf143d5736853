"""A conversation with a supervised program: what it is sent while it runs, and its answers as they come."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Self

_CHUNK_BYTES = 1 << 16


def ignore(_: bytes) -> None:
    """Takes output that nobody wants to see now."""


class Wire:
    """Feeds a program's stdin while it runs, and hands on its raw stdout; every method is for any thread.

    `on_raw` gets stdout as it was printed, unredacted and with nothing held back, on the thread that
    supervises, and once empty bytes when no more will come. It must not be kept or shown before redaction.
    What is sent waits in memory until the program reads it; once the program has gone it is dropped.
    """

    def __init__(self, on_raw: Callable[[bytes], None] = ignore) -> None:
        self._on_raw = on_raw
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._closing = False
        self._held = False
        self._over = False
        self._bell = self._rope = -1

    def send(self, data: bytes) -> None:
        """Adds to what the program will read; returns at once."""
        with self._lock:
            if not (self._closing or self._over):
                self._waiting += data
                self._ring()

    def close(self) -> None:
        """Ends the program's stdin once all that was sent has been read."""
        with self._lock:
            self._closing = True
            self._ring()

    def hold(self, held: bool) -> None:
        """Stops (or goes on) reading stdout, so that a program which prints too much waits for its reader."""
        with self._lock:
            self._held = held
            self._ring()

    @property
    def waiting_bytes(self) -> int:
        """Returns how much was sent and has not been taken by the program."""
        with self._lock:
            return len(self._waiting)

    def __enter__(self) -> Self:
        """Opens the bell by which the supervising thread hears of changes."""
        self._bell, self._rope = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._rope, False)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            bell, rope, self._bell, self._rope = self._bell, self._rope, -1, -1
            self._over = True
            self._waiting.clear()
        os.close(bell)
        os.close(rope)
        self.hand_on(b"")

    @property
    def bell(self) -> int:
        """Returns the descriptor that becomes readable when something has changed."""
        return self._bell

    def answer_bell(self) -> None:
        """Makes the bell silent again."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._bell, _CHUNK_BYTES):
                pass

    @property
    def is_held(self) -> bool:
        """Returns whether stdout shall not be read now."""
        return self._held

    @property
    def speaks(self) -> bool:
        """Returns whether anything was sent, or still may be."""
        with self._lock:
            return bool(self._waiting) or not self._closing

    @property
    def has_something(self) -> bool:
        """Returns whether stdin has to be written to, or closed."""
        with self._lock:
            return bool(self._waiting) or self._closing

    def feed(self, stdin: int) -> bool:
        """Writes what stdin takes now; returns whether more may follow, False when it can be closed."""
        with self._lock:
            try:
                if self._waiting:
                    del self._waiting[: os.write(stdin, self._waiting[:_CHUNK_BYTES])]
            except BlockingIOError:
                return True
            except BrokenPipeError:  # the program does not want more
                self._over = True
                self._waiting.clear()
            return bool(self._waiting) or not (self._closing or self._over)

    def hand_on(self, data: bytes) -> None:
        """Passes stdout on; empty bytes, its end, only the first time."""
        if data:
            self._on_raw(data)
            return
        told, self._on_raw = self._on_raw, ignore
        told(b"")

    def _ring(self) -> None:
        if self._rope >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._rope, b"!")
