"""Looks at checkouts, remembers journals and cuts the power, for the tests of this room."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from orchestrator.discovery import locate
from orchestrator.fs.effects import announce, observe
from orchestrator.model.json import JsonObject
from orchestrator.repo.repository import Repository
from tests.conftest import GitCall


class Notebook:
    """Remembers on the disk what was recorded last; announces each record, as a database does its commits."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __call__(self, facts: JsonObject) -> None:
        announce("database commit")
        self._place.with_suffix(".new").write_text(json.dumps(facts))
        os.replace(self._place.with_suffix(".new"), self._place)

    @property
    def facts(self) -> JsonObject | None:
        """Returns the facts recorded last, or None."""
        if not self._place.exists():
            return None
        read: JsonObject = json.loads(self._place.read_text())
        return read


def opened(place: Path, *, trusted: bool = True) -> Repository:
    """Returns the repository seen from `place`."""
    return Repository(locate(str(place), {}), trusted=trusted)


def look(git: GitCall, place: Path) -> dict[str, object]:
    """Returns all a user could see of a checkout, and what lies around in its git directory."""
    files: dict[str, object] = {}
    for directory, names, found in os.walk(place):
        if ".git" in names:
            names.remove(".git")
        for name in (*found, *(name for name in names if (Path(directory) / name).is_symlink())):
            path = Path(directory) / name
            if name != ".git":
                content = os.readlink(path) if path.is_symlink() else path.read_bytes()
                files[str(path.relative_to(place))] = (path.lstat().st_mode, content)
        files[str(Path(directory).relative_to(place)) + "/"] = "directory"
    git_dir = Path(git(place, "rev-parse", "--path-format=absolute", "--git-dir"))
    common = Path(git(place, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    return {
        "files": files,
        "head": git(place, "symbolic-ref", "HEAD"),
        "refs": git(place, "for-each-ref"),
        "index": git(place, "ls-files", "--stage", "-v"),
        "status": git(place, "status", "--porcelain"),
        "around": {entry.name for entry in git_dir.iterdir()}
        - {"COMMIT_EDITMSG", "ORIG_HEAD", "packed-refs"},
        "locks": sorted(str(path) for path in common.rglob("*.lock")),
    }


def effects_of(action: Callable[[], object]) -> int:
    """Returns how many effects an action has; it is done."""
    seen: list[str] = []
    with observe(seen.append):
        action()
    return len(seen)


def killed_at(effect: int, action: Callable[[], object]) -> bool:
    """Runs `action` in a child killed before its `effect`-th effect; returns whether it came that far."""
    child = os.fork()
    if child == 0:
        seen = 0

        def cut(_: str) -> None:
            nonlocal seen
            seen += 1
            if seen == effect:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with observe(cut):
                action()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the action failed by itself"
    return os.WIFSIGNALED(status)
