"""Gives each test a remote of its own and machines that know it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import GitCall
from tests.sessions.machines import Machines


@pytest.fixture
def machines(tmp_path: Path, git: GitCall) -> Machines:
    """Returns a remote with one commit, and nobody who works yet."""
    return Machines(tmp_path, git)
