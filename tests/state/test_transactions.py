from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import (
    DiskFailed,
    Failed,
    Locked,
    OrchestratorError,
    Refused,
    StateDamaged,
    StateLost,
)
from orchestrator.fs.effects import observe
from orchestrator.model.event import EventKind
from orchestrator.model.finding import Category, Finding, Severity
from orchestrator.model.record import OperationKind, OperationStatus
from orchestrator.model.run import ExecutionProgress, PhaseStatus, RunProgress, RunStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.state import failure
from orchestrator.state.manager import StateManager
from tests.state.making import (
    BASE,
    FIRST,
    R1,
    a_plan,
    a_run,
    in_child,
    mounted,
    needs_root,
    reopened,
    started,
)

SAID = EventKind.AGENT_SAID


class PowerCut(Exception):
    pass


def test_verbs_in_one_transaction_become_durable_together_with_one_commit(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    effects: list[str] = []

    with observe(effects.append), state.transaction():
        started(state)
        execution = state.create_execution(R1, FIRST, attempt=1)
        state.complete_execution(execution.id)

    assert effects == ["database commit"]
    state.close()
    with reopened(paths) as again:
        assert len(again.get_executions(R1)) == 1


def test_an_error_undoes_everything_in_the_transaction(state: StateManager) -> None:
    def fail_late() -> None:
        with state.transaction():
            started(state)
            state.update_run_status(R1, RunStatus.PLANNING)

    with pytest.raises(Refused):
        fail_late()

    assert state.list_runs() == []
    assert state.events(R1) == []


def test_an_inner_error_that_is_handled_undoes_only_the_inner_part(state: StateManager) -> None:
    with state.transaction():
        started(state)
        with pytest.raises(Refused):
            state.update_run_status(R1, RunStatus.PLANNING)
        state.record_event(R1, SAID, {})

    assert [event.kind for event in state.events(R1)] == [
        "run.started",
        "plan.ready",
        "run.status",
        "agent.said",
    ]
    assert state.verify_chain() is None


def test_a_power_cut_at_the_commit_leaves_what_was(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)
    before = state.export_run_summary(R1), state.events(R1)

    def cut(effect: str) -> None:
        raise PowerCut

    with observe(cut), pytest.raises(PowerCut):
        state.update_run_status(R1, RunStatus.FAILED)

    assert (state.export_run_summary(R1), state.events(R1)) == before
    state.update_run_status(R1, RunStatus.FAILED)
    state.close()
    reopened(paths).close()


def verbs(state: StateManager) -> list[object]:
    finding = Finding(Severity.MAJOR, Category.TEST, "no", "a.py:1")
    ids: dict[str, object] = {}

    def begin() -> None:
        ids["execution"] = state.create_execution(R1, FIRST, attempt=1)

    def execution() -> object:
        return ids["execution"]

    def grouped() -> None:
        with state.transaction():
            state.add_finding(execution(), finding, is_new=True)  # type: ignore[arg-type]
            state.set_execution_progress(
                execution().id,  # type: ignore[attr-defined]
                ExecutionProgress(checked=True),
                event=EventKind.CHECK_FINISHED,
            )

    def operate() -> None:
        ids["operation"] = state.begin_operation(OperationKind.MERGE, R1, "/c", {"old": "1"})

    def ask() -> None:
        ids["asked"] = state.add_intervention(R1, None, "a", "b")

    return [
        lambda: state.create_run(a_run(), a_plan(), 2),
        lambda: state.update_run_status(R1, RunStatus.EXECUTING),
        lambda: state.update_phase_status(R1, FIRST, PhaseStatus.IN_PROGRESS),
        begin,
        lambda: state.set_execution_progress(
            execution().id,  # type: ignore[attr-defined]
            ExecutionProgress(process=(1, 2)),
            event=EventKind.STEP_STARTED,
        ),
        grouped,
        lambda: state.complete_execution(execution().id),  # type: ignore[attr-defined]
        lambda: state.add_artifact(R1, FIRST, name="n", path="r1/n", type="log", size_bytes=1, hash="0"),
        ask,
        lambda: state.resolve_intervention(ids["asked"].id, "done"),  # type: ignore[attr-defined]
        operate,
        lambda: state.update_operation(ids["operation"].id, OperationStatus.DONE),  # type: ignore[attr-defined]
        lambda: state.set_run_progress(R1, RunProgress(result=BASE), event=EventKind.BRANCH_UPDATED),
        lambda: state.request_cancel(R1),
        lambda: state.update_run_status(R1, RunStatus.CANCELLED),
    ]


def shape(state: StateManager) -> object:
    """Returns what a run looks like apart from ids and times."""
    if not state.list_runs():
        return None
    run = state.get_run(R1)
    return (
        run.status,
        run.metadata.progress,
        [phase.status for phase in state.get_phases_for_run(R1)],
        [(one.status, replace(one.progress)) for one in state.get_executions(R1)],
        [one.finding for one in state.get_findings(R1)],
        len(state.get_artifacts(R1)),
        [one.status for one in state.get_interventions()],
        [one.status for one in state.get_operations()],
        [event.kind for event in state.events(R1)],
    )


def test_a_kill_at_any_durable_effect_loses_no_acknowledged_verb(tmp_path: Path) -> None:
    """A child is killed at its n-th effect, from the making of the file on, for every n there is."""
    calm = OrchestratorPaths(tmp_path / "calm")
    effects: list[str] = []
    with observe(effects.append), StateManager.open(calm, create=True) as state:
        shapes = [shape(state)]
        for verb in verbs(state):
            verb()  # type: ignore[operator]
            shapes.append(shape(state))
    assert len(effects) > len(shapes)

    for number in range(1, len(effects) + 1):
        paths = OrchestratorPaths(tmp_path / str(number))
        reader, writer = os.pipe()

        def act(paths: OrchestratorPaths = paths, writer: int = writer, number: int = number) -> None:
            left = number

            def kill(effect: str) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            with observe(kill), StateManager.open(paths, create=True) as state:
                for verb in verbs(state):
                    verb()  # type: ignore[operator]
                    os.write(writer, b"+")

        status = in_child(act)
        os.close(writer)
        acknowledged = len(os.read(reader, 1000))
        os.close(reader)

        assert os.WTERMSIG(status) == signal.SIGKILL, effects[number - 1]
        with StateManager.open(paths, create=True) as again:
            assert again.verify_chain() is None
            assert again.problems() == ()
            assert shape(again) == shapes[acknowledged], effects[number - 1]


def test_closing_makes_durable_that_the_log_is_gone(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)
    seen: list[tuple[str, bool]] = []

    with observe(lambda effect: seen.append((effect, os.path.exists(f"{paths.state_file}-wal")))):
        state.close()

    assert seen == [(f"sync-dir {paths.orchestrator_dir}", False)]


def test_two_processes_at_once_lose_no_update(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)
    state.close()
    count, each = 3, 40
    ready, go = os.pipe()

    def add() -> None:
        os.close(go)
        with StateManager.open(paths) as mine:
            os.read(ready, 1)
            for _ in range(each):
                with mine.transaction():
                    notes = mine.get_run(R1).metadata.progress.notes
                    mine.set_run_progress(R1, RunProgress(notes=(*notes, str(os.getpid()))), event=SAID)

    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                add()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    os.close(ready)
    os.close(go)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * count

    with reopened(paths) as again:
        notes = again.get_run(R1).metadata.progress.notes
        assert sorted(notes) == sorted(str(child) for child in children for _ in range(each))
        assert len([event for event in again.events(R1) if event.kind is SAID]) == count * each


def test_processes_that_make_the_state_at_the_same_time_all_succeed(paths: OrchestratorPaths) -> None:
    ready, go = os.pipe()
    children = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(go)
                os.read(ready, 1)
                with StateManager.open(paths, create=True) as mine:
                    mine.record_event(None, SAID, {"n": number})
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    os.close(ready)
    os.close(go)

    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6

    with reopened(paths) as again:
        assert sorted(str(event.data["n"]) for event in again.events(None)) == list("012345")


def test_a_killed_writer_leaves_no_lock(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)
    state.close()

    def die() -> None:
        mine = StateManager.open(paths)
        with mine.transaction():
            mine.record_event(R1, SAID, {"lost": True})
            os.kill(os.getpid(), signal.SIGKILL)

    assert os.WTERMSIG(in_child(die)) == signal.SIGKILL

    with reopened(paths) as again:
        again.record_event(R1, SAID, {"kept": True})
        assert [event.data for event in again.events(R1) if event.kind is SAID] == [{"kept": True}]


def remove_all(paths: OrchestratorPaths) -> None:
    shutil.rmtree(paths.orchestrator_dir)


def remove_log(paths: OrchestratorPaths) -> None:
    Path(f"{paths.state_file}-wal").unlink()


def put_another_in_its_place(paths: OrchestratorPaths) -> None:
    shutil.copy(paths.state_file, paths.base_dir / "copy")
    os.replace(paths.base_dir / "copy", paths.state_file)


def move_the_repository(paths: OrchestratorPaths) -> None:
    paths.base_dir.rename(paths.base_dir.with_name("moved"))


@pytest.mark.parametrize("harm", [remove_all, remove_log, put_another_in_its_place, move_the_repository])
def test_a_state_removed_or_replaced_under_a_live_run_is_noticed(
    state: StateManager, paths: OrchestratorPaths, harm: object
) -> None:
    started(state)

    harm(paths)  # type: ignore[operator]

    with pytest.raises(StateLost):
        state.record_event(R1, SAID, {})
    with pytest.raises(StateLost):
        state.cancel_requested(R1)
    assert state.get_run(R1).id == R1  # still readable, for a last checkpoint


def test_a_state_removed_during_the_commit_is_not_acknowledged(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    started(state)

    def remove(effect: str) -> None:
        remove_all(paths)

    with observe(remove), pytest.raises(StateLost):
        state.record_event(R1, SAID, {})


def test_a_watched_lock_that_is_replaced_stops_the_run(state: StateManager, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    started(state)
    state.watch(lock)
    state.record_event(R1, SAID, {})

    (tmp_path / "other").touch()
    os.replace(tmp_path / "other", lock)

    with pytest.raises(StateLost, match="lock"):
        state.record_event(R1, SAID, {})
    state.unwatch(lock)
    state.record_event(R1, SAID, {})
    assert len(state.events(R1)) == 5
    with pytest.raises(StateLost):
        state.watch(tmp_path / "missing")


def test_a_relative_path_keeps_its_meaning_when_the_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with StateManager.open(OrchestratorPaths(Path(".")), create=True) as state:
        monkeypatch.chdir("/")
        started(state)

    with reopened(OrchestratorPaths(tmp_path)) as again:
        assert again.get_run(R1).id == R1


def fill(state: StateManager, count: int, acknowledged: list[int]) -> None:
    for number in range(count):
        state.record_event(R1, SAID, {"text": "x" * 2000, "n": number})
        acknowledged.append(number)


def fill_in_one(state: StateManager, count: int) -> None:
    with state.transaction():
        fill(state, count, [])


def fill_and_go_on(state: StateManager) -> None:
    with state.transaction():
        with pytest.raises(DiskFailed):
            fill(state, 20_000, [])
        state.record_event(R1, SAID, {"after": True})


def said(state: StateManager) -> list[object]:
    return [event.data["n"] for event in state.events(R1) if event.kind is SAID]


def test_a_full_disk_fails_the_verb_and_nothing_else(tmp_path: Path) -> None:
    needs_root()
    place = tmp_path / "small"
    place.mkdir()
    paths, acknowledged = OrchestratorPaths(place), list[int]()
    with (
        mounted(place, "-t", "tmpfs", "-o", "size=2m", "none"),
        StateManager.open(paths, create=True) as state,
    ):
        started(state)

        with pytest.raises(DiskFailed) as failed:
            fill(state, 10_000, acknowledged)
        with pytest.raises(DiskFailed):
            fill_in_one(state, 1000)

        assert failed.value.code == "disk-full"
        assert "Free some space" in failed.value.hint
        assert len(acknowledged) > 10
        assert said(state) == acknowledged
        assert state.verify_chain() is None
        remount(place, "size=16m")
        state.record_event(R1, SAID, {"n": "after"})
        assert said(state) == [*acknowledged, "after"]
        assert state.problems() == ()
        state.close()
        reopened(paths).close()


def remount(place: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True)


def test_nothing_is_written_after_a_full_disk_has_ended_the_transaction(tmp_path: Path) -> None:
    needs_root()
    place = tmp_path / "small"
    place.mkdir()
    with (
        mounted(place, "-t", "tmpfs", "-o", "size=1m", "none"),
        StateManager.open(OrchestratorPaths(place), create=True) as state,
    ):
        started(state)
        before = state.events(R1)

        with pytest.raises(OrchestratorError):
            fill_and_go_on(state)

        assert state.events(R1) == before


def test_a_read_only_file_system_fails_the_verb(tmp_path: Path) -> None:
    needs_root()
    place = tmp_path / "ro"
    place.mkdir()
    with mounted(place, "-t", "tmpfs", "-o", "size=4m", "none"):
        paths = OrchestratorPaths(place)
        with StateManager.open(paths, create=True) as state:
            started(state)
        remount(place, "ro")

        with pytest.raises(DiskFailed) as failed:
            StateManager.open(paths)
        with pytest.raises(DiskFailed) as unmade:
            StateManager.open(OrchestratorPaths(place / "new"), create=True)

        assert failed.value.code in ("read-only", "disk-failed")
        assert unmade.value.code == "read-only"


def test_a_writer_that_never_ends_is_reported_as_a_lock(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    started(state)
    other = sqlite3.connect(paths.state_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    state._database.execute("PRAGMA busy_timeout = 1")

    with pytest.raises(Locked) as locked:
        state.record_event(R1, SAID, {})

    other.execute("ROLLBACK")
    other.close()
    assert locked.value.exit_status == 5
    state.record_event(R1, SAID, {})


@pytest.mark.parametrize(
    ("code", "kind", "name"),
    [
        (sqlite3.SQLITE_FULL, DiskFailed, "disk-full"),
        (sqlite3.SQLITE_READONLY, DiskFailed, "read-only"),
        (sqlite3.SQLITE_READONLY_DBMOVED, StateLost, "state-lost"),
        (sqlite3.SQLITE_PERM, DiskFailed, "permission"),
        (sqlite3.SQLITE_IOERR_FSYNC, DiskFailed, "disk-failed"),
        (sqlite3.SQLITE_CANTOPEN, DiskFailed, "disk-failed"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Locked, "locked"),
        (sqlite3.SQLITE_LOCKED, Locked, "locked"),
        (sqlite3.SQLITE_CORRUPT_INDEX, StateDamaged, "state-damaged"),
        (sqlite3.SQLITE_NOTADB, StateDamaged, "state-damaged"),
        (sqlite3.SQLITE_ERROR, Failed, "state-failed"),
        (None, Failed, "state-failed"),
    ],
)
def test_every_failure_of_sqlite_has_its_error(
    code: int | None, kind: type[OrchestratorError], name: str
) -> None:
    error = sqlite3.OperationalError("what SQLite says")
    if code is not None:
        error.sqlite_errorcode = code

    found = failure.translated(error, "/place/state.db")

    assert type(found) is kind
    assert found.code == name
    assert "/place/state.db" in found.message
