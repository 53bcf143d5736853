from __future__ import annotations

import os
import signal
import sys

import pytest

from orchestrator.cli.screen import Screen
from orchestrator.cli.stopping import StopRequest


class InterruptedStream:
    """A stream in whose every write the user presses Ctrl-C, as happens to a busy one."""

    def __init__(self) -> None:
        self.text = ""
        self._writing = False

    def write(self, text: str) -> int:
        if self._writing:
            raise RuntimeError("reentrant call")
        self._writing = True
        if not self.text:
            os.kill(os.getpid(), signal.SIGINT)
        self.text += text
        self._writing = False
        return len(text)

    def flush(self) -> None:
        """Has nothing to flush."""

    def isatty(self) -> bool:
        return False


def test_a_signal_in_the_middle_of_a_print_is_heard_and_answered_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = InterruptedStream()
    monkeypatch.setattr(sys, "stderr", stream)
    screen = Screen()

    with StopRequest(screen) as stop:
        screen.note("a step")
        heard = stop()

    assert heard
    assert stop.exit_status == 130
    assert stream.text.count("Stopping:") == 1
    assert stream.text.startswith("a step")


def test_the_second_signal_stops_at_once() -> None:
    with StopRequest(Screen()):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
