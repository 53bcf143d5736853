"""Kills a migration just before one of its durable effects, in a child that shares nothing but the disk."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from orchestrator.fs import effects
from tests.migrate.building import Facts, litter, snapshot

_MADE_NOW = (".gitignore", "layout.json", "artifacts/legacy-w/approvals.db", "locks")
_RECORD = ("journal.jsonl", "plan.json", "made.json", "report.json", "layout")


def effects_of(work: Callable[[], object]) -> list[str]:
    seen: list[str] = []
    with effects.observe(seen.append):
        work()
    return seen


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Returns whether a child that did the work was killed just before its effect of that number (from 1)."""
    child = os.fork()
    if child == 0:
        count = 0

        def cut(_: str) -> None:
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

        with contextlib.suppress(BaseException), effects.observe(cut):
            work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def copied(master: Path, place: Path) -> Path:
    subprocess.run(["cp", "-a", os.fspath(master), os.fspath(place)], check=True)
    return place


def done_view(root: Path) -> Facts:
    """Returns the tree of a finished migration without what holds times and names of its own."""
    ids = os.listdir(root / ".orchestrator/migrations")
    skip = [f".orchestrator/{name}" for name in _MADE_NOW]
    skip += [f".orchestrator/migrations/{one}/{name}" for one in ids for name in _RECORD]
    for name in (".gitignore", "layout.json"):
        assert (root / ".orchestrator" / name).is_file()
    return snapshot(root, skip=skip)


def before_view(root: Path) -> Facts:
    """Returns the tree without what may remain after a rollback: the record of the migration and locks."""
    facts = snapshot(root, skip=(".orchestrator/migrations", ".orchestrator/locks"))
    assert not [one for one in litter(root) if "/migrations/" not in one], litter(root)
    return facts
