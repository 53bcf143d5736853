from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.process import leftovers, proctable
from orchestrator.process.leftovers import end, end_all, find

Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(marker: str) -> Iterator[Start]:
    """Yields a function that starts a process which sleeps under a marker."""
    started: list[subprocess.Popen[bytes]] = []

    def call(suffix: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "print(flush=True); import time; time.sleep(600)"],
            env={"PATH": os.environ["PATH"], "ORCHESTRATOR_EXECUTION": marker + suffix},
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def test_a_leftover_is_found_by_its_marker_with_its_command(start: Start, marker: str) -> None:
    process = start("-a")
    start("-b")

    found = find(marker + "-a")

    assert [leftover.pid for leftover in found] == [process.pid]
    assert found[0].marker == marker + "-a"
    assert found[0].command.startswith(sys.executable)
    assert len(find(marker)) == 2
    assert find(marker, exact=True) == []


def test_ending_a_leftover_kills_it_and_nothing_else(start: Start, marker: str) -> None:
    first, second = start("-a"), start("-b")

    gone = end(find(marker + "-a")[0])

    assert gone
    assert first.wait() == -9
    assert second.poll() is None


def test_a_later_process_with_the_same_number_is_left_alone(start: Start, marker: str) -> None:
    process = start("")
    stale = replace(find(marker)[0], start_time=1)

    gone = end(stale)

    assert gone
    assert process.poll() is None


def test_everything_with_the_marker_is_ended_even_what_is_born_meanwhile(marker: str) -> None:
    breeder = """
import os, time
print(flush=True)
for _ in range(200):
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    time.sleep(0.002)
"""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", breeder],
        env={"ORCHESTRATOR_EXECUTION": marker},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()

    stubborn = end_all(marker)

    process.communicate()
    assert stubborn == []
    assert find(marker) == []


def test_what_belongs_to_another_user_is_told_as_not_ended(start: Start, marker: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    process = start("")
    leftover = find(marker)[0]

    os.setresuid(65534, 65534, 0)
    try:
        gone = end(leftover)
    finally:
        os.setresuid(0, 0, 0)

    assert not gone
    assert process.poll() is None


def test_ps_and_proc_tell_the_same_parents(start: Start) -> None:
    process = start("")

    from_ps, from_proc = proctable.from_ps(), proctable.from_proc()

    assert from_ps[process.pid][0] == from_proc[process.pid][0] == os.getpid()
    assert abs(from_ps[process.pid][1] - time.time()) < 3600
    assert process.pid in proctable.descendants(os.getpid(), from_proc)
    assert process.pid in proctable.descendants(os.getpid(), from_ps)


def test_a_zombie_is_no_process_any_more(start: Start) -> None:
    process = start("")
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert proctable.look_up(process.pid) is None
    assert process.pid not in proctable.from_ps()
    assert proctable.start_time(process.pid) == 0


def test_a_system_without_ps_shows_nothing_rather_than_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(proctable, "_PLACES", "/nowhere")  # a system without ps in the usual places

    assert proctable.from_ps() == {}


MAC = """\
  501 /usr/bin/login PATH=/bin
{pid} node agent.js --x=1 PATH=/bin ORCHESTRATOR_EXECUTION=r1-e1 HOME=/Users/u
99999999 gone ORCHESTRATOR_EXECUTION=r1-e2
"""


def test_the_listing_of_macos_is_understood(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process = start("")
    ps = tmp_path / "ps"
    ps.write_text(
        f'#!/bin/sh\ncase "$1" in -E) cat "{tmp_path}/listing";; *) exec {shutil.which("ps")} "$@";; esac\n'
    )
    ps.chmod(0o700)
    (tmp_path / "listing").write_text(MAC.format(pid=process.pid))
    # A system without /proc cannot be had here; its `ps` is a program of ours.
    monkeypatch.setattr(proctable, "has_proc", lambda: False)
    monkeypatch.setattr(proctable, "_PLACES", "/bin:/usr/bin")
    monkeypatch.setenv("PATH", str(tmp_path))

    found = leftovers.find("r1-e1")

    assert [(leftover.pid, leftover.marker, leftover.command) for leftover in found] == [
        (process.pid, "r1-e1", "node agent.js --x=1 PATH=/bin")
    ]
    assert end(found[0])
    assert process.wait() == -9
