"""Merging: what `git merge --no-ff` promises, and that a refusal or a kill changes nothing."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.discovery import locate
from orchestrator.errors import AnswerIsNo, Failed, Locked, NotTrusted, Refused
from orchestrator.fs.effects import observe
from orchestrator.model.ids import ObjectId
from orchestrator.model.json import JsonObject
from orchestrator.repo.journal import Move
from orchestrator.repo.merge import Merged, merge, simulate
from orchestrator.repo.repository import Repository
from orchestrator.repo.undo import settle
from tests.conftest import GitCall


class Notebook:
    """Remembers what was recorded."""

    def __init__(self) -> None:
        self.pages: list[JsonObject] = []

    def __call__(self, facts: JsonObject) -> None:
        self.pages.append(facts)


def opened(place: Path, *, trusted: bool = True) -> Repository:
    return Repository(locate(str(place)), trusted=trusted)


def result(git: GitCall, place: Path) -> ObjectId:
    """Makes a branch `result` that changes, adds, removes and re-types files; main stays checked out."""
    git(place, "checkout", "-q", "-b", "result")
    (place / "app.py").write_text("print(2)\n")
    (place / "new").mkdir()
    (place / "new" / "deep.txt").write_text("deep\n" * 50)
    (place / "README.md").unlink()
    (place / "link").symlink_to("app.py")
    (place / "tool.sh").write_text("#!/bin/sh\n")
    (place / "tool.sh").chmod(0o755)
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "the result")
    git(place, "checkout", "-q", "main")
    return ObjectId(git(place, "rev-parse", "result"))


@pytest.fixture
def theirs(git: GitCall, repository: Path) -> ObjectId:
    tip = result(git, repository)
    (repository / "other.txt").write_text("other\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "meanwhile")
    return tip


def merged(
    place: Path, theirs: ObjectId, notebook: Notebook | None = None, *, trusted: bool = True
) -> Merged:
    return merge(
        opened(place, trusted=trusted), theirs, "Merge the result", notebook or Notebook(), onto=None
    )


def look(git: GitCall, place: Path) -> dict[str, object]:
    """Returns everything a user could see of a checkout, and what lies around in its git directory."""
    files = {}
    for directory, names, found in os.walk(place):
        if ".git" in names:
            names.remove(".git")
        for name in found:
            path = Path(directory) / name
            content = os.readlink(path) if path.is_symlink() else path.read_bytes()
            files[str(path.relative_to(place))] = (path.lstat().st_mode, content)
        files[str(Path(directory).relative_to(place))] = (0, b"")
    git_dir = Path(git(place, "rev-parse", "--absolute-git-dir"))
    around = {entry.name for entry in git_dir.iterdir()} - {"index", "COMMIT_EDITMSG", "ORIG_HEAD"}
    return {
        "files": files,
        "head": git(place, "symbolic-ref", "HEAD"),
        "refs": git(place, "for-each-ref"),
        "index": git(place, "ls-files", "--stage", "-v"),
        "status": git(place, "status", "--porcelain"),
        "around": around,
    }


def test_a_merge_makes_a_merge_commit_of_the_user_and_updates_files_and_index(
    git: GitCall, repository: Path, theirs: ObjectId
) -> None:
    before = git(repository, "rev-parse", "HEAD")

    done = merged(repository, theirs)

    assert git(repository, "rev-parse", "main") == done.commit
    assert git(repository, "log", "-1", "--format=%P|%an|%ce|%s") == (
        f"{before} {theirs}|A User|user@example.invalid|Merge the result"
    )
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "app.py").read_text() == "print(2)\n"
    assert (repository / "link").is_symlink()
    assert os.access(repository / "tool.sh", os.X_OK)
    assert not (repository / "README.md").exists()
    assert "merge: Merge the result" in git(repository, "reflog", "-1")
    assert "merge: Merge the result" in git(repository, "reflog", "-1", "main")


def test_a_merge_gives_the_tree_that_git_merge_gives(
    git: GitCall, repository: Path, theirs: ObjectId, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", str(repository), "twin")
    git(tmp_path / "twin", "merge", "-q", "--no-ff", "-m", "x", "origin/result")

    merged(repository, theirs)

    assert git(repository, "rev-parse", "HEAD^{tree}") == git(tmp_path / "twin", "rev-parse", "HEAD^{tree}")
