from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import DiskFailed, Refused
from orchestrator.fs import temp
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import announce, observe

Use = Callable[[Disk, Path], object]


class PowerCut(BaseException):
    """Stands for the moment at which the machine stops."""


class Cut:
    """Lets `allowed` effects happen and cuts the power at the next."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.seen: list[str] = []

    def __call__(self, effect: str) -> None:
        if len(self.seen) == self.allowed:
            raise PowerCut(effect)
        self.seen.append(effect)


def effects_of(use: Callable[[], object]) -> list[str]:
    seen: list[str] = []
    with observe(seen.append):
        use()
    return seen


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def test_a_written_file_holds_the_data_under_the_mode_asked_for(tmp_path: Path) -> None:
    Disk().write(tmp_path / "private", b"data")
    Disk().write(tmp_path / "public", b"", mode=0o666)

    assert (tmp_path / "private").read_bytes() == b"data"
    assert mode_of(tmp_path / "private") == 0o600
    assert mode_of(tmp_path / "public") == 0o666
    assert names(tmp_path) == ["private", "public"]


def test_writing_replaces_a_link_and_never_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "f").symlink_to(tmp_path / "victim")

    Disk().write(tmp_path / "f", b"new")

    assert not (tmp_path / "f").is_symlink()
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_write_that_cannot_finish_leaves_no_litter(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()

    with pytest.raises(DiskFailed, match=str(tmp_path / "f")):
        Disk().write(tmp_path / "f", b"new")

    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("allowed", range(4))
def test_a_write_cut_at_any_effect_leaves_the_old_file_or_the_new_one(tmp_path: Path, allowed: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    cut = Cut(allowed)

    try:
        with observe(cut):
            Disk().write(path, b"new")
        was_cut = False
    except PowerCut:
        was_cut = True

    assert was_cut == (allowed < 3)
    assert path.read_bytes() == (b"new" if allowed >= 2 else b"old")
    Disk().sweep_temp(tmp_path)
    assert names(tmp_path) == ["f"]


KILLED = """
import os, signal, sys
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import observe
def die(effect):
    if effect.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
with observe(die):
    Disk().write(sys.argv[1], b"new")
"""


@pytest.mark.parametrize(("effect", "content", "litter"), [("write", b"old", 0), ("rename", b"old", 1)])
def test_a_killed_writer_leaves_at_most_one_temporary_file_which_the_sweep_removes(
    tmp_path: Path, effect: str, content: bytes, litter: int
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), effect])

    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == content
    assert len(names(tmp_path)) == 1 + litter
    assert Disk().sweep_temp(tmp_path) == litter
    assert names(tmp_path) == ["f"]


def test_a_sweep_leaves_a_living_writer_and_the_files_of_others_alone(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("theirs")
    (tmp_path / (temp.PREFIX + "link")).symlink_to("other")
    (tmp_path / (temp.PREFIX + "dir")).mkdir()
    (tmp_path / (temp.PREFIX + "m-0123456789ab-3-a-removing")).write_bytes(b"")
    before = names(tmp_path)
    swept: list[int] = []

    def sweep_before_rename(effect: str) -> None:
        if effect.startswith("rename"):
            swept.append(Disk().sweep_temp(tmp_path))

    with observe(sweep_before_rename):
        Disk().write(tmp_path / "f", b"new")

    assert swept == [0]
    assert (tmp_path / "f").read_bytes() == b"new"
    assert names(tmp_path) == sorted([*before, "f"])


def test_writers_and_sweepers_at_once_lose_nothing(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    stop = threading.Event()

    def write(name: str) -> None:
        try:
            for number in range(150):
                Disk().write(tmp_path / name, str(number).encode())
        except BaseException as error:
            failures.append(error)

    def sweep() -> None:
        while not stop.is_set():
            Disk().sweep_temp(tmp_path)

    sweeper = threading.Thread(target=sweep)
    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in (sweeper, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    sweeper.join()

    assert failures == []
    assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "149"


def test_appending_makes_the_file_and_keeps_what_was_there(tmp_path: Path) -> None:
    Disk().append(tmp_path / "f", b"one\n", mode=0o640)
    Disk().append(tmp_path / "f", b"two\n")

    assert (tmp_path / "f").read_bytes() == b"one\ntwo\n"
    assert mode_of(tmp_path / "f") == 0o640


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_appending_to_anything_but_a_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "victim").write_text("precious")
    place = tmp_path / "f"
    make: dict[str, Callable[[], None]] = {
        "link": lambda: place.symlink_to("victim"),
        "directory": place.mkdir,
        "fifo": lambda: os.mkfifo(place),
    }
    make[kind]()

    with pytest.raises(Refused) as refusal:
        Disk().append(place, b"x")

    assert refusal.value.code == "unsafe-path"
    assert (tmp_path / "victim").read_text() == "precious"


def test_appending_through_a_fifo_with_a_reader_is_refused_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    reader = os.open(tmp_path / "f", os.O_RDONLY | os.O_NONBLOCK)

    with pytest.raises(Refused):
        Disk().append(tmp_path / "f", b"x")

    assert os.read(reader, 10) == b""
    os.close(reader)


def test_two_processes_that_make_the_same_log_both_append(tmp_path: Path) -> None:
    def other(effect: str) -> None:
        if effect.startswith("append") and not (tmp_path / "f").exists():
            (tmp_path / "f").write_bytes(b"theirs\n")

    with observe(other):
        Disk().append(tmp_path / "f", b"ours\n")

    assert (tmp_path / "f").read_bytes() == b"theirs\nours\n"


def test_a_full_disk_is_told_with_its_path_and_code(tmp_path: Path) -> None:
    code = """
