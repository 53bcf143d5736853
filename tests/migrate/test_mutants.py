"""Breaks the careful parts one at a time: each break must turn a check red, or the checks prove nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.fs.disk import Disk, StrPath
from orchestrator.fs.effects import observe
from orchestrator.migrate import mover, record
from tests.migrate.building import litter, migrator, plain
from tests.migrate.crashing import before_view, copied, done_view, effects_of, killed_at

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


class NoDirectorySync(Disk):
    """Forgets to make names durable."""

    def sync_dir(self, path: StrPath) -> None:
        return


def unsynced(effects: list[str]) -> list[str]:
    """Returns renames after which one of the two directories is not synced before the journal goes on."""
    wrong = []
    for at, effect in enumerate(effects):
        if not effect.startswith("rename ") or "-> " not in effect:
            continue
        source, _, target = effect.removeprefix("rename ").partition(" -> ")
        rest = effects[at + 1 :]
        until = next((n for n, later in enumerate(rest) if later.startswith("append ")), len(rest))
        synced = {later.removeprefix("sync-dir ") for later in rest[:until] if later.startswith("sync-dir ")}
        wanted = {os.path.dirname(target)}
        if not os.path.basename(source).startswith(".tmp-orchestrator-"):
            wanted.add(os.path.dirname(source))
        if not wanted <= synced:
            wrong.append(effect)
    return wrong


def unannounced(effects: list[str], root: Path) -> list[str]:
    """Returns renames of old files that no line of the journal came before."""
    wrong, announced = [], False
    for effect in effects:
        if effect.startswith("append ") and effect.endswith("journal.jsonl"):
            announced = True
        elif effect.startswith(f"rename {root}/") and ".orchestrator" not in effect.partition(" -> ")[0]:
            if not announced:
                wrong.append(effect)
            announced = False
    return wrong


def sweep(master: Path, place: Path, *, every: int = 1) -> None:
    """Raises AssertionError or an error of ours where a kill leaves neither the old nor the new state."""
    before = before_view(master)
    root = copied(master, place / "case")
    total = len(effects_of(lambda: migrator(root).migrate()))
    done = done_view(root)
    shutil.rmtree(root)
    for number in range(1, total + 1, every):
        for command, wanted, view in (("migrate", done, done_view), ("take_back", before, before_view)):
            root = copied(master, place / "case")
            killed_at(number, lambda root=root: migrator(root).migrate())  # type: ignore[misc]
            getattr(migrator(root), command)()
            assert view(root) == wanted, number
            assert litter(root) == [], number
            shutil.rmtree(root)


@pytest.fixture
def master(fast: Path) -> Path:
    place = fast / "master"
    place.mkdir()
    plain(place)
    shutil.rmtree(place / "logs")
    return place


def is_red(check: Callable[[], object]) -> bool:
    try:
        check()
    except (AssertionError, OrchestratorError, OSError):
        return True
    return False


def test_every_rename_is_synced_and_announced_by_the_journal(master: Path) -> None:
    effects = effects_of(lambda: migrator(master).migrate())

    assert unsynced(effects) == []
    assert unannounced(effects, master) == []
    assert unsynced(effects_of(lambda: migrator(master).take_back())) == []


def test_a_dropped_sync_is_seen(master: Path) -> None:
    effects = effects_of(lambda: migrator(master, disk=NoDirectorySync()).migrate())

    assert unsynced(effects) != []


def test_a_missing_journal_is_seen(master: Path, fast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(
        journal: record.Journal, event: record.EventName, step: int | None = None, detail: str = ""
    ) -> None:
        # Keeps the line in memory alone, as a program without a durable journal would.
        line = record.Line(
            seq=len(journal.lines) + 1, at=journal.lines[0].at, event=event, step=step, detail=detail
        )
        journal.lines.append(line)

    monkeypatch.setattr(record.Journal, "add", forgets)

    assert is_red(lambda: sweep(master, fast, every=2))


def test_a_copy_written_in_place_is_seen(master: Path, fast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _always_copies(monkeypatch)
    assert not is_red(
        lambda: sweep(master, fast, every=4)
    )  # the same way of copying, with its staging name, is sound

    monkeypatch.setattr(mover.Move, "stage", property(lambda move: move.target))

    assert is_red(lambda: sweep(master, fast, every=2))


def test_a_source_removed_before_its_copy_is_renamed_is_seen(
    master: Path, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _always_copies(monkeypatch)

    def hasty(self: mover.Mover, move: mover.Move) -> None:
        self._disk.carry(move.source, move.stage)
        self._disk.remove_tree(move.source)
        self._disk.rename(move.stage, move.target)

    monkeypatch.setattr(mover.Mover, "_copy", hasty)

    assert is_red(lambda: sweep(master, fast, every=2))


def _always_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every move of an old file go the way of another file system, without needing one."""
    real = mover.Mover._renamed

    def elsewhere(self: mover.Mover, source: str, target: str) -> bool:
        crossing = (".orchestrator" in source) != (".orchestrator" in target)
        return not (crossing and "-gone" not in target) and real(self, source, target)

    monkeypatch.setattr(mover.Mover, "_renamed", elsewhere)


def test_the_observer_sees_the_effects(master: Path) -> None:
    seen: list[str] = []

    with observe(seen.append):
        migrator(master).migrate()

    assert len(seen) > 30
