"""Kills a migration just before one of its durable effects, in a child that shares nothing but the disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from orchestrator.fs import effects
from orchestrator.migrate.migration import Migrator
from tests.migrate.building import Facts, litter, migrator, snapshot
from tests.sampling import points

Making: TypeAlias = Callable[[Path], Migrator]

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


def sweep(
    master: Path, place: Path, *, few: int | None = None, mount: Path | None = None, made: Making = migrator
) -> int:
    """Kills at every effect of migrating, then of taking back, or at a few; returns the number of kills."""
    before = before_view(master)
    with case(master, place, mount) as root:
        effects = len(effects_of(lambda: made(root).migrate()))
        done = done_view(root)
        back = len(effects_of(lambda: made(root).take_back()))
        assert before_view(root) == before
    forwards, backwards = (points(total, every=few is None, few=few or total) for total in (effects, back))
    kills = 0
    for number in forwards:
        with case(master, place, mount) as root:
            kills += killed_at(number, lambda root=root: made(root).migrate())  # type: ignore[misc]
            made(root).migrate()
            assert done_view(root) == done, f"finished after a kill before effect {number}"
            assert litter(root) == [], number
        with case(master, place, mount) as root:
            killed_at(number, lambda root=root: made(root).migrate())  # type: ignore[misc]
            made(root).take_back()
            assert before_view(root) == before, f"taken back after a kill before effect {number}"
            assert litter(root) == [], number
    for number in backwards:
        with case(master, place, mount) as root:
            made(root).migrate()
            kills += killed_at(number, lambda root=root: made(root).take_back())  # type: ignore[misc]
            made(root).take_back()
            assert before_view(root) == before, f"taken back after a kill before effect {number} of that"
            assert litter(root) == [], number
    assert kills == len(forwards) + len(backwards)
    return kills


@contextmanager
def case(master: Path, place: Path, mount: Path | None) -> Iterator[Path]:
    root = copied(master, place / "case")
    if mount is not None:
        _empty(mount)
        (root / ".orchestrator").mkdir(exist_ok=True)
        subprocess.run(["mount", "--bind", os.fspath(mount), os.fspath(root / ".orchestrator")], check=True)
    try:
        yield root
    finally:
        if mount is not None:
            subprocess.run(["umount", os.fspath(root / ".orchestrator")], check=True)
        shutil.rmtree(root)


def _empty(mount: Path) -> None:
    for entry in mount.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