import resource, sys
from orchestrator.fs.disk import Disk
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    Disk().write(sys.argv[1], bytes(100_000))
except Exception as error:
    print(type(error).__name__, error.code, error.message)
"""
    (tmp_path / "f").write_bytes(b"old")

    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "f")], capture_output=True, text=True
    ).stdout

    assert told == f"DiskFailed disk-failed Cannot write {tmp_path}/f: file too large.\n"
    assert (tmp_path / "f").read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.EPERM, "permission"),
        (errno.EIO, "disk-failed"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda disk, path: disk.write(path, b"new"),
        lambda disk, path: disk.append(path, b"new"),
        lambda disk, path: disk.make_dir(path / "new"),
        lambda disk, path: disk.copy(path, path.with_name("copy")),
        lambda disk, path: disk.rename(path, path.with_name("new")),
        lambda disk, path: disk.remove(path),
        lambda disk, path: disk.remove_tree(path),
        lambda disk, path: disk.sync_dir(path.parent),
        lambda disk, path: disk.sweep_temp(path.parent),
    ],
)
def test_every_effect_that_the_disk_refuses_is_told_by_kind_and_changes_nothing(
    tmp_path: Path, use: Use, number: int, code: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    if use.__code__.co_names[0] == "make_dir":
        path = tmp_path

    def refuse(_: str) -> None:
        raise OSError(number, os.strerror(number))

    with observe(refuse), pytest.raises(DiskFailed) as failure:
        use(Disk(), path)

    assert failure.value.code == code
    assert str(tmp_path) in failure.value.message
    assert failure.value.hint
    assert (tmp_path / "f").read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_a_message_can_be_printed_whatever_the_name(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/missing/\xff")

    with pytest.raises(DiskFailed) as failure:
        Disk().write(path, b"x")

    assert failure.value.path == f"{tmp_path}/missing/\\xff"
    assert failure.value.message.encode()


def test_a_directory_is_made_with_private_parents_and_found_again(tmp_path: Path) -> None:
    Disk().make_dir(tmp_path / "a" / "b" / "c", mode=0o755)
    Disk().make_dir(tmp_path / "a" / "b" / "c", mode=0o700)

    assert [mode_of(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700, 0o700, 0o755]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_directory_is_not_made_through_something_else(tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    if kind == "link":
        (tmp_path / "d").symlink_to("elsewhere")
    else:
        (tmp_path / "d").write_text("x")

    with pytest.raises(Refused) as refusal:
        Disk().make_dir(tmp_path / "d")

    assert refusal.value.code == "unsafe-path"
    assert names(tmp_path / "elsewhere") == []


def test_a_directory_somebody_else_makes_meanwhile_is_fine(tmp_path: Path) -> None:
    with observe(lambda effect: (tmp_path / "d").mkdir() if effect.startswith("make-dir") else None):
        Disk().make_dir(tmp_path / "d")

    assert (tmp_path / "d").is_dir()


def test_a_copy_keeps_bytes_mode_and_time_and_returns_its_hash(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "source").write_bytes(data)
    (tmp_path / "source").chmod(0o751)
    os.utime(tmp_path / "source", ns=(10**18, 10**18 + 123))

    digest = Disk().copy(tmp_path / "source", tmp_path / "target")

    assert digest == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "target").read_bytes() == data
    assert mode_of(tmp_path / "target") == 0o751
    assert (tmp_path / "target").stat().st_mtime_ns == 10**18 + 123


@pytest.mark.parametrize("allowed", range(4))
def test_a_copy_cut_at_any_effect_leaves_the_old_target_or_the_whole_copy(
    tmp_path: Path, allowed: int
) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"old")

    try:
        with observe(Cut(allowed)):
            Disk().copy(tmp_path / "source", tmp_path / "target")
    except PowerCut:
        pass

    assert (tmp_path / "target").read_bytes() == (b"new" if allowed >= 2 else b"old")
    Disk().sweep_temp(tmp_path)
    assert names(tmp_path) == ["source", "target"]


def test_a_source_that_changes_while_it_is_copied_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 10)
    write = temp.TempFile.write

    def write_and_change(scratch: temp.TempFile, data: bytes) -> None:
        write(scratch, data)
        source.write_bytes(b"other")

    # No effect is announced between the first read and the last: only this can change the file in between.
    monkeypatch.setattr(temp.TempFile, "write", write_and_change)

    with pytest.raises(DiskFailed, match="changed while it was copied"):
        Disk().copy(source, tmp_path / "target")

    assert names(tmp_path) == ["source"]


def test_a_copy_that_reads_back_differently_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(b"right")
    write = temp.TempFile.write
    # A disk that stores something else than it was given cannot be had.
    monkeypatch.setattr(temp.TempFile, "write", lambda scratch, data: write(scratch, b"wrong"))

    with pytest.raises(DiskFailed, match="reads back differently"):
        Disk().copy(tmp_path / "source", tmp_path / "target")

    assert names(tmp_path) == ["source"]


def test_a_link_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "source").symlink_to("/etc/passwd")

    with pytest.raises(Refused):
        Disk().copy(tmp_path / "source", tmp_path / "target")


def test_renaming_moves_between_directories(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "f").write_text("x")

    seen = effects_of(lambda: Disk().rename(tmp_path / "a" / "f", tmp_path / "b" / "g"))

    assert (tmp_path / "b" / "g").read_text() == "x"
    assert names(tmp_path / "a") == []
    assert [effect.split()[0] for effect in seen] == ["rename", "sync-dir", "sync-dir"]


def test_removing_takes_the_link_and_not_its_target_and_minds_nothing_missing(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "link").symlink_to("f")

    Disk().remove(tmp_path / "link")
    Disk().remove(tmp_path / "link")

    assert names(tmp_path) == ["f"]


def test_free_space_is_what_the_file_system_says(tmp_path: Path) -> None:
    free = Disk().free_space(tmp_path)

    assert free.bytes > 0
    assert free.inodes is None or free.inodes > 0
    with pytest.raises(DiskFailed):
        Disk().free_space(tmp_path / "missing")


def test_an_observer_sees_effects_only_inside_its_block() -> None:
    seen: list[str] = []

    announce("before")
    with observe(seen.append):
        announce("inside")
        with observe(seen.append):
            announce("twice")
    announce("after")

    assert seen == ["inside", "twice", "twice"]


def test_announcing_costs_no_import_at_all() -> None:
    code = """
