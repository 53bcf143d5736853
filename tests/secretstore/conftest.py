"""Gives tests a store in a directory of its own, a home, and SSH keys."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.fs.disk import Disk
from orchestrator.secretstore import age
from orchestrator.secretstore.identity import load_identities
from orchestrator.secretstore.store import Store

NAME = "SERVICE_API_KEY"
VALUE = b"canary-4711-value"


@dataclass
class Bench:
    """A store, and the variables of whoever uses it; `home` holds their own directories."""

    root: Path
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def store(self, *, committed: bool = False) -> Store:
        return Store(
            self.root / "secrets" / "repo",
            label="repository store",
            lock=self.root / "locks" / "secrets.lock",
            disk=Disk(),
            committed=committed,
            alias="sample",
        )

    def set(self, name: str = NAME, value: bytes = VALUE) -> None:
        self.store().set(name, value, self.environment)

    def value(self, name: str = NAME) -> bytes | None:
        return self.store().reveal(name, load_identities(self.environment))


@pytest.fixture
def bench(tmp_path: Path, home: Path) -> Bench:
    root = tmp_path / "place"
    root.mkdir()
    return Bench(root, home)


def ssh_key(directory: Path, kind: str, passphrase: str = "") -> Path:
    """Makes an SSH key pair and returns the path of the private one; skips where there is no ssh-keygen."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    path = directory / f"id_{kind}"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "tester", "-f", os.fspath(path)], check=True
    )
    return path


def stranger() -> tuple[str, str]:
    """Returns a private and a public key of somebody else."""
    return age.new_identity()
