from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.errors import Locked, Refused
from orchestrator.fs.lock import DirectoryLock, FileLock
from orchestrator.fs.probe import is_held, probe

Start = Callable[[str, Path], "subprocess.Popen[str]"]

HOLD = """
import sys
from orchestrator.fs.lock import DirectoryLock, FileLock
path = sys.argv[1]
lock = {lock}
lock.acquire(20)
print("held", flush=True)
sys.stdin.read()
"""
FILE = 'FileLock(path, "Run r1", "orchestrator run x")'
DIRECTORY = 'DirectoryLock(path, path + "-record", "The repository", "orchestrator merge r1")'


@pytest.fixture
def start() -> Iterator[Start]:
    """Yields a function that starts a process which holds a lock until its stdin ends."""
    started: list[subprocess.Popen[str]] = []

    def call(lock: str, path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD.replace("{lock}", lock), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_is_refused_with_the_name_of_the_holder(start: Start, tmp_path: Path) -> None:
    holder = start(FILE, tmp_path / "lock")

    with pytest.raises(Locked) as refusal:
        FileLock(tmp_path / "lock", "Run r1", "orchestrator resume").acquire(0)

    assert f"Run r1 is in use by pid {holder.pid} (" in refusal.value.message
    assert "`orchestrator run x`, since 2" in refusal.value.message
    assert refusal.value.exit_status == 5


def test_a_lock_is_free_as_soon_as_its_holder_is_killed(start: Start, tmp_path: Path) -> None:
    holder = start(FILE, tmp_path / "lock")
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with FileLock(tmp_path / "lock", "Run r1", "orchestrator resume") as lock:
        assert lock.is_held

    assert (tmp_path / "lock").exists()
    assert (tmp_path / "lock.holder").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_probe_names_the_holder_and_leaves_the_lock_alone(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    before = probe(path)
    holder = start(FILE, path)

    found = probe(path)

    assert before is None
    assert found is not None
    assert found.pid == holder.pid
    assert is_held(path)
    holder.communicate("")
    assert not is_held(path)


def test_a_probe_finds_nobody_where_there_is_no_lock_file(tmp_path: Path) -> None:
    assert probe(tmp_path / "none") is None
    assert list(tmp_path.iterdir()) == []


def test_a_second_lock_in_the_same_process_excludes_too(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / "lock", "Run r1", "a"),
        pytest.raises(Locked, match=f"pid {os.getpid()}"),
    ):
        FileLock(tmp_path / "lock", "Run r1", "b").acquire(0)


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo"])
def test_something_else_at_the_lock_name_is_refused_and_left_as_it_was(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    place = tmp_path / "lock"
    if kind == "symlink":
        place.symlink_to(victim)
    elif kind == "directory":
        place.mkdir()
    else:
        os.mkfifo(place)
    names = sorted(entry.name for entry in tmp_path.iterdir())

    with pytest.raises(Refused) as refused_lock:
        FileLock(place, "Run r1", "x").acquire(0)
    with pytest.raises(Refused) as refused_probe:
        probe(place)

    assert (refused_lock.value.code, refused_probe.value.code) == ("lock-unsafe", "lock-unsafe")
    assert victim.read_text() == "precious"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == names


def test_a_directory_lock_excludes_without_leaving_anything_in_the_directory(
    start: Start, tmp_path: Path
) -> None:
    place = tmp_path / "git"
    place.mkdir()
    holder = start(DIRECTORY, place)

    with pytest.raises(Locked, match=f"pid {holder.pid}.*orchestrator merge r1"):
        DirectoryLock(place, f"{place}-record", "The repository", "orchestrator run").acquire(0)

    assert list(place.iterdir()) == []
    holder.kill()
    holder.wait()
    with DirectoryLock(place, f"{place}-record", "The repository", "orchestrator run") as lock:
        assert lock.is_held
