from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from orchestrator.process.leftovers import find
from orchestrator.process.spawn import Command, minimal_environment, supervise


def python(code: str, tmp_path: Path, **more: Any) -> Command:
    return Command(
        argv=(sys.executable, "-I", "-S", "-c", code),
        cwd=tmp_path,
        environment=minimal_environment({}),
        **{"timeout_s": 30.0, "marker": f"test-{os.getpid()}-{tmp_path}", **more},
    )


def ignore(_: object) -> None:
    pass


NASTY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
print("out", flush=True)
sys.exit(7)
"""


def test_exit_status_and_output_survive_a_nasty_orphan_which_does_not(tmp_path: Path) -> None:
    heard: list[bytes] = []
    command = python(NASTY, tmp_path)

    ended = supervise(command, on_started=ignore, on_output=heard.append)

    assert (ended.cause, ended.exit_status, ended.signal) == ("exited", 7, None)
    assert b"".join(heard) == b"out\n"
    assert ended.left_over == 1
    assert find(command.marker) == []
