"""A kill at every durable effect: the next command finishes exactly, or takes back exactly."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from orchestrator.migrate.record import State, records
from tests.conftest import GitCall
from tests.migrate.building import litter, migrator, plain, w, w_inside
from tests.migrate.conftest import Built
from tests.migrate.crashing import copied, effects_of, killed_at, sweep
from tests.sampling import EVERY, points

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


def _small_w(root: Path) -> None:
    w(root)
    for name in (
        ".workflow_feedback.jsonl.migrated",
        ".workflow_tool_feedback.jsonl",
        ".model_registry.json",
    ):
        (root / name).unlink()


def test_a_kill_at_any_effect_of_a_plain_layout_is_finished_or_taken_back(built: Built, fast: Path) -> None:
    assert sweep(built(plain), fast, few=6) == 12


def test_a_kill_at_any_effect_of_w_is_finished_or_taken_back(built: Built, fast: Path) -> None:
    assert sweep(built(_small_w), fast, few=6) == 12


def test_a_kill_at_any_effect_inside_an_old_directory_of_the_same_name_is_finished_or_taken_back(
    built: Built, fast: Path
) -> None:
    assert sweep(built(w_inside), fast, few=6) == 12


def test_a_kill_at_any_effect_across_file_systems_is_finished_or_taken_back(
    built: Built, fast: Path, other_file_system: Path
) -> None:
    def with_place(root: Path) -> None:
        plain(root)
        os.link(root / "checkpoints/run-0/cp-0.json", root / "checkpoints/same")
        (root / "checkpoints/link").symlink_to("nowhere")
        (root / ".orchestrator").mkdir()

    assert sweep(built(with_place), fast, few=4, mount=other_file_system) == 8


@EVERY
def test_a_kill_while_finalizing_is_finished_by_the_next_command(
    repository: Path, git: GitCall, fast: Path, every: bool
) -> None:
    plain(repository)
    record = migrator(repository).migrate().record
    assert record is not None
    trial = copied(repository, fast / "trial")
    effects = len(effects_of(lambda: migrator(trial).finish()))
    ref = f"refs/orchestrator/migrations/{record.plan.id}"
    listing = git(trial, "ls-tree", "-r", ref)

    for number in points(effects, every=every):
        root = copied(repository, fast / "case")
        killed_at(number, lambda root=root: migrator(root).finish())  # type: ignore[misc]
        migrator(root).finish()

        assert records(root)[0].state is State.FINALIZED, number
        assert not records(root)[0].originals.exists()
        assert git(root, "ls-tree", "-r", ref) == listing
        assert litter(root) == []
        shutil.rmtree(root)


@pytest.mark.long
def test_every_single_effect_of_every_layout_on_both_kinds_of_file_system(
    fast: Path, other_file_system: Path
) -> None:
    for number, what in enumerate((plain, w, w_inside)):
        for mount in (None, other_file_system):
            if mount is not None and what is w_inside:
                continue
            place = fast / f"{number}-{mount is None}"
            master = place / "master"
            master.mkdir(parents=True)
            what(master)
            if mount is not None:
                (master / ".orchestrator").mkdir()
            sweep(master, place, mount=mount)
