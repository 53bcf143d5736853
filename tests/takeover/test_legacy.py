"""Until somebody migrates, the old state is read where it lies, and not a byte of it is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import DiskFailed, Refused
from orchestrator.fs.effects import observe
from orchestrator.migrate.catalogue import load_catalogue
from orchestrator.migrate.migration import Migrator
from orchestrator.takeover import legacy, uses
from orchestrator.takeover.kept import journal_of, originals_of, pending
from tests.takeover import w_files
from tests.takeover.conftest import Taker


def test_status_shows_workflows_in_the_old_place_newest_first(tmp_path: Path) -> None:
    w_files.write_everything(tmp_path)

    found = legacy.legacy_status(tmp_path)

    assert (found[0].id, found[0].status, found[0].phase, found[0].task) == (
        w_files.RUN,
        "waiting",
        "EXECUTE",
        "Teach app.py to say good",
    )
    assert found[1].status == "completed"


def test_sessions_of_the_second_generation_are_read_too(tmp_path: Path) -> None:
    w_files.write_json(tmp_path / ".orchestrator/sessions/ab12cd34/state.json", w_files.a_state())

    assert [run.id for run in legacy.legacy_status(tmp_path)] == [w_files.RUN]


def test_report_is_found_by_either_id_and_tells_the_past(tmp_path: Path) -> None:
    w_files.write_everything(tmp_path)

    by_ours = legacy.legacy_report(tmp_path, w_files.RUN)
    by_theirs = legacy.legacy_report(tmp_path, w_files.WORKFLOW)

    assert by_ours == by_theirs
    assert [phase.id for phase in by_ours.workflow.phases] == list(w_files.PHASES)
    assert any("Remember the milk" in str(event.data) for event in by_ours.past)
    with pytest.raises(Refused, match="There is no run"):
        legacy.legacy_report(tmp_path, "nothing")


def test_reading_the_old_place_changes_nothing(tmp_path: Path) -> None:
    w_files.write_everything(tmp_path)
    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()
    }

    legacy.legacy_status(tmp_path)
    legacy.legacy_report(tmp_path, w_files.RUN)

    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in tmp_path.rglob("*") if p.is_file()}


def test_an_empty_or_hostile_place_has_no_runs(tmp_path: Path) -> None:
    assert legacy.legacy_status(tmp_path) == ()
    (tmp_path / ".workflow_state.json").symlink_to("/dev/zero")
    (tmp_path / ".orchestrator").symlink_to("/proc")

    assert legacy.legacy_status(tmp_path) == ()
    assert [one.source for one in legacy.legacy_problems(tmp_path)] == [".workflow_state.json"]


def test_reading_the_old_place_needs_the_standard_library_alone() -> None:
    code = (
        "import sys; import orchestrator.takeover.legacy;"
        "print(sorted({'pydantic', 'yaml', 'sqlite3', 'typer', 'rich', 'git'} & set(sys.modules)))"
    )

    # Without the variables of the coverage tool, which imports sqlite3 itself.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout.strip() == "[]"


def test_uses_are_counted_where_we_may_write_and_only_there(taker: Taker, tmp_path: Path) -> None:
    uses.count_use(taker.paths, taker.disk, "w")
    uses.count_use(taker.paths, taker.disk, "w")
    elsewhere = type(taker.paths)(tmp_path / "elsewhere")
    uses.count_use(elsewhere, taker.disk, "w")

    assert uses.uses(taker.paths)["w"].count == 2
    assert uses.uses(elsewhere) == {}
    assert not (tmp_path / "elsewhere").exists()


def test_a_count_that_cannot_be_written_is_no_error(taker: Taker) -> None:
    def full(effect: str) -> None:
        raise DiskFailed(path=effect, reason="full")

    with observe(full):
        uses.count_use(taker.paths, taker.disk, "w")

    assert uses.uses(taker.paths) == {}


def test_a_damaged_count_starts_again(taker: Taker) -> None:
    (taker.paths.logs_dir / uses.NAME).write_text("{")

    uses.count_use(taker.paths, taker.disk, "w")

    assert uses.uses(taker.paths)["w"].count == 1


def test_what_a_migration_kept_waits_for_its_takeover(taker: Taker) -> None:
    w_files.write_json(taker.root / ".workflow_state.json", w_files.a_state())
    (taker.root / ".orchestrator.yaml").write_text("test_command: pytest\n")
    migrated = Migrator(taker.root, catalogue=load_catalogue(), disk=taker.disk).migrate()
    [record] = pending(taker.root)

    originals = originals_of(record)
    taker_journal = journal_of(record)

    assert migrated.did == "migrated"
    assert {(one.source, one.kind) for one in originals} >= {
        (".workflow_state.json", "state"),
        (".orchestrator.yaml", "config"),
    }
    assert all(one.path.exists() for one in originals)
    taken = taker.take_over(originals, journal=taker_journal)
    assert w_files.RUN in taken.imported
    assert pending(taker.root) == ()
