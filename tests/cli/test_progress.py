"""How far a migration is, for people at a terminal and for logs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.cli.progress import ProgressLine, described
from orchestrator.cli.screen import Screen
from orchestrator.fs.disk import Disk
from orchestrator.migrate.catalogue import load_catalogue
from orchestrator.migrate.migration import Migrator
from orchestrator.migrate.progress import Progress
from tests.migrate.building import make_layout, plain, put

TOTAL = 1_000_000


def at(done: int, steps_done: int = 1) -> Progress:
    return Progress(steps_done, 4, done, TOTAL, ".workflow_checkpoints")


class Clock:
    """Says the time that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shown(line: ProgressLine, clock: Clock, heard: Callable[[], str]) -> Callable[[float, int], str]:
    def after(seconds: float, done: int) -> str:
        clock.now += seconds
        line(at(done))
        return heard()

    return after


@pytest.fixture
def heard(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    def read() -> str:
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return read


def test_without_a_terminal_a_plain_line_comes_every_ten_seconds(heard: Callable[[], str]) -> None:
    clock = Clock()
    after = shown(ProgressLine(Screen(), clock), clock, heard)

    assert after(0, 0) == ""
    assert after(9.9, 90_000) == ""
    assert after(0.1, 100_000) == (
        "1 of 4 steps, 100,000 of 1,000,000 bytes, 1 min left: .workflow_checkpoints\n"
    )
    assert after(5, 150_000) == ""
    assert after(5, 200_000).startswith("1 of 4 steps, 200,000 of 1,000,000 bytes, 1 min left")


def test_the_time_left_is_judged_by_the_last_half_minute(heard: Callable[[], str]) -> None:
    clock = Clock()
    after = shown(ProgressLine(Screen(), clock), clock, heard)
    after(0, 0)
    after(0.0, 500_000)  # done by an earlier call, in no time
    lines = [after(10, 500_000) for _ in range(5)]

    assert lines[-1] == "1 of 4 steps, 500,000 of 1,000,000 bytes: .workflow_checkpoints\n"
    assert ", 30 s left: " in after(10, 750_000)


@pytest.mark.parametrize("screen", [Screen(quiet=True), Screen(as_json=True)])
def test_quiet_and_json_hear_nothing(screen: Screen, heard: Callable[[], str]) -> None:
    clock = Clock()
    after = shown(ProgressLine(screen, clock), clock, heard)

    assert after(0, 0) + after(60, 10) + after(60, 20) == ""


def test_without_bytes_the_steps_are_told() -> None:
    assert described(Progress(2, 9, 0, 0, "a"), 0.0) == "2 of 9 steps: a"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")
def test_on_a_terminal_the_line_is_gone_before_the_next_one(tmp_path: Path) -> None:
    code = (
        "import sys; from orchestrator.cli.screen import Screen\n"
        "screen = Screen(); screen.passing('half of it'); screen.out('done')\n"
    )

    seen = on_terminal_code(code, tmp_path)

    assert seen == "\r\x1b[Khalf of it\r\r\x1b[Kdone\n"


def on_terminal_code(code: str, cwd: Path) -> str:
    ours, theirs = os.openpty()

    child = subprocess.Popen([sys.executable, "-c", code], cwd=cwd, stdout=theirs, stderr=theirs)
    os.close(theirs)
    child.wait(timeout=60)
    seen = os.read(ours, 65536)
    os.close(ours)
    return seen.decode().replace("\r\n", "\n")


def test_copying_and_taking_back_tell_bytes_up_to_the_whole(other: Path, tmp_path: Path) -> None:
    root = tmp_path / "case"
    plain(root)
    put(root / "checkpoints/large", b"x" * (3 << 20))
    (root / ".orchestrator").mkdir()
    subprocess.run(["mount", "--bind", str(other), str(root / ".orchestrator")], check=True)
    told: list[Progress] = []
    migrator = Migrator(
        root, catalogue=load_catalogue(), disk=Disk(), make_layout=make_layout, progress=told.append
    )
    try:
        migrator.migrate()
        forward = told.copy()
        told.clear()
        migrator.take_back()
    finally:
        subprocess.run(["umount", str(root / ".orchestrator")], check=True)

    for heard in (forward, told):
        done = [one.bytes_done for one in heard]
        assert done == sorted(done)
        assert len([size for size in set(done) if size > 1 << 20]) >= 2
        assert max(done) <= heard[0].bytes
        assert [one.steps_done for one in heard] == sorted(one.steps_done for one in heard)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """Yields an empty tmpfs, or skips where nobody may mount one."""
    place = tmp_path / "other"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("this machine does not let the user mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
