"""Turns the first SIGINT or SIGTERM into a wish that the engine polls, the second into an end at once."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

from orchestrator.cli.edge import INTERRUPTED, TERMINATED, Terminated
from orchestrator.cli.screen import Screen


class StopRequest:
    """Calls that are true once the user has asked to stop; signals go back to their owner at the end."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._received = 0
        self._said = False
        self._before: dict[int, object] = {}

    def __call__(self) -> bool:
        """Returns whether a stop was asked for, and says once that it was heard."""
        if self._received and not self._said:
            self._said = True
            self._screen.note("Stopping: what the agent left is being saved. Once more stops at once.")
        return bool(self._received)

    def __enter__(self) -> StopRequest:
        """Takes over the two signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    @property
    def exit_status(self) -> int:
        """Returns what the command ends with when the stop has been heeded."""
        return TERMINATED if self._received == signal.SIGTERM else INTERRUPTED

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Nothing is printed here: the signal may have come in the middle of another print.
        again, self._received = self._received, number
        if again:
            raise self._end()

    def _end(self) -> BaseException:
        return KeyboardInterrupt() if self._received == signal.SIGINT else Terminated()
