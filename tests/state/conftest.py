from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.paths import OrchestratorPaths
from orchestrator.state.manager import StateManager


@pytest.fixture
def paths(tmp_path: Path) -> OrchestratorPaths:
    return OrchestratorPaths(tmp_path / "workspace")


@pytest.fixture
def state(paths: OrchestratorPaths) -> Iterator[StateManager]:
    with StateManager.open(paths, create=True) as opened:
        yield opened
