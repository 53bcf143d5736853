"""Makes files an agent locked away readable while a snapshot is taken: they are ours, and they are work."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


class Opened:
    """Remembers the modes it changed and gives them back; a kill in between leaves them readable."""

    def __init__(self) -> None:
        self._modes: list[tuple[str, int]] = []

    def open_root(self, work_tree: Path) -> None:
        """Makes the top directory enterable, without which not even git starts there."""
        if not os.access(work_tree, os.R_OK | os.X_OK):
            self._widen(os.fspath(work_tree), os.lstat(work_tree))

    def open_all(self, work_tree: Path) -> None:
        """Makes every file and directory of ours below readable, git directories excepted."""
        for directory, subdirectories, files in os.walk(work_tree):
            subdirectories[:] = [name for name in subdirectories if name != ".git"]
            for name in (*subdirectories, *files):
                path = os.path.join(directory, name)
                with contextlib.suppress(OSError):
                    self._widen(path, os.lstat(path))

    def _widen(self, path: str, facts: os.stat_result) -> None:
        mode = stat.S_IMODE(facts.st_mode)
        if stat.S_ISDIR(facts.st_mode):
            wanted = mode | stat.S_IRWXU
        elif stat.S_ISREG(facts.st_mode):
            wanted = mode | stat.S_IRUSR
        else:
            return
        if wanted != mode:
            os.chmod(path, wanted)
            self._modes.append((path, mode))

    def restore(self) -> None:
        """Gives every mode back, the deepest first."""
        while self._modes:
            path, mode = self._modes.pop()
            with contextlib.suppress(OSError):
                os.chmod(path, mode)
