"""What scripted agents play, and its props; standard library only, because the fakes import it too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[3])
WRITTEN = "written.txt"
FORBIDDEN = "forbidden.txt"
HANGING = "hanging"
ANSWER = "I wrote written.txt as you asked."
SECRET = "hunter2-of-the-contract-suite"


class Play(StrEnum):
    """What an agent is scripted to do in a turn.

    write: it writes WRITTEN into the tree, tells its usage where it can, and its last text is ANSWER.
    fail: its turn fails, by whatever its wire has for that.
    denied: it wants to write FORBIDDEN, is denied, does not, and ends as if all were well.
    denied_fail: as `denied`, and then its turn fails.
    hang: `stage.hang()`, in the agent's tree.
    leak: it says SECRET and ends well.
    """

    WRITE = "write"
    FAIL = "fail"
    DENIED = "denied"
    DENIED_FAIL = "denied-fail"
    HANG = "hang"
    LEAK = "leak"


def write() -> None:
    """Does the work that is asked for in the current directory."""
    Path(WRITTEN).write_text("by the agent\n")


def hang() -> None:
    """Starts a child in a session of its own that ignores SIGTERM, tells so by HANGING, and says no more.

    When it is asked to end, it ends as a program that failed.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
    sleeper = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", sleeper],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    Path(HANGING).touch()
    time.sleep(600)


def imported() -> str:
    """Returns the Python statements by which a fake gets at this module."""
    return f"import sys; sys.path.insert(0, {ROOT!r}); from tests.agents.contract import stage"
