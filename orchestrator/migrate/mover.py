"""Moves one thing so that a kill at any point can be finished or taken back by looking at what is there.

On one file system it is one rename. Across file systems: copy to a staging name, sync, rename to the target,
rename the old one aside, and only then remove it; at each moment one of the two is whole.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from orchestrator.errors import DiskFailed, Failed
from orchestrator.fs.carry import OnBytes, ignored
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import printable, told
from orchestrator.fs.temp import PREFIX as TEMP_PREFIX
from orchestrator.migrate.compare import is_empty_directory, same_tree
from orchestrator.migrate.scan import scan


@dataclass(frozen=True, slots=True)
class Move:
    """From where to where, absolute. `tag` makes the temporary names of this move unlike all others'.

    `begun` says that an earlier process began it, so that a copy may stand at the target already.
    """

    source: str
    target: str
    tag: str
    begun: bool = False

    @property
    def stage(self) -> str:
        """Returns the name under which a copy grows beside the target."""
        return _beside(self.target, f"{self.tag}-stage")

    @property
    def removing(self) -> str:
        """Returns the name of the mark that the source, whose copy is whole, is being removed where it is."""
        return _beside(self.source, f"{self.tag}-removing")

    @property
    def gone(self) -> str:
        """Returns the name under which a source that was copied waits for its removal."""
        return _beside(self.source, f"{self.tag}-gone")


class Mover:
    """Carries out moves on one disk; `jobs` threads copy where file systems are crossed."""

    def __init__(self, disk: Disk, *, jobs: int = 1, on_bytes: OnBytes = ignored) -> None:
        self._disk = disk
        self._jobs = jobs
        self._on_bytes = on_bytes

    def move(self, move: Move) -> None:
        """Makes the thing be at its target alone; does nothing where that is so already.

        Raises:
            Failed: `move-lost`, it is at neither place; `move-conflict`, something else stands at the target.
            DiskFailed: the disk is full, read-only or broken; call again to go on.
        """
        if os.path.lexists(move.gone):
            self._disk.remove_tree(move.gone)
            return
        if os.path.lexists(move.removing):
            self._remove_in_place(move)
            return
        if os.path.lexists(move.stage):
            self._disk.remove_tree(move.stage)
        if not os.path.lexists(move.source):
            self._arrived(move)
        elif not os.path.lexists(move.target) or _may_replace(move):
            self._transfer(move)
        elif move.begun and same_tree(move.source, move.target):
            # Copied, and killed before the old one was put aside; it may have changed since.
            self.retire(move)
        else:
            raise Failed(
                f"{printable(move.target)} appeared while {printable(move.source)} was to go there.",
                code="move-conflict",
                hint="Move one of them away, then: orchestrator migrate --resume",
            )

    def _arrived(self, move: Move) -> None:
        if not os.path.lexists(move.target):
            raise Failed(
                f"{printable(move.source)} is gone, and not at {printable(move.target)} either.",
                code="move-lost",
                hint="Put it back if you moved it, then: orchestrator migrate --resume",
            )
        # The kill may have come between the rename and the syncs.
        self._disk.sync_dir(os.path.dirname(move.target))
        if os.path.isdir(os.path.dirname(move.source)):
            self._disk.sync_dir(os.path.dirname(move.source))

    def _transfer(self, move: Move) -> None:
        if not self._renamed(move.source, move.target):
            self._copy(move)

    def _renamed(self, source: str, target: str) -> bool:
        try:
            self._disk.rename(source, target)
        except DiskFailed as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EXDEV:
                raise
            return False
        return True

    def _copy(self, move: Move) -> None:
        with told(move.source):
            before = scan(move.source).fingerprint
        try:
            self._disk.carry(move.source, move.stage, jobs=self._jobs, on_bytes=self._on_bytes)
        except DiskFailed:
            self._disk.remove_tree(move.stage)
            raise
        with told(move.source):
            unchanged = scan(move.source).fingerprint == before
        if not unchanged:
            self._disk.remove_tree(move.stage)
            raise Failed(
                f"{printable(move.source)} changed while it was copied.",
                code="changed-meanwhile",
                hint="Stop the program that writes to it, then: orchestrator migrate --resume",
            )
        self._disk.rename(move.stage, move.target)
        self.retire(move)

    def settle(self, move: Move) -> None:
        """Clears the temporary names of a move that will not be gone on with; one of its ends is whole."""
        if os.path.lexists(move.stage):
            self._disk.remove_tree(move.stage)
        if os.path.lexists(move.gone):
            if os.path.lexists(move.target):
                self._disk.remove_tree(move.gone)
            else:
                self._disk.rename(move.gone, move.source)
        if os.path.lexists(move.removing):
            self._remove_in_place(move)

    def retire(self, move: Move) -> None:
        """Removes the source, whose equal stands at the target: put aside first, so it is whole or away."""
        if self._renamed(move.source, move.gone):
            self._disk.remove_tree(move.gone)
        else:
            # overlayfs renames no directory of a lower layer, not even within its parent.
            self._disk.write(move.removing, b"")
            self._remove_in_place(move)

    def _remove_in_place(self, move: Move) -> None:
        self._disk.remove_tree(move.source)
        self._disk.remove(move.removing)


def _may_replace(move: Move) -> bool:
    return os.path.isdir(move.source) and not os.path.islink(move.source) and is_empty_directory(move.target)


def _beside(path: str, tag: str) -> str:
    return os.path.join(os.path.dirname(path), TEMP_PREFIX + tag)
