"""Migrating where the file system is odd: folding case, layered, foreign, or holding very many files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from tests.migrate.building import contents, litter, migrator, plain, put, snapshot
from tests.migrate.crashing import before_view, effects_of


@contextmanager
def mounted(place: Path, *words: str) -> Iterator[Path]:
    """Mounts something at a directory, which is made; skips with the reason where that is not possible."""
    place.mkdir(exist_ok=True)
    done = _tried("mount", *words, os.fspath(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", os.fspath(place)], check=done == 0)


@contextmanager
def formatted(image: Path, place: Path, *words: str) -> Iterator[Path]:
    """Makes a file system of 32 MB in a file and mounts it; skips where that is not possible."""
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    _tried(*words, os.fspath(image))
    with mounted(place, "-o", "loop", os.fspath(image)):
        shutil.rmtree(place / "lost+found", ignore_errors=True)
        yield place


def _tried(*words: str) -> int:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount")
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]} here")
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{words[0]} cannot do this here: {done.stderr.strip().splitlines()[:1]}")
    return done.returncode


def _twins(root: Path) -> None:
    plain(root)
    put(root / "checkpoints/README", b"one\n")
    put(root / "checkpoints/readme", b"other\n")


def test_names_that_differ_in_case_alone_stay_two_and_a_twin_of_ours_is_not_ours(fast: Path) -> None:
    root = fast / "repo"
    _twins(root)
    if len(list((root / "checkpoints").glob("[Rr]*[Ee]"))) < 2:
        pytest.skip("this file system does not tell names apart that differ in case alone")
    put(root / ".Orchestrator/x")
    before = snapshot(root)

    migrator(root).migrate()

    assert (root / ".orchestrator/checkpoints/README").read_bytes() == b"one\n"
    assert (root / ".orchestrator/checkpoints/readme").read_bytes() == b"other\n"
    assert os.listdir(root / ".Orchestrator") == ["x"]
    migrator(root).take_back()
    assert snapshot(root) == before


def test_names_that_would_fall_together_elsewhere_stay_where_they_are(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    _twins(root)
    with formatted(tmp_path / "image", root / ".orchestrator", "mkfs.ext4", "-q", "-O", "casefold") as place:
        _tried("chattr", "+F", os.fspath(place))
        before, bytes_before = before_view(root), contents(root)

        with pytest.raises(OrchestratorError):
            migrator(root).migrate()

        assert set(bytes_before) <= set(contents(root))
        migrator(root).take_back()
        assert before_view(root) == before


def test_an_overlay_whose_directories_cannot_be_renamed_is_copied_and_taken_back(fast: Path) -> None:
    lower, top = fast / "lower", fast / "top"
    plain(lower)
    os.link(lower / "checkpoints/run-0/cp-0.json", lower / "checkpoints/same")
    with mounted(top, "-t", "tmpfs", "tmpfs"):
        for name in ("upper", "work"):
            (top / name).mkdir()
        layers = f"lowerdir={lower},upperdir={top}/upper,workdir={top}/work"
        with mounted(fast / "repo", "-t", "overlay", "-o", layers, "overlay") as root:
            before, bytes_before = snapshot(root), contents(root)

            migrator(root).migrate()

            after = contents(root)
            assert [after.count(one) for one in bytes_before] == [
                bytes_before.count(one) for one in bytes_before
            ]
            assert len(list((root / ".orchestrator/checkpoints").rglob("*.json"))) == 6
            assert not (root / "checkpoints").exists()
            assert migrator(root).migrate().did == "nothing"
            migrator(root).take_back()
            assert snapshot(root) == before
            assert litter(root) == []


def test_a_file_system_without_links_gets_nothing_or_everything(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    plain(root)
    (root / "checkpoints/link").symlink_to("run-0")
    with formatted(tmp_path / "image", root / ".orchestrator", "mkfs.vfat"):
        before, bytes_before = before_view(root), contents(root)

        with pytest.raises(OrchestratorError):
            migrator(root).migrate()

        assert set(bytes_before) <= set(contents(root))
        migrator(root).take_back()
        assert before_view(root) == before


@pytest.mark.parametrize("files", [5_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_what_it_does_to_the_disk_does_not_depend_on_the_number_of_files(fast: Path, files: int) -> None:
    few, many = fast / "few", fast / "many"
    for root in (few, many):
        plain(root)
    _fill(many / "checkpoints/many", files)
    names = sorted(os.listdir(many / "checkpoints/many"))
    shown = migrator(many).preview().plan

    effects = {root: effects_of(lambda root=root: migrator(root).migrate()) for root in (few, many)}  # type: ignore[misc]
    back = {root: effects_of(lambda root=root: migrator(root).take_back()) for root in (few, many)}  # type: ignore[misc]

    assert sum(action.files for action in shown.actions) == files + 9
    assert len(effects[many]) == len(effects[few])
    assert len(back[many]) == len(back[few])
    assert _renames(effects[many], many) == [".orch_secrets", "checkpoints", "logs", "orchestrator.db"]
    assert sorted(os.listdir(many / "checkpoints/many")) == names


def _fill(place: Path, files: int) -> None:
    for directory in range(files // 1000):
        (place / f"{directory:03}").mkdir(parents=True)
        for number in range(1000):
            os.close(os.open(place / f"{directory:03}" / str(number), os.O_CREAT | os.O_WRONLY))


def _renames(effects: list[str], root: Path) -> list[str]:
    """Returns what was renamed of the old layout, one for each rename."""
    sources = [
        one.removeprefix("rename ").partition(" -> ")[0] for one in effects if one.startswith("rename ")
    ]
    found = [os.path.relpath(source, root) for source in sources]
    return sorted(name for name in found if not name.startswith((".orchestrator", ".tmp-orchestrator-")))
