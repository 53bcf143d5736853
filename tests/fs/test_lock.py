from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.errors import DiskFailed, Locked, Refused
from orchestrator.fs import lock, tree
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import observe
from orchestrator.fs.lock import DirectoryLock, FileLock
from orchestrator.fs.probe import boot_id, is_held, probe, start_time

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


def test_holders_name_survives_in_no_message_of_a_later_one(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = start(FILE, path)
    first.kill()
    first.wait()
    stale = (tmp_path / "lock.holder").read_bytes()
    start(FILE, path)
    (tmp_path / "lock.holder").write_bytes(stale)

    with pytest.raises(Locked, match="another process"):
        FileLock(path, "Run r1", "x").acquire(0)


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"\xff", b'{"pid": "x"}', b"null"])
def test_a_damaged_record_does_not_hide_that_the_lock_is_held(
    start: Start, tmp_path: Path, record: bytes
) -> None:
    start(FILE, tmp_path / "lock")
    (tmp_path / "lock.holder").write_bytes(record)

    found = probe(tmp_path / "lock")

    assert found is not None
    assert found.describe() == "another process (its record is missing)"


def test_a_record_written_on_another_machine_is_believed(start: Start, tmp_path: Path) -> None:
    start(FILE, tmp_path / "lock")
    record = {
        "pid": 7,
        "host": "elsewhere",
        "command": "orchestrator run y",
        "since": "2026-01-01T00:00:00Z",
        "boot_id": "another",
        "start_time": 5,
    }
    (tmp_path / "lock.holder").write_text(json.dumps(record))

    found = probe(tmp_path / "lock")

    assert found is not None
    assert found.describe() == "pid 7 (elsewhere, `orchestrator run y`, since 2026-01-01T00:00:00Z)"


def test_a_link_at_the_records_name_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "lock.holder").symlink_to("victim")

    with FileLock(tmp_path / "lock", "Run r1", "x"):
        held = is_held(tmp_path / "lock")

    assert held
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "lock.holder").is_symlink()


def test_a_loser_waits_for_the_name_of_a_holder_whose_record_comes_late(start: Start, tmp_path: Path) -> None:
    holder = start(FILE, tmp_path / "lock")
    record = tmp_path / "lock.holder"
    record.rename(tmp_path / "late")  # as if its disk were still busy
    threading.Timer(0.3, (tmp_path / "late").rename, [record]).start()

    with pytest.raises(Locked, match=f"in use by pid {holder.pid} "):
        FileLock(tmp_path / "lock", "Run r1", "y").acquire(0)


def test_a_lock_excludes_even_if_its_record_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "lock.holder").mkdir()

    with (
        FileLock(tmp_path / "lock", "Run r1", "x"),
        pytest.raises(Locked, match="another process"),
    ):
        FileLock(tmp_path / "lock", "Run r1", "y").acquire(0)


def test_an_interrupt_while_the_record_is_written_frees_the_lock(tmp_path: Path) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    lock = FileLock(tmp_path / "lock", "Run r1", "x")

    with pytest.raises(KeyboardInterrupt), observe(interrupt):
        lock.acquire(0)

    assert not lock.is_held
    assert not is_held(tmp_path / "lock")


def test_a_lock_in_a_missing_directory_is_told_as_a_disk_failure(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed, match="no such file"):
        FileLock(tmp_path / "gone" / "lock", "Run r1", "x").acquire(0)
    with pytest.raises(DiskFailed, match="no such file"):
        DirectoryLock(tmp_path / "gone", tmp_path / "record", "It", "x").acquire(0)
    assert probe(tmp_path / "gone" / "lock") is None


