"""Breaks the careful parts one at a time: each break must turn a check red, or the checks prove nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.fs import disk as disk_module
from orchestrator.fs.disk import Disk, StrPath
from orchestrator.fs.effects import announce, observe
from orchestrator.migrate import mover, record
from tests.migrate.building import litter, migrator, plain
from tests.migrate.crashing import before_view, copied, done_view, effects_of, killed_at
from tests.sampling import EVERY, points

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


class NoDirectorySync(Disk):
    """Forgets to make names durable."""

    def sync_dir(self, path: StrPath) -> None:
        return


class WritesInPlace(Disk):
    """Writes a file under its own name, so that a cut leaves a part of it."""

    def write(self, path: StrPath, data: bytes, *, mode: int = 0o600, modified_ns: int | None = None) -> None:
        announce(f"write {path}")
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.chmod(path, mode)
            disk_module._sync(file.fileno())
        self.sync_dir(os.path.dirname(path))


@dataclass
class Ledger:
    """Writes down announced effects and real syncs in their order; the sync of one number is dropped."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    drop: int | None = None
    syncs: int = 0

    def effect(self, text: str) -> None:
        self.lines.append(("effect", text))

    def sync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        of_a_lock = "/.orchestrator/locks" in path
        if of_a_lock or self.syncs != self.drop:
            os.fsync(descriptor)
            self.lines.append(("sync", path))
        self.syncs += not of_a_lock

    def careless(self) -> list[str]:
        """Returns effects that were not durable before the next one; a new file not before it had its name.

        Who holds a lock need not survive a power cut: nobody holds it then.
        """
        wrong = []
        for at, (kind, text) in enumerate(self.lines):
            if kind == "effect" and not text.endswith(".holder"):
                synced = []
                for what, path in self.lines[at + 1 :]:
                    if what == "effect":
                        break
                    synced.append(path)
                if not _is_durable(text, synced):
                    wrong.append(text)
        return wrong + unsynced([text for kind, text in self.lines if kind == "effect"])


def _is_durable(effect: str, synced: list[str]) -> bool:
    verb, _, rest = effect.partition(" ")
    path = os.path.realpath(rest)
    if verb in ("append", "sync-dir"):
        return path in synced
    if verb in ("write", "copy"):
        scratch = os.path.join(os.path.dirname(path), ".tmp-orchestrator-")
        return any(one.startswith(scratch) for one in synced)
    return True


def recorded(
    work: Callable[[], object], monkeypatch: pytest.MonkeyPatch, *, drop: int | None = None
) -> Ledger:
    """Returns what was done and synced; the patch is the mutation that drops one sync, and the record."""
    ledger = Ledger(drop=drop)
    with monkeypatch.context() as patch, observe(ledger.effect):
        patch.setattr(disk_module, "_sync", ledger.sync)
        patch.setattr(disk_module, "_sync_data", ledger.sync)
        work()
    return ledger


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


@pytest.mark.skipif(sys.platform != "linux", reason="the path of a descriptor is read from /proc")
@EVERY
def test_any_single_dropped_sync_is_seen(
    master: Path, fast: Path, monkeypatch: pytest.MonkeyPatch, every: bool
) -> None:
    whole = recorded(lambda: migrator(copied(master, fast / "whole")).migrate(), monkeypatch)
    back = recorded(lambda: migrator(fast / "whole").take_back(), monkeypatch)
    assert (whole.careless(), back.careless()) == ([], [])
    assert min(whole.syncs, back.syncs) > 15

    root = fast / "case"
    for number in (at - 1 for at in points(whole.syncs, every=every)):
        copied(master, root)
        assert recorded(lambda: migrator(root).migrate(), monkeypatch, drop=number).careless(), number
        shutil.rmtree(root)
    for number in (at - 1 for at in points(back.syncs, every=every)):
        copied(master, root)
        migrator(root).migrate()
        assert recorded(lambda: migrator(root).take_back(), monkeypatch, drop=number).careless(), number
        shutil.rmtree(root)


@pytest.mark.skipif(sys.platform != "linux", reason="the path of a descriptor is read from /proc")
def test_a_record_written_in_place_is_seen(master: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = recorded(lambda: migrator(master, disk=WritesInPlace()).migrate(), monkeypatch)

    assert ledger.careless() != []


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
        lambda: sweep(master, fast, every=12)
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