import sys
before = set(sys.modules)
import orchestrator.fs.effects
print(*sorted(set(sys.modules) - before))
"""

    loaded = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    ).stdout

    assert set(loaded.split()) <= {"__future__", "orchestrator", "orchestrator.fs", "orchestrator.fs.effects"}
    assert "orchestrator.fs.effects" in loaded


def test_data_reaches_the_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "data")
        fsync(descriptor)

    def record_replace(source: str, target: str) -> None:
        steps.append("name")
        replace(source, target)

    # Only a power cut could tell the difference otherwise: a killed process loses nothing it has written.
    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)

    Disk().write(tmp_path / "f", b"x")

    assert steps == ["data", "name", "directory"]


def test_a_directory_is_removed_only_when_it_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "empty").mkdir()

    for name in ("full", "empty", "missing"):
        Disk().remove_empty(tmp_path / name)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_a_mount_point_is_no_empty_directory() -> None:
    assert not Disk().remove_empty("/")


def test_only_an_empty_directory_is_removed_as_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "work").write_text("w")
    (tmp_path / "file").write_text("f")

    for name in ("empty", "full", "file", "missing"):
        Disk().remove_empty(tmp_path / name)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
    assert (tmp_path / "full" / "work").read_text() == "w"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc cannot be written anywhere else")
def test_a_directory_that_cannot_be_removed_is_an_error_of_the_disk() -> None:
    with pytest.raises(DiskFailed):
        Disk().remove_empty("/proc/self/fd")
