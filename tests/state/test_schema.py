from __future__ import annotations

import json
import os
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import DiskFailed, OrchestratorError, Refused, StateDamaged
from orchestrator.fs.effects import observe
from orchestrator.model.event import EventKind
from orchestrator.model.finding import Category, Finding, Severity
from orchestrator.model.ids import RunId
from orchestrator.model.record import OperationKind
from orchestrator.model.run import ExecutionProgress, PhaseStatus, RunStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.state import damage, schema
from orchestrator.state.database import Database, connect
from orchestrator.state.manager import StateManager
from orchestrator.state.vitals import APPLICATION_ID
from tests.state.making import FIRST, R1, a_run, in_child, reopened, started


class PowerCut(Exception):
    pass


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """Returns the migrations of a version to come, five steps further."""
    place = tmp_path / "migrations"
    place.mkdir()
    for path in schema.MIGRATIONS.glob("*.sql"):
        (place / path.name).write_text(path.read_text())
    for number in range(2, 7):
        (place / f"{number:04}_more.sql").write_text(
            f"-- more; of it\nCREATE TABLE more{number} (x);\n"
            f"CREATE TRIGGER t{number} BEFORE DELETE ON more{number} BEGIN\n  SELECT 1; SELECT 2;\nEND;\n"
        )
    return place


def migrated(paths: OrchestratorPaths, migrations: Path) -> int:
    database = connect(str(paths.state_file))
    try:
        schema.migrate(database, paths.backups_dir, migrations)
        return schema.version(database)
    finally:
        database.close()


def test_each_migration_is_preceded_by_a_backup_and_the_last_three_are_kept(
    state: StateManager, paths: OrchestratorPaths, later: Path
) -> None:
    started(state)
    state.close()

    assert migrated(paths, later) == 6

    backups = sorted(paths.backups_dir.iterdir())
    assert [path.name[-8:] for path in backups] == ["v0003.db", "v0004.db", "v0005.db"]
    for number, path in enumerate(backups, 3):
        assert path.stat().st_mode & 0o777 == 0o600
        copy = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("PRAGMA user_version").fetchone() == (number,)
        assert copy.execute("SELECT id FROM runs").fetchall() == [("r1",)]
        copy.close()


def test_a_new_state_needs_no_backup(state: StateManager, paths: OrchestratorPaths) -> None:
    assert not paths.backups_dir.exists()


def test_a_backup_can_take_the_place_of_the_state(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)
    kept = schema.back_up(state._database, paths.backups_dir, 1)
    state.update_run_status(R1, RunStatus.FAILED)
    state.close()

    os.replace(kept, paths.state_file)

    with reopened(paths) as again:
        assert again.get_run(R1).status is RunStatus.EXECUTING
        again.update_run_status(R1, RunStatus.VERIFYING)


def test_a_power_cut_at_any_effect_of_a_migration_leaves_it_before_or_after(
    tmp_path: Path, later: Path
) -> None:
    effects = 0
    while True:
        paths = OrchestratorPaths(tmp_path / str(effects))
        with StateManager.open(paths, create=True) as state:
            started(state)
        left = effects

        def cut(effect: str) -> None:
            nonlocal left
            if left == 0:
                raise PowerCut
            left -= 1

        try:
            with observe(cut):
                migrated(paths, later)
        except PowerCut:
            pass
        else:
            break
        connection = sqlite3.connect(paths.state_file)
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'more_'").fetchone()[
            0
        ]
        connection.close()
        assert tables == found - 1
        assert migrated(paths, later) == 6
        effects += 1
    assert effects > 10


def test_a_kill_in_a_migration_is_gone_on_from(paths: OrchestratorPaths, later: Path) -> None:
    with StateManager.open(paths, create=True) as state:
        started(state)

    def die() -> None:
        seen = []

        def kill(effect: str) -> None:
            seen.append(effect)
            if seen.count("database commit") == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        with observe(kill):
            migrated(paths, later)

    assert os.WTERMSIG(in_child(die)) == signal.SIGKILL
    assert migrated(paths, later) == 6


def test_a_migration_that_fails_is_undone(state: StateManager, paths: OrchestratorPaths, later: Path) -> None:
    started(state)
    state.close()
    (later / "0002_more.sql").write_text("CREATE TABLE more2 (x);\nCREATE TABLE runs (x);\n")

    with pytest.raises(OrchestratorError):
        migrated(paths, later)

    with reopened(paths) as again:
        assert again.get_run(R1).id == R1


