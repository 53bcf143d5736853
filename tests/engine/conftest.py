from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.scene import Scene


@pytest.fixture
def scene(repository: Path, tmp_path: Path) -> Scene:
    """Returns the sample repository, initialised, without any check."""
    programs = tmp_path / "programs"
    programs.mkdir()
    made = Scene(repository, programs)
    made.configure("")
    return made
