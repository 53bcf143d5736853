"""Tells how far a migration, or taking one back, is: steps, and bytes while file systems are crossed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchestrator.migrate.actions import Step


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: steps and bytes of all it has to do, and what it is at (a source)."""

    steps_done: int
    steps: int
    bytes_done: int
    bytes: int
    source: str


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Does nothing with progress."""


class Counter:
    """Counts what is done of some steps, in their order, and tells `progress` at each step and each write."""

    def __init__(self, steps: Iterable[Step], progress: OnProgress) -> None:
        known = tuple(steps)
        self._steps = len(known)
        self._bytes = sum(step.bytes for step in known)
        self._progress = progress
        self._step: Step | None = None
        self._begun = 0
        self._before = 0
        self._copied = 0

    def at(self, step: Step) -> None:
        """Says that the next step begins; the one before it is done."""
        if self._step is not None:
            self._before += self._step.bytes
        self._step, self._copied = step, 0
        self._begun += 1
        self._tell()

    def wrote(self, size_bytes: int) -> None:
        """Says that a part of the step was copied."""
        self._copied += (
            size_bytes  # from several threads: a lost addition is a percent too few for an instant
        )
        self._tell()

    def _tell(self) -> None:
        step = self._step
        if step is not None:
            done = self._before + min(self._copied, step.bytes)
            self._progress(Progress(self._begun - 1, self._steps, done, self._bytes, step.source))
