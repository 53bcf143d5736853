"""Places for whole trees: a fast one, and one on another file system."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

Built: TypeAlias = Callable[[Callable[[Path], None]], Path]


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Path]:
    """Yields a directory in memory where there is one: hundreds of cases sync each of their effects."""
    memory = "/dev/shm"
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    place = Path(tempfile.mkdtemp(prefix="migrate-", dir=memory))
    try:
        yield place
    finally:
        shutil.rmtree(place)


@pytest.fixture
def other_file_system(fast: Path) -> Iterator[Path]:
    """Yields an empty tmpfs, or skips where nobody may mount one."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount another file system")
    place = fast / "other"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", os.fspath(place)], check=False
    )
    if made.returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", os.fspath(place)], check=True)


@pytest.fixture
def built(fast: Path) -> Built:
    def build(what: Callable[[Path], None]) -> Path:
        master = fast / "master"
        master.mkdir()
        what(master)
        return master

    return build
