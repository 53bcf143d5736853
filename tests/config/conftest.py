"""Loads configuration from files in a temporary directory, apart from the machine's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.config.load import LoadedConfig, load
from orchestrator.errors import ConfigInvalid
from orchestrator.model.json import Json


@dataclass
class Layers:
    """Files of all layers; `load` and `problems` read them."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    flags: dict[str, Json] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return self.root / "repo" / ".orchestrator"

    def write(self, layer: str, text: str | bytes) -> Path:
        path = {
            "system": self.root / "system.yaml",
            "user": self.root / "user.yaml",
            "repository": self.directory / "workflow.yaml",
            "local": self.directory / "workflow.local.yaml",
            "root": self.root / "repo" / "workflow.yaml",
        }[layer]
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def load(self, text: str | bytes | None = None) -> LoadedConfig:
        if text is not None:
            self.write("repository", text)
        return load(
            repository=self.root / "repo",
            state_root=self.root / "repo",
            environment=self.environment,
            flags=self.flags,
            system_file=self.root / "system.yaml",
            user_file=self.root / "user.yaml",
        )

    def problems(self, text: str | bytes | None = None) -> tuple[str, ...]:
        with pytest.raises(ConfigInvalid) as caught:
            self.load(text)
        return caught.value.problems


@pytest.fixture
def layers(tmp_path: Path, home: Path) -> Layers:
    made = Layers(tmp_path)
    made.directory.mkdir(parents=True)
    return made
