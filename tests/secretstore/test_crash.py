"""A kill at every effect of `set`, `remove` and `rekey`: the old or the new, and doing it again finishes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.fs.temp import PREFIX
from orchestrator.secretstore import age, identity
from orchestrator.secretstore.identity import load_identities
from tests.migrate.crashing import effects_of, killed_at
from tests.secretstore.conftest import NAME, VALUE, Bench, stranger

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")

TODAY = date(2026, 11, 26)


def at(place: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Returns the bench of a copy: its own root and its own home."""
    monkeypatch.setenv("HOME", str(place / "home"))
    return Bench(place / "root", place / "home", bench.environment)


def litter(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.name.startswith(PREFIX)]


def sweep(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Bench], object],
    check: Callable[[Bench], object],
) -> int:
    """Kills `work` at each of its effects in a copy, checks, does it again, checks; returns how many."""
    master = tmp_path / "master"
    master.mkdir()
    shutil.copytree(bench.root, master / "root")
    shutil.copytree(bench.home, master / "home")
    counted = tmp_path / "counted"
    shutil.copytree(master, counted)
    total = len(effects_of(lambda: work(at(counted, bench, monkeypatch))))
    for number in range(1, total + 1):
        place = tmp_path / f"case-{number}"
        shutil.copytree(master, place)
        copy = at(place, bench, monkeypatch)
        assert killed_at(number, lambda copy=copy: work(copy)), number  # type: ignore[misc]
        check(copy)
        work(copy)
        check(copy)
        assert litter(place) == [], number
        shutil.rmtree(place)
    return total


def test_a_killed_first_set_leaves_nothing_or_the_value(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(copy: Bench) -> None:
        if copy.store().has(NAME):
            assert copy.value() == VALUE
        if identity.own_identity_file().exists():
            assert load_identities({})[0].public

    total = sweep(bench, tmp_path, monkeypatch, lambda copy: copy.set(), check)

    assert total > 15


def test_a_killed_set_leaves_the_old_value_or_the_new(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.set()

    def check(copy: Bench) -> None:
        assert copy.value() in (VALUE, b"newer")

    assert sweep(bench, tmp_path, monkeypatch, lambda copy: copy.set(value=b"newer"), check) >= 3


def test_a_killed_remove_leaves_the_secret_or_nothing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.set()

    def check(copy: Bench) -> None:
        assert copy.value() in (VALUE, None)

    assert sweep(bench, tmp_path, monkeypatch, lambda copy: copy.store().remove(NAME), check) >= 2


def test_after_a_killed_rekey_everything_can_be_read_and_a_second_one_finishes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, removed), (added_private, added) = stranger(), stranger()
    values = {NAME: VALUE, "SECOND_KEY": b"second-value", "THIRD_KEY": b"third-value"}
    for name, value in values.items():
        bench.set(name, value)
    bench.store().change_recipients(lambda named: named.added(removed), {})
    bench.store().rekey({}, TODAY)
    bench.store().change_recipients(lambda named: named.removed(named.entries[1]).added(added), {})
    new = age.read_identities(added_private.encode(), "new")
    finished = []

    def readable(copy: Bench) -> None:
        assert {name: copy.value(name) for name in values} == values

    def rekey(copy: Bench) -> None:
        assert copy.store().rekey({}, TODAY).names == tuple(sorted(values))
        finished.append(all(copy.store().reveal(name, new) == values[name] for name in values))

    assert sweep(bench, tmp_path, monkeypatch, rekey, readable) >= 12
    assert finished
    assert all(finished)


def test_what_must_be_rotated_is_told_again_after_a_kill(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, removed = stranger()
    bench.set()
    bench.store().change_recipients(lambda named: named.added(removed), {})
    bench.store().rekey({}, TODAY)
    bench.store().change_recipients(lambda named: named.removed(named.entries[1]), {})
    total = len(effects_of(lambda: bench.store().rekey({}, TODAY)))
    assert bench.store().recipients().pending == ()
    told = []
    for number in range(1, total + 1):
        bench.store().change_recipients(lambda named: named.added(removed), {})
        bench.store().change_recipients(lambda named: named.removed(named.entries[-1]), {})
        assert killed_at(number, lambda: bench.store().rekey({}, TODAY))
        pending = bool(bench.store().recipients().pending)
        assert bench.store().rekey({}, TODAY).rotate == ((NAME,) if pending else ())
        told.append(pending)
    assert told.count(False) <= 2  # only where the note was already settled: the last sync and after it


def test_a_full_disk_leaves_the_old_value(bench: Bench) -> None:
    from orchestrator.fs import effects

    bench.set()

    def full(effect: str) -> None:
        if effect.startswith("rename"):
            raise OSError(28, "No space left on device")

    with effects.observe(full), pytest.raises(OrchestratorError) as refused:
        bench.set(value=b"newer")

    assert refused.value.code == "disk-full"
    assert bench.value() == VALUE
    assert litter(bench.root) == []
