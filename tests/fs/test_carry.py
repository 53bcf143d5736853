"""Carrying a tree to another place keeps everything about it, or says what it could not read."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from orchestrator.errors import DiskFailed
from orchestrator.fs import carry
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import observe


def facts(top: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for here, directories, files in os.walk(top):
        for name in (".", *files, *directories):
            path = Path(here) / name
            seen = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(seen.st_mode) else b""
            link = os.readlink(path) if path.is_symlink() else ""
            found[os.path.relpath(path, top)] = (
                seen.st_mode,
                seen.st_uid,
                seen.st_mtime_ns,
                seen.st_nlink,
                content,
                link,
            )
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    top = tmp_path / "source"
    (top / "sub/empty").mkdir(parents=True)
    (top / "sub/file").write_bytes(b"x" * 3_000_000)
    (top / "private").write_bytes(b"p")
    os.link(top / "private", top / "sub/same")
    (top / "dangling").symlink_to("nowhere")
    (top / "loop").symlink_to("loop")
    Path(os.fsdecode(os.fsencode(top) + b"/bad-\xff")).write_bytes(b"odd")
    os.chmod(top / "private", 0o400)
    os.chmod(top / "sub", 0o2750)
    os.chmod(top / "sub/empty", 0o1777)
    for here, directories, files in os.walk(top, topdown=False):
        for name in (*files, *directories):
            os.utime(os.path.join(here, name), ns=(10**18, 10**18 + 7), follow_symlinks=False)
    os.utime(top, ns=(10**18, 10**18 + 9))
    return top


@pytest.mark.parametrize("jobs", [1, 4])
def test_contents_modes_times_links_and_names_are_kept(source: Path, tmp_path: Path, jobs: int) -> None:
    Disk().carry(source, tmp_path / "target", jobs=jobs)

    assert facts(tmp_path / "target") == facts(source)


def test_holes_stay_holes(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 26)
        file.seek(1 << 25)
        file.write(b"mid")
    if (tmp_path / "sparse").stat().st_blocks * 512 >= 1 << 26:
        pytest.skip("this file system knows no holes")

    Disk().carry(tmp_path / "sparse", tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == (tmp_path / "sparse").read_bytes()
    assert (tmp_path / "copy").stat().st_blocks * 512 < 1 << 24


def test_extended_attributes_are_kept(source: Path, tmp_path: Path) -> None:
    try:
        os.setxattr(source / "sub/file", "user.tag", b"\0\xff")
        os.setxattr(source / "sub", "user.tag", b"dir")
    except OSError:
        pytest.skip("this file system has no user attributes")

    Disk().carry(source, tmp_path / "target")

    assert os.getxattr(tmp_path / "target/sub/file", "user.tag") == b"\0\xff"
    assert os.getxattr(tmp_path / "target/sub", "user.tag") == b"dir"


def test_the_bytes_written_are_told(source: Path, tmp_path: Path) -> None:
    told: list[int] = []

    Disk().carry(source, tmp_path / "target", on_bytes=told.append)

    assert sum(told) == 3_000_000 + 1 + 3


def test_a_pipe_is_refused_and_not_opened(source: Path, tmp_path: Path) -> None:
    os.mkfifo(source / "pipe")

    with pytest.raises(DiskFailed):
        Disk().carry(source, tmp_path / "target")


def test_a_file_is_never_written_over(source: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")

    with pytest.raises(DiskFailed):
        Disk().carry(source / "sub/file", tmp_path / "target")

    assert (tmp_path / "target").read_bytes() == b"mine"


def test_all_is_synced_before_it_returns(source: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    with observe(seen.append):
        Disk().carry(source, tmp_path / "target")

    assert seen[-2:] == [f"sync {tmp_path / 'target'}", f"sync-dir {tmp_path}"]


def test_only_an_empty_directory_is_removed(tmp_path: Path) -> None:
    (tmp_path / "full/file").mkdir(parents=True)

    assert not Disk().remove_empty(tmp_path / "full")
    assert Disk().remove_empty(tmp_path / "full/file")
    assert Disk().remove_empty(tmp_path / "missing")


def test_a_mode_is_never_set_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"x")
    os.chmod(tmp_path / "victim", 0o644)
    (tmp_path / "link").symlink_to("victim")

    with pytest.raises(Exception, match="a link"):
        Disk().set_mode(tmp_path / "link", 0o600)

    assert stat.S_IMODE((tmp_path / "victim").stat().st_mode) == 0o644


def test_a_file_that_ends_with_content_after_a_hole_is_whole(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with open(sparse, "wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 20)
        file.write(b"end")

    Disk().carry(sparse, tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == sparse.read_bytes()


def test_a_file_that_changes_while_it_is_copied_is_no_copy(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"before")

    def grow(written: int) -> None:
        with open(source, "ab") as file:
            file.write(b"more")

    with pytest.raises(DiskFailed) as failed:
        Disk().carry(source, tmp_path / "copy", on_bytes=grow)

    assert "changed while it was copied" in failed.value.message


def test_a_copy_that_reads_back_differently_is_told(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"before")

    def spoil(written: int) -> None:
        with open(tmp_path / "copy", "r+b") as file:
            file.write(b"X")

    with pytest.raises(DiskFailed) as failed:
        Disk().carry(tmp_path / "source", tmp_path / "copy", on_bytes=spoil)

    assert "reads back differently" in failed.value.message


def test_permissions_that_do_not_stay_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").write_bytes(b"secret")
    os.chmod(tmp_path / "source", 0o440)
    # A file system that says yes and keeps no permissions cannot be mounted on every machine.
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)

    with pytest.raises(DiskFailed) as failed:
        Disk().carry(tmp_path / "source", tmp_path / "copy")

    assert "permissions cannot be kept" in failed.value.message


def test_what_is_no_file_any_more_when_it_is_opened_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()

    with pytest.raises(OSError, match="changed while it was copied"):
        carry._file(str(tmp_path / "directory"), str(tmp_path / "copy"), lambda written: None)


def test_holes_that_cannot_be_looked_for_are_an_error() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="seek"):
            list(carry._segments(reading, 10, sparse=True))
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owners_are_kept(source: Path, tmp_path: Path) -> None:
    (source / "theirs").write_text("t")
    (source / "link").symlink_to("theirs")
    for name in ("theirs", "link"):
        os.chown(source / name, 12345, 12345, follow_symlinks=False)
    os.chown(source, 12345, 12345)

    Disk().carry(source, tmp_path / "copy")

    owners = [(tmp_path / "copy" / name).lstat().st_uid for name in (".", "theirs", "link")]
    assert owners == [12345, 12345, 12345]


@pytest.mark.skipif(sys.platform != "linux", reason="extended attributes are read on Linux alone")
@pytest.mark.parametrize(("number", "refused"), [(errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_without_attributes_is_fine_and_a_broken_one_is_not(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, refused: bool
) -> None:
    def fail(origin: int) -> list[str]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "listxattr", fail)  # no such file system can be made without being root

    with pytest.raises(DiskFailed) if refused else nullcontext():
        Disk().carry(source, tmp_path / "copy")


@pytest.mark.skipif(sys.platform != "linux", reason="syncfs is a call of Linux")
@pytest.mark.parametrize(("number", "refused"), [(errno.ENOSYS, False), (errno.EIO, True)])
def test_a_sync_that_the_system_lacks_is_replaced_and_one_that_fails_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, refused: bool
) -> None:
    class Library:
        @staticmethod
        def syncfs(descriptor: int) -> int:
            ctypes.set_errno(number)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: Library)  # a disk cannot be made to fail here

    with pytest.raises(DiskFailed) if refused else nullcontext():
        Disk().carry(source, tmp_path / "copy")
