"""The disk really fills while a run is saved elsewhere: it is told, nothing is lost, the run can go on."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from tests.conftest import GitCall
from tests.sessions.machines import Machine, Machines, until


def fill(place: Path) -> Path:
    """Takes the last byte of a file system and returns the file that has it."""
    filler = place / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as out:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    out.write(b"\0" * size)
    return filler


def held_run(tmp_path: Path, git: GitCall, small_disk: Path) -> tuple[Machines, Machine]:
    """Returns a machine on a small disk, whose agent will wait half way."""
    machines = Machines(tmp_path, git)
    machines.hold(0)
    place = small_disk / "a"
    git(tmp_path, "clone", "-q", str(machines.remote), str(place))
    machine = Machine(machines, place)
    machine.call("init", "--trust", "--push-state")
    return machines, machine


def test_a_disk_that_is_full_for_a_while_delays_what_is_saved_and_the_run_goes_on(
    tmp_path: Path, git: GitCall, small_disk: Path
) -> None:
    machines, a = held_run(tmp_path, git, small_disk)
    working = a.start(*machines.run_words("r1", 2))
    until(lambda: "half-0.txt" in machines.saved_files(), process=working)
    tree = a.place / ".orchestrator" / "worktrees" / "r1" / "main"
    time.sleep(2.5)  # what the agent said is gathered for a second; it is written down by now
    (tree / "new.txt").write_bytes(b"new\n" * 1000)
    filler = fill(small_disk)

    time.sleep(1)  # several saves fail meanwhile
    filler.unlink()
    machines.let_go(0)
    out, err = working.communicate()

    assert working.returncode == 0, out + err
    assert err.count("could not be saved while the agent works") == 1
    assert "no space left on device" in err
    assert machines.saved(run_id="r1", rests=True)
    assert "new.txt" in machines.saved_files()
    assert git(machines.remote, "fsck", "--no-dangling", "--no-progress") == ""


@pytest.mark.long
def test_a_disk_that_stays_full_ends_the_run_with_a_clear_error_and_resume_completes_it(
    tmp_path: Path, git: GitCall, small_disk: Path
) -> None:
    machines, a = held_run(tmp_path, git, small_disk)
    working = a.start(*machines.run_words("r1", 2))
    until(lambda: "half-0.txt" in machines.saved_files(), process=working)
    filler = fill(small_disk)

    machines.let_go(0)
    out, err = working.communicate()
    filler.unlink()
    a.call("resume", "r1")

    assert working.returncode == 3, out + err
    assert "Traceback (most recent call last)" not in err.replace("agent:", "")
    assert "error[disk-full]" in err
    assert machines.saved(run_id="r1", rests=True)
    assert git(a.place, "show", "orchestrator/r1:done-1.txt") == "half\nhalf"
    assert "completed" in a.call("status").stdout
