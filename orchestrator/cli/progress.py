"""Shows how far a migration is: a line that is overwritten on a terminal, elsewhere a plain one."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.cli.screen import Screen
from orchestrator.cli.table import screen_width
from orchestrator.cli.terminal import escape
from orchestrator.cli.words import duration

if TYPE_CHECKING:
    from orchestrator.migrate.progress import Progress

_ON_TERMINAL_S = 0.2
_ELSEWHERE_S = 10.0
_WINDOW_S = 30.0


class ProgressLine:
    """Shows progress on standard error, nothing when quiet, and off a terminal nothing beside JSON.

    May be called from several threads. The time left is judged by the speed of the last half minute, so that
    what an earlier call had done already, and a slow start, are forgotten.
    """

    def __init__(self, screen: Screen, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._clock = clock
        self._every_s = _ON_TERMINAL_S if screen.errors_on_terminal else _ELSEWHERE_S
        self._shows = not screen.quiet and (screen.errors_on_terminal or not screen.as_json)
        self._seen: deque[tuple[float, int]] = deque()
        self._last = 0.0
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        """Shows it, unless something was shown a moment ago or it has only begun."""
        if not self._shows:
            return
        now = self._clock()
        with self._lock:
            if not self._seen:
                self._last = now
                self._seen.append((now, progress.bytes_done))
            if now - self._last < self._every_s:
                return
            self._last = now
            self._say(described(progress, self._bytes_per_s(now, progress.bytes_done)))

    def _bytes_per_s(self, now: float, done: int) -> float:
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()
        since, before = self._seen[0]
        return (done - before) / (now - since) if now > since else 0.0

    def _say(self, line: str) -> None:
        if self._screen.errors_on_terminal:
            self._screen.passing(escape(line)[: max(screen_width(sys.stderr) - 1, 20)])
        else:
            self._screen.note(line)


def described(progress: Progress, bytes_per_s: float) -> str:
    """Returns one line: steps, bytes of all bytes, the time left at that speed, and what it is at."""
    parts = [f"{progress.steps_done} of {progress.steps} steps"]
    if progress.bytes:
        parts.append(f"{progress.bytes_done:,} of {progress.bytes:,} bytes")
    if progress.bytes and bytes_per_s > 0:
        parts.append(f"{duration(round((progress.bytes - progress.bytes_done) / bytes_per_s))} left")
    return f"{', '.join(parts)}: {progress.source}"
