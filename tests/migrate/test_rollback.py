"""Rollback: bit for bit, shown before, refused with reasons, repeatable; and finalize, which ends it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import Failed, MigrationConflict, Refused
from orchestrator.fs.disk import Disk
from orchestrator.migrate.record import State, records
from orchestrator.migrate.survey import survey
from tests.conftest import GitCall
from tests.migrate.building import migrator, plain, put, snapshot, w, w_inside


def test_rollback_restores_everything_and_leaves_nothing(tmp_path: Path) -> None:
    w(tmp_path)
    before = snapshot(tmp_path)

    migrator(tmp_path).migrate()
    migrator(tmp_path).take_back()

    assert snapshot(tmp_path) == before


def test_extended_attributes_survive_both_ways(tmp_path: Path) -> None:
    plain(tmp_path)
    try:
        os.setxattr(tmp_path / "checkpoints", "user.tag", b"\0\xff")
    except OSError:
        pytest.skip("this file system has no user attributes")
    before = snapshot(tmp_path)

    migrator(tmp_path).migrate()
    migrator(tmp_path).take_back()

    assert snapshot(tmp_path) == before


def test_rollback_is_shown_as_a_plan_that_changes_nothing(tmp_path: Path) -> None:
    plain(tmp_path)
    migrator(tmp_path).migrate()
    before = snapshot(tmp_path)

    shown = migrator(tmp_path).preview_rollback()

    assert [one.verdict for one in shown] == ["put-back"] * 4
    assert snapshot(tmp_path) == before


def test_rollback_can_be_repeated_and_migrate_again_after_it(tmp_path: Path) -> None:
    w_inside(tmp_path)
    before = snapshot(tmp_path)

    for _ in range(2):
        assert migrator(tmp_path).migrate().did == "migrated"
        assert migrator(tmp_path).take_back().did == "rolled-back"
        assert migrator(tmp_path).take_back().did == "nothing"

    skip = (".orchestrator/migrations", ".orchestrator/locks")
    assert snapshot(tmp_path, skip=skip) == before
    assert [record.state for record in records(tmp_path)] == [State.ROLLED_BACK] * 2


def test_our_own_later_files_stay_and_so_does_their_directory(tmp_path: Path) -> None:
    plain(tmp_path)
    migrator(tmp_path).migrate()
    put(tmp_path / ".orchestrator/state.db", b"ours")
    put(tmp_path / ".orchestrator/workflow.yaml", b"version: 1\n")

    migrator(tmp_path).take_back()

    assert (tmp_path / "checkpoints/run-0/cp-0.json").is_file()
    assert (tmp_path / ".orchestrator/state.db").read_bytes() == b"ours"
    assert (tmp_path / ".orchestrator/layout.json").is_file()


def test_files_changed_since_refuse_it_and_force_keeps_them_in_quarantine(tmp_path: Path) -> None:
    plain(tmp_path)
    migrator(tmp_path).migrate()
    put(tmp_path / ".orchestrator/logs/legacy-plain/a.log", b"more\n")
    before = snapshot(tmp_path, skip=(".orchestrator/locks",))

    with pytest.raises(MigrationConflict) as caught:
        migrator(tmp_path).take_back()

    assert "logs/legacy-plain" in caught.value.problems[0]
    assert snapshot(tmp_path, skip=(".orchestrator/locks",)) == before
    kept = migrator(tmp_path).take_back(force=True).kept
    assert "logs" in kept[0]
    assert (tmp_path / "orchestrator.db").is_file()
    assert [p.read_bytes() for p in (tmp_path / ".orchestrator/quarantine").rglob("a.log")] == [b"more\n"]


def test_something_new_at_the_old_place_refuses_it_and_force_puts_it_aside(tmp_path: Path) -> None:
    plain(tmp_path)
    migrator(tmp_path).migrate()
    put(tmp_path / "orchestrator.db", b"brand new")

    with pytest.raises(MigrationConflict):
        migrator(tmp_path).take_back()
    migrator(tmp_path).take_back(force=True)

    assert (tmp_path / "orchestrator.db").read_bytes().startswith(b"SQLite-ish")
    aside = list((tmp_path / ".orchestrator/quarantine").rglob("orchestrator.db"))
    assert [path.read_bytes() for path in aside] == [b"brand new"]


def test_a_moved_repository_still_rolls_back(tmp_path: Path) -> None:
    w(tmp_path / "one")
    before = snapshot(tmp_path / "one")
    migrator(tmp_path / "one").migrate()
    os.rename(tmp_path / "one", tmp_path / "two")

    migrator(tmp_path / "two").take_back()

    assert snapshot(tmp_path / "two") == before


def test_an_unknown_migration_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        migrator(tmp_path).take_back("m-unknown")

    assert caught.value.code == "migration-unknown"


def test_a_torn_last_line_of_the_journal_is_dropped(tmp_path: Path) -> None:
    plain(tmp_path)
    before = snapshot(tmp_path)
    record = migrator(tmp_path).migrate().record
    assert record is not None
    journal = record.directory / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])

    assert migrator(tmp_path).migrate().did == "resumed"
    assert records(tmp_path)[0].state is State.COMPLETED
    migrator(tmp_path).take_back()
    assert snapshot(tmp_path) == before


def test_a_journal_with_a_gap_is_damaged_and_nothing_is_touched(tmp_path: Path) -> None:
    plain(tmp_path)
    record = migrator(tmp_path).migrate().record
    assert record is not None
    journal = record.directory / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2] + lines[3:]))
    before = snapshot(tmp_path, skip=(".orchestrator/locks",))

    with pytest.raises(Failed) as caught:
        migrator(tmp_path).take_back()

    assert caught.value.code == "record-damaged"
    assert snapshot(tmp_path, skip=(".orchestrator/locks",)) == before


def test_finalize_keeps_the_originals_in_a_ref_and_drops_them(repository: Path, git: GitCall) -> None:
    w(repository)
    head, status = git(repository, "rev-parse", "HEAD"), git(repository, "status", "--porcelain", "app.py")
    record = migrator(repository).migrate().record
    assert record is not None

    done = migrator(repository).finish()

    assert done is not None
    assert not record.originals.exists()
    path = f"{done.ref}:.orchestrator/migrations/{record.plan.id}/original/.workflow_log.jsonl"
    assert git(repository, "show", path) == '{"event":"a"}\n{"event":"b"}'
    assert "secret" not in git(repository, "ls-tree", "-r", "--name-only", done.ref)
    assert git(repository, "rev-parse", "HEAD") == head
    assert git(repository, "status", "--porcelain", "app.py") == status
    assert migrator(repository).finish() is None


def test_a_finalized_migration_cannot_be_rolled_back(repository: Path, git: GitCall) -> None:
    plain(repository)
    record = migrator(repository).migrate().record
    assert record is not None
    migrator(repository).finish()

    with pytest.raises(Refused) as caught:
        migrator(repository).take_back(record.plan.id)

    assert caught.value.code == "migration-finalized"


def test_finalize_keeps_a_secret_in_quarantine_out_of_git(repository: Path, git: GitCall) -> None:
    plain(repository)
    place = put(repository / ".orchestrator/secrets/legacy-plain/.orch_secrets", b"KEY=v\n", 0o600)

    record = migrator(repository).migrate().record
    done = migrator(repository).finish()

    assert record is not None
    assert done is not None
    assert place.is_file()
    aside = f".orchestrator/quarantine/{record.plan.id}/.orch_secrets"
    assert (repository / aside).is_file()
    assert done.kept == (aside,)
    assert ".orch_secrets" not in git(repository, "ls-tree", "-r", "--name-only", done.ref)


def test_an_interrupted_finalize_is_finished_by_migrate(repository: Path, git: GitCall) -> None:
    plain(repository)
    record = migrator(repository).migrate().record
    assert record is not None
    record.journal.add("finalize-begun")

    assert migrator(repository).migrate().did == "resumed"
    assert records(repository)[0].state is State.FINALIZED
    assert not record.originals.exists()


def test_finalize_without_a_repository_is_refused(tmp_path: Path) -> None:
    plain(tmp_path)
    migrator(tmp_path).migrate()

    with pytest.raises(Refused) as caught:
        migrator(tmp_path).finish()

    assert caught.value.code == "not-a-repository"
    assert records(tmp_path, Disk())[0].state is State.COMPLETED


def test_a_survey_outside_a_repository_knows_nothing_tracked(tmp_path: Path) -> None:
    plain(tmp_path)

    assert survey(tmp_path, ()).git.tracked == frozenset()