def test_a_migration_without_room_for_its_backup_changes_nothing(
    state: StateManager, paths: OrchestratorPaths, later: Path
) -> None:
    started(state)
    state.close()
    paths.backups_dir.write_text("in the way")

    with pytest.raises(Refused, match="backups"):
        migrated(paths, later)

    reopened(paths).close()


def test_processes_that_migrate_at_the_same_time_do_it_once(
    state: StateManager, paths: OrchestratorPaths, later: Path
) -> None:
    started(state)
    state.close()
    children = []
    ready, go = os.pipe()
    for _ in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(go)
                os.read(ready, 1)
                status = 0 if migrated(paths, later) == 6 else 2
            finally:
                os._exit(status)
        children.append(child)
    os.close(ready)
    os.close(go)

    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


def test_a_newer_state_is_refused_and_untouched(
    state: StateManager, paths: OrchestratorPaths, later: Path
) -> None:
    started(state)
    state.close()
    migrated(paths, later)
    before = paths.state_file.read_bytes()

    for opening in (StateManager.open, StateManager.open_read_only):
        with pytest.raises(Refused) as refused:
            opening(paths)
        assert refused.value.code == "state-newer"
        assert "schema 6" in refused.value.message

    assert paths.state_file.read_bytes() == before


def test_an_older_state_is_not_converted_by_a_reader(
    state: StateManager, paths: OrchestratorPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.close()
    # The next version does not exist yet; only its number matters here.
    monkeypatch.setattr(schema, "newest", lambda: 2)

    with pytest.raises(Refused) as refused:
        StateManager.open_read_only(paths)

    assert refused.value.code == "state-older"


def test_a_database_of_another_program_is_refused_and_untouched(paths: OrchestratorPaths) -> None:
    paths.orchestrator_dir.mkdir(parents=True)
    connection = sqlite3.connect(paths.state_file)
    connection.execute("CREATE TABLE theirs (x)")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    before = paths.state_file.read_bytes()

    for opening in (StateManager.open, StateManager.open_read_only):
        with pytest.raises(Refused) as refused:
            opening(paths)
        assert refused.value.code == "state-foreign"

    assert paths.state_file.read_bytes() == before


def test_the_tables_hold_what_the_documents_promise(state: StateManager, paths: OrchestratorPaths) -> None:
    promised = {
        "runs": "id task status created_at started_at completed_at metadata",
        "phases": "id run_id name description status dependencies retries max_retries created_at",
        "executions": "id phase_id run_id attempt_number status error created_at completed_at",
        "findings": "id execution_id run_id severity category message location resolved resolved_at",
        "artifacts": "id run_id phase_id name path type size hash created_at",
        "manual_interventions": "id run_id phase_id reason action_required status resolved_at created_at",
    }

    for table, columns in promised.items():
        found = {row[1] for row in state._database.all(f"PRAGMA table_info({table})")}
        assert set(columns.split()) <= found


def test_a_commit_is_on_the_disk_when_it_returns(state: StateManager) -> None:
    assert state._database.one("PRAGMA synchronous") == (2,)
    assert state._database.one("PRAGMA journal_mode") == ("wal",)
    assert state._database.one("PRAGMA foreign_keys") == (1,)


def test_a_file_system_without_a_write_ahead_log_is_refused() -> None:
    database = Database(sqlite3.connect(":memory:", isolation_level=None), ":memory:")

    with pytest.raises(Refused) as refused:
        schema.migrate(database, Path("/nowhere"))

    assert refused.value.code == "state-no-wal"
    database.close()


def test_switching_to_the_log_waits_for_another_process_but_not_for_ever(
    paths: OrchestratorPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.orchestrator_dir.mkdir(parents=True)
    other = sqlite3.connect(paths.state_file, isolation_level=None)
    other.execute("CREATE TABLE x (y)")
    other.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database = connect(str(paths.state_file))
    other.execute("BEGIN EXCLUSIVE")
    database.execute("PRAGMA busy_timeout = 0")
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.02)

    with pytest.raises(OrchestratorError) as failed:
        schema._use_write_ahead_log(database)

    assert failed.value.code == "locked"
    other.execute("COMMIT")
    other.close()
    schema._use_write_ahead_log(database)
    assert database.one("PRAGMA journal_mode") == ("wal",)
    database.close()


def damaged(paths: OrchestratorPaths) -> None:
    """Overwrites pages in the middle of the file, as a broken disk does."""
    with open(paths.state_file, "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096 * 6)


def test_a_damaged_file_is_reported_and_not_changed(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)
    state.close()
    damaged(paths)
    before = paths.state_file.read_bytes()

    with StateManager.open_read_only(paths) as reader:
        with pytest.raises(StateDamaged) as failed:
            reader.list_runs()
        assert reader.problems() != ()

    assert "doctor --recover" in failed.value.hint
    assert paths.state_file.read_bytes() == before


def test_a_broken_reference_is_a_problem(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)
    state.create_execution(R1, FIRST, attempt=1)
    state.close()
    connection = sqlite3.connect(paths.state_file)
    connection.execute("DELETE FROM runs")
    connection.commit()
    connection.close()

    with StateManager.open(paths) as state:
        assert any("missing row of runs" in problem for problem in state.problems())


def test_quarantine_keeps_every_byte_and_makes_room(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)
    state.close()
    damaged(paths)
    for suffix in ("-wal", "-shm"):
        Path(f"{paths.state_file}{suffix}").write_bytes(suffix.encode())
    before = {path.name: path.read_bytes() for path in paths.orchestrator_dir.iterdir()}

    place = damage.quarantine(paths)

    assert place is not None
    assert place.parent == paths.quarantine_dir
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert [path.name for path in paths.orchestrator_dir.iterdir()] == ["quarantine"]
    assert damage.quarantine(paths) is None
    with StateManager.open(paths, create=True) as fresh:
        assert fresh.list_runs() == []


def test_a_power_cut_in_quarantine_loses_nothing(tmp_path: Path) -> None:
    effects = 0
    while True:
        paths = OrchestratorPaths(tmp_path / str(effects))
        paths.orchestrator_dir.mkdir(parents=True)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{paths.state_file}{suffix}").write_bytes(suffix.encode() or b"db")
        left = effects

        def cut(effect: str) -> None:
            nonlocal left
            if left == 0:
                raise PowerCut
            left -= 1

        try:
            with observe(cut):
                damage.quarantine(paths)
        except PowerCut:
            damage.quarantine(paths)
            kept = {
                path.name: path.read_bytes() for path in paths.quarantine_dir.rglob("*") if path.is_file()
            }
            assert kept == {"state.db": b"db", "state.db-wal": b"-wal", "state.db-shm": b"-shm"}
            effects += 1
        else:
            break
    assert effects >= 3


def a_whole_run(state: StateManager) -> None:
    started(state)
    state.update_phase_status(R1, FIRST, PhaseStatus.IN_PROGRESS)
    execution = state.create_execution(R1, FIRST, attempt=1)
    state.set_execution_progress(execution.id, ExecutionProgress(steps_done=1, process=(1, 2)))
    state.add_finding(
        execution, Finding(Severity.MAJOR, Category.TEST, "n\udcffo", "a\udcff.py:1"), is_new=True
    )
    state.add_artifact(R1, FIRST, name="n", path="r1/n", type="log", size_bytes=1, hash="0")
    state.resolve_intervention(state.add_intervention(R1, None, "a", "b").id, "c")
    state.begin_operation(OperationKind.MERGE, R1, "/c\udcff", {"deep": [{"x": None}], "n": 1.5})
    state.request_cancel(R1)


def test_a_run_comes_back_from_its_document_exactly_but_for_trust_and_processes(
    state: StateManager, tmp_path: Path
) -> None:
    a_whole_run(state)
    document = json.loads(json.dumps(state.export_run_summary(R1)))
    execution = state.get_executions(R1)[0]
    elsewhere = OrchestratorPaths(tmp_path / "elsewhere")

    with StateManager.open(elsewhere, create=True) as other:
        assert other.recover_run(document)
        assert not other.recover_run(document)
        run = state.get_run(R1)
        assert other.get_run(R1) == replace(run, metadata=replace(run.metadata, trusted=False))
        assert other.get_phases_for_run(R1) == state.get_phases_for_run(R1)
        expected = replace(execution, progress=replace(execution.progress, process=None))
        assert other.get_executions(R1) == [expected]
        assert other.get_findings(R1) == state.get_findings(R1)
        assert other.get_artifacts(R1) == state.get_artifacts(R1)
        assert other.get_interventions(R1) == state.get_interventions(R1)
        assert other.get_operations() == state.get_operations()
        assert other.cancel_requested(R1)
        assert [event.kind for event in other.events(R1)] == [EventKind.RUN_RECOVERED]
    with reopened(elsewhere) as again:
        assert [run.id for run in again.get_recoverable_runs()] == [R1]


def changed(document: Any, path: str, value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place = copy
    for part in parents:
        place = place[part]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("schema_version", 2, "document-invalid"),
        ("run", KeyError, "document-invalid"),
        ("run/id", "../../etc", "run-id-invalid"),
        ("run/id", "state", "run-id-invalid"),
        ("run/id", "other", "document-invalid"),
        ("run/status", "done", "document-invalid"),
        ("run/created_at", "soon", "document-invalid"),
        ("run/task", None, "document-invalid"),
        ("phases/0/run_id", "other", "document-invalid"),
        ("phases/0/plan/id", "../x", "plan-invalid"),
        ("phases/0/plan/dependencies", ["phase-002"], "plan-invalid"),
        ("phases", [], "document-invalid"),
        ("executions/0/phase_id", "phase-009", "document-invalid"),
        ("executions", [], "document-invalid"),
        ("findings/0/run_id", "other", "document-invalid"),
        ("findings/0/finding/severity", "awful", "document-invalid"),
        ("artifacts/0/path", "../../../home/x", "unsafe-path"),
        ("operations/0/facts", [], "document-invalid"),
        ("interventions/0/status", 7, "document-invalid"),
    ],
)
def test_a_hostile_document_is_refused_as_a_whole(
    state: StateManager, tmp_path: Path, path: str, value: Any, code: str
) -> None:
    a_whole_run(state)
    document = changed(state.export_run_summary(R1), path, value)

    with StateManager.open(OrchestratorPaths(tmp_path / "elsewhere"), create=True) as other:
        with pytest.raises(Refused) as refused:
            other.recover_run(document)

        assert refused.value.code == code
        assert other.list_runs() == []
        assert other.events(RunId("r1")) == []


def test_a_document_that_nests_too_deeply_is_refused(state: StateManager) -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    with pytest.raises(Refused, match="nests too deeply"):
        state.recover_run({"schema_version": 1, "run": nested})


def test_a_document_cannot_take_the_ids_of_another_run(state: StateManager) -> None:
    a_whole_run(state)
    text = json.dumps(state.export_run_summary(R1)).replace('"r1"', '"r9"')

    with pytest.raises(Refused) as refused:
        state.recover_run(json.loads(text))

    assert refused.value.code == "state-conflict"
    assert [run.id for run in state.list_runs()] == [R1]


def test_a_read_only_state_can_be_exported(state: StateManager, paths: OrchestratorPaths) -> None:
    a_whole_run(state)

    with StateManager.open_read_only(paths) as reader:
        assert reader.export_run_summary(R1) == state.export_run_summary(R1)
        with reader._database.reading():
            assert reader.get_run(R1) == state.get_run(R1)


def test_a_run_without_phases_comes_back_too(state: StateManager, tmp_path: Path) -> None:
    state.create_run(a_run())

    with StateManager.open(OrchestratorPaths(tmp_path / "elsewhere"), create=True) as other:
        other.recover_run(state.export_run_summary(R1))
        assert other.get_phases_for_run(R1) == []


def test_a_file_that_cannot_be_opened_names_the_reason(paths: OrchestratorPaths, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "file").write_text("")
        with pytest.raises(OrchestratorError) as failed:
            StateManager.open(OrchestratorPaths(tmp_path / "file"), create=True)
        assert failed.value.code in ("disk-failed", "unsafe-path")
    else:
        paths.base_dir.mkdir(mode=0o500)
        with pytest.raises(DiskFailed) as denied:
            StateManager.open(paths, create=True)
        assert denied.value.code == "permission"


def test_a_database_whose_creation_was_cut_off_is_as_good_as_none(paths: OrchestratorPaths) -> None:
    paths.orchestrator_dir.mkdir(parents=True, exist_ok=True)
    paths.state_file.touch()

    with pytest.raises(Refused) as refused:
        StateManager.open_read_only(paths)

    assert refused.value.code == "state-missing"
    StateManager.open(paths, create=True).close()
    StateManager.open_read_only(paths).close()