def test_releasing_what_is_not_held_does_nothing(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock", "Run r1", "x")
    directory = DirectoryLock(tmp_path, tmp_path / "record", "It", "x")

    lock.release()
    directory.release()

    assert not lock.is_held
    assert not directory.is_held


def test_taking_a_directory_lock_twice_keeps_it_until_it_is_released(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path, tmp_path / "record", "It", "x")
    lock.acquire()
    lock.acquire()

    with pytest.raises(Locked):
        DirectoryLock(tmp_path, tmp_path / "record", "It", "y").acquire(0.05)

    lock.release()
    with DirectoryLock(tmp_path, tmp_path / "record", "It", "y") as other:
        assert other.is_held


def test_where_directories_cannot_be_locked_a_file_excludes_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def refuse_directories(descriptor: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "as NFS answers")
        flock(descriptor, operation)

    # NFS refuses an exclusive lock on what is not open for writing; there is none here.
    monkeypatch.setattr(fcntl, "flock", refuse_directories)
    place = tmp_path / "git"
    place.mkdir()

    with (
        DirectoryLock(place, tmp_path / "record", "It", "x") as lock,
        pytest.raises(Locked, match=f"It is in use by pid {os.getpid()}"),
    ):
        DirectoryLock(place, tmp_path / "record", "It", "y").acquire(0)

    assert not lock.is_held
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / "lock").touch()
    monkeypatch.setattr(fcntl, "flock", refuse)  # a kernel out of locks cannot be had here
    lock = (
        FileLock(tmp_path / "lock", "It", "x")
        if kind == "file"
        else DirectoryLock(tmp_path, tmp_path / "record", "It", "x")
    )

    with pytest.raises(DiskFailed, match="no locks available"):
        lock.acquire(0)
    with pytest.raises(DiskFailed, match="no locks available"):
        is_held(tmp_path / "lock")


def test_files_are_written_even_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / ".tmp-orchestrator-1").touch()
    monkeypatch.setattr(fcntl, "flock", refuse)  # a kernel out of locks cannot be had here

    Disk().write(tmp_path / "f", b"x")

    assert (tmp_path / "f").read_bytes() == b"x"
    assert Disk().sweep_temp(tmp_path) == 0


def test_a_probe_without_kernel_locks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lock").touch()
    monkeypatch.setitem(sys.modules, "fcntl", None)  # the only way to be on Windows here

    with pytest.raises(Refused) as refusal:
        probe(tmp_path / "lock")

    assert refusal.value.code == "unsupported-platform"


def test_a_short_wait_outlasts_a_reader_who_looks(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    descriptor = os.open(tmp_path / "lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    looking = threading.Timer(0.2, os.close, (descriptor,))
    looking.start()

    with FileLock(tmp_path / "lock", "Run r1", "x") as lock:
        held = lock.is_held

    looking.join()
    assert held


def test_asking_for_a_lock_imports_nothing_dear() -> None:
    code = """
import sys
before = set(sys.modules)
from orchestrator.fs.probe import is_held
is_held("/nonexistent/lock")
dear = {"json", "re", "pathlib", "dataclasses", "typing", "filelock", "pydantic", "contextlib", "enum"}
print(dear & (set(sys.modules) - before))
"""

    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )

    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_lock_that_may_not_be_read_is_told_as_a_permission(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        FileLock(f"{name}/lock", "Run r1", "x").acquire()
        os.seteuid(65534)
        try:
            with pytest.raises(DiskFailed) as from_probe:
                probe(f"{name}/lock")
            with pytest.raises(DiskFailed) as from_lock:
                FileLock(f"{name}/lock", "Run r1", "x").acquire(0)
        finally:
            os.seteuid(0)

    assert (from_probe.value.code, from_lock.value.code) == ("permission", "permission")


def test_a_system_that_tells_no_boot_and_no_start_times_gets_along(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> bytes:
        raise FileNotFoundError

    monkeypatch.setattr("orchestrator.fs.probe._read", missing)  # a system without /proc

    assert (boot_id(), start_time(os.getpid())) == ("", 0)


def test_a_link_that_appears_after_the_look_is_still_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "a.lock").symlink_to(victim)
    monkeypatch.setattr(lock, "_check_place", lambda path: None)  # the moment between look and open

    with pytest.raises(Refused) as refused:
        lock.FileLock(tmp_path / "a.lock", "it", "test").acquire(timeout_s=0.1)

    assert refused.value.code == "lock-unsafe"
    assert victim.read_text() == "precious"


def test_a_link_is_no_directory_to_remove(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    with pytest.raises(NotADirectoryError):
        tree._open(str(tmp_path / "link"), None)
