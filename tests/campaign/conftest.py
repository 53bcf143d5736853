"""Builds scenes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.campaign.scene import Scene, kill_all
from tests.conftest import GitCall

MakeScene = Callable[[str], Scene]


@pytest.fixture
def make_scene(repository: Path, git: GitCall, tmp_path: Path) -> Iterator[MakeScene]:
    """Yields a function that makes an initialised copy of the repository under a name."""

    def make(name: str) -> Scene:
        place = tmp_path / "scenes" / name
        shutil.copytree(repository, place, symlinks=True)
        scene = Scene(place, git)
        scene.initialise()
        return scene

    yield make
    kill_all(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yields an empty file system of 8 MB; skips where none can be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=4000", "tmpfs", str(place)],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield place
    kill_all(place)
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def strace(tmp_path: Path) -> None:
    """Skips where strace is missing or may not trace."""
    if sys.platform != "linux":
        pytest.skip("strace is for Linux")
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = str(tmp_path / "able")
    if subprocess.run(["strace", "-o", log, "true"], capture_output=True).returncode != 0:
        pytest.skip("processes cannot be traced here")
