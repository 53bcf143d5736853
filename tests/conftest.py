"""Gives every test a home and git configuration of its own, and small real repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

GitCall = Callable[..., str]

_KEPT = (
    "PATH",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "SYSTEMROOT",
    "COVERAGE_PROCESS_START",
    "COVERAGE_PROCESS_CONFIG",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns an empty home directory and makes the environment name it and nothing of the caller's."""
    place = tmp_path / "home"
    place.mkdir()
    for name in list(os.environ):
        if name not in _KEPT and not name.startswith(("PYTEST_", "COV_")):
            monkeypatch.delenv(name)
    (place / ".gitconfig").write_text(
        "[user]\n\tname = A User\n\temail = user@example.invalid\n[init]\n\tdefaultBranch = main\n"
    )
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(place / ".gitconfig"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return place


@pytest.fixture
def git(home: Path) -> GitCall:
    """Returns a function that runs git in a directory and returns what it prints."""

    def call(directory: Path, *arguments: str, ok: bool = True) -> str:
        done = subprocess.run(  # the tests' own git, apart from the room under test
            ["git", *arguments], cwd=directory, capture_output=True, text=True, errors="surrogateescape"
        )
        if ok and done.returncode != 0:
            raise AssertionError(f"git {arguments}: {done.stderr}")
        return done.stdout.strip()

    return call


@pytest.fixture
def repository(tmp_path: Path, git: GitCall) -> Path:
    """Returns a repository with one commit on main that holds app.py and README.md."""
    place = tmp_path / "repo"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    (place / "app.py").write_text("print(1)\n")
    (place / "README.md").write_text("# app\n")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "first")
    return place
