"""Keeps the raw output of a program in a file, up to a limit that is told in the file itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from orchestrator.fs.effects import announce
from orchestrator.fs.failure import told
from orchestrator.fs.opening import open_for_append


class OutputLog:
    """Appends to `path` (made 0600); a link or a FIFO there is refused. Without a path it only counts.

    Raises:
        Refused: `unsafe-path`, see above.
        DiskFailed: the disk is full or not writable.
    """

    def __init__(self, path: Path | None, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._descriptor = -1
        self.seen_bytes = 0

    def __enter__(self) -> Self:
        if self._path is not None:
            with told(self._path):
                announce(f"append {self._path}")
                self._descriptor = open_for_append(self._path, 0o600)[0]
        return self

    def write(self, data: bytes) -> None:
        """Appends what still fits and counts everything."""
        room = max(0, self._max_bytes - self.seen_bytes)
        self.seen_bytes += len(data)
        if room:
            self._append(data[:room])

    def __exit__(self, *_: object) -> None:
        if self._descriptor < 0:
            return
        try:
            missing = self.seen_bytes - self._max_bytes
            if missing > 0:
                self._append(f"\n[orchestrator: {missing} more bytes were not kept]\n".encode())
        finally:
            os.close(self._descriptor)

    def _append(self, data: bytes) -> None:
        if self._descriptor < 0 or self._path is None:
            return
        with told(self._path):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
