from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.config.frozen import freeze
from orchestrator.config.schema import Config
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.layout import create_layout
from orchestrator.state.manager import StateManager
from orchestrator.takeover.original import Original
from orchestrator.takeover.taking_over import TakeoverReport, take_over

BASE = ObjectId("a" * 40)


@dataclass
class Taker:
    """An initialised checkout without git, and the originals of a migration in it."""

    root: Path
    state: StateManager | None = None
    base: ObjectId | None = BASE
    disk: Disk = field(default_factory=Disk)

    @property
    def paths(self) -> OrchestratorPaths:
        return OrchestratorPaths(self.root)

    @property
    def place(self) -> Path:
        """Returns where the originals lie."""
        return self.paths.migrations_dir / "m-1" / "original"

    @property
    def journal(self) -> Path:
        return self.paths.migrations_dir / "m-1" / "takeover.jsonl"

    def take_over(
        self, originals: Sequence[Original], *, again: bool = False, journal: Path | None = None
    ) -> TakeoverReport:
        return take_over(
            originals,
            paths=self.paths,
            state=self.state,
            disk=self.disk,
            journal=journal or self.journal,
            base=self.base,
            branch="refs/heads/main",
            config_json=lambda: freeze(Config()),
            again=again,
        )

    def known(self) -> StateManager:
        assert self.state is not None
        return self.state


def new_taker(root: Path) -> Taker:
    """Returns a checkout with an empty state."""
    taker = Taker(root)
    create_layout(taker.paths, taker.disk, private=False, workflow_yaml=None)
    taker.place.mkdir(parents=True)
    taker.state = StateManager.open(taker.paths, create=True)
    return taker


@pytest.fixture
def taker(tmp_path: Path) -> Iterator[Taker]:
    made = new_taker(tmp_path / "checkout")
    yield made
    made.known().close()
