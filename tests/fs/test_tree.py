from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import DiskFailed
from orchestrator.fs import tree
from orchestrator.fs.disk import Disk
from orchestrator.fs.effects import observe


def test_a_tree_of_files_links_and_strange_names_is_removed_and_nothing_beside_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    top = tmp_path / "tree"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "link").symlink_to(outside)
    (top / "dangling").symlink_to("nowhere")
    (top / "a" / "b" / "file").write_text("x")
    os.link(outside / "precious", top / "hard")
    os.mkfifo(top / "fifo")
    (Path(os.fsdecode(os.fsencode(top) + b"/\xff\xfe"))).mkdir()
    (top / "new\nline").write_text("x")

    Disk().remove_tree(top)

    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["outside"]
    assert (outside / "precious").read_text() == "x"


def test_a_tree_deeper_than_any_path_may_be_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    place = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=place)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=place))
        below = os.open("deep", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)

    Disk().remove_tree(top)

    assert not top.exists()


@pytest.fixture
def shared() -> Iterator[Path]:
    """Yields a directory of a user without root's rights, as whom the test runs."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        was_root = os.geteuid() == 0
        if was_root:
            os.seteuid(65534)
        yield Path(name)
        if was_root:
            os.seteuid(0)


@pytest.mark.parametrize("depth", [0, 41])
def test_directories_without_permissions_are_opened_up_and_removed(shared: Path, depth: int) -> None:
    place = shared.joinpath("tree", *["d"] * depth)
    for name in ("closed/inner", "unreadable/inner", "read-only/inner"):
        (place / name).mkdir(parents=True)
        (place / name / "file").touch()
    for name, mode in (("closed/inner", 0), ("closed", 0), ("unreadable", 0o300)):
        (place / name).chmod(mode)
    (place / "read-only" / "inner").chmod(0o500)
    (place / "read-only").chmod(0o500)
    place.chmod(0)

    Disk().remove_tree(shared / "tree")

    assert list(shared.iterdir()) == []


def test_a_file_or_a_link_at_the_place_is_removed_itself(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "link").symlink_to("victim")
    (tmp_path / "file").write_text("x")

    Disk().remove_tree(tmp_path / "link")
    Disk().remove_tree(tmp_path / "file")
    Disk().remove_tree(tmp_path / "missing")
    Disk().remove_tree(tmp_path / "missing" / "below")

    assert [entry.name for entry in tmp_path.iterdir()] == ["victim"]


def test_another_file_system_in_the_tree_is_not_entered(tmp_path: Path) -> None:
    mount = tmp_path / "tree" / "mount"
    mount.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", str(mount)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        (mount / "precious").write_text("x")

        with pytest.raises(DiskFailed, match="mount in it is another file system"):
            Disk().remove_tree(tmp_path / "tree")

        assert (mount / "precious").read_text() == "x"
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_removal_cut_in_the_middle_is_finished_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "tree" / "d").mkdir(parents=True)

    def cut(effect: str) -> None:
        if effect.startswith("remove-dir"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), observe(cut):
        Disk().remove_tree(tmp_path / "tree")
    left = (tmp_path / "tree").exists()
    Disk().remove_tree(tmp_path / "tree")

    assert left
    assert not (tmp_path / "tree").exists()


def test_a_directory_swapped_for_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "precious").write_text("x")
    top = os.open(tmp_path, os.O_RDONLY)
    os.symlink("victim", tmp_path / "swapped")

    with pytest.raises(NotADirectoryError):
        tree._remove_dir("swapped", top, top, os.fstat(top).st_dev, 5)

    os.close(top)
    assert (tmp_path / "victim" / "precious").exists()
