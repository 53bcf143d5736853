from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import DiskFailed, OrchestratorError, Refused, StateDamaged
from orchestrator.model.event import EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.json import Json
from orchestrator.model.run import ExecutionProgress, RunProgress, RunStatus, Usage
from orchestrator.paths import OrchestratorPaths
from orchestrator.state import peek as front
from orchestrator.state import schema, snapshot
from orchestrator.state.manager import StateManager
from orchestrator.state.peek import peek
from tests.state.making import BASE, FIRST, R1, a_run, in_child, mounted, needs_root, reopened, started

SAID = EventKind.AGENT_SAID

ONCE = {"rounds": 1, "stopped": None}


def glance(paths: OrchestratorPaths, run_id: str | None = None, limit: int = 20) -> front.Glance:
    found = peek(str(paths.state_file), run_id, limit)
    assert found is not None
    return found


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_a_reader_beside_a_writer_sees_every_commit_and_nothing_else(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    started(state)
    with StateManager.open_read_only(paths) as reader:
        assert not reader.snapshot
        assert reader.get_run(R1).status is RunStatus.EXECUTING
        with state.transaction():
            state.update_run_status(R1, RunStatus.VERIFYING)
            assert reader.get_run(R1).status is RunStatus.EXECUTING
            assert glance(paths)["runs"][0]["status"] == "executing"
        assert reader.get_run(R1).status is RunStatus.VERIFYING
        assert glance(paths)["runs"][0]["status"] == "verifying"


def test_a_reader_cannot_write(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)

    with StateManager.open_read_only(paths) as reader, pytest.raises(DiskFailed) as failed:
        reader.update_run_status(R1, RunStatus.FAILED)

    assert failed.value.code == "read-only"
    assert state.get_run(R1).status is RunStatus.EXECUTING


def test_what_a_killed_writer_committed_is_read(state: StateManager, paths: OrchestratorPaths) -> None:
    state.close()

    def die() -> None:
        mine = StateManager.open(paths)
        started(mine)
        os.kill(os.getpid(), signal.SIGKILL)

    in_child(die)

    assert [run["id"] for run in glance(paths)["runs"]] == ["r1"]
    with StateManager.open_read_only(paths) as reader:
        assert reader.get_run(R1).status is RunStatus.EXECUTING


@pytest.mark.parametrize("ending", ["closed", "killed"])
def test_a_read_only_file_system_is_read_through_a_private_copy(tmp_path: Path, ending: str) -> None:
    needs_root()
    place = tmp_path / "ro"
    place.mkdir()
    with mounted(place, "-t", "tmpfs", "-o", "size=8m", "none"):
        paths = OrchestratorPaths(place)

        def work() -> None:
            mine = StateManager.open(paths, create=True)
            started(mine)
            mine.add_intervention(R1, None, "why", "what")
            if ending == "closed":
                mine.close()
            else:
                os.kill(os.getpid(), signal.SIGKILL)

        in_child(work)
        if ending == "killed":  # as a copy from a dead machine arrives: with the log, without its index
            os.unlink(f"{paths.state_file}-shm")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        before = contents(place), sorted(os.listdir("/tmp"))

        found = glance(paths)
        with StateManager.open_read_only(paths) as reader:
            assert reader.snapshot
            assert reader.get_run(R1).status is RunStatus.EXECUTING
            assert reader.verify_chain() is None
            assert reader.problems() == ()
            assert len(reader.events(R1)) == 4
            with pytest.raises(DiskFailed):
                reader.record_event(R1, SAID, {})

        assert found["snapshot"]
        assert [run["id"] for run in found["runs"]] == ["r1"]
        assert found["interventions"] == 1
        assert contents(place) == before[0]
        assert not [
            name for name in os.listdir("/tmp") if name.startswith("orchestrator-") and name not in before[1]
        ]


def test_a_directory_that_belongs_to_somebody_else_is_read_through_a_private_copy(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere; the read-only file system covers it")
    started(state)
    state.close()
    os.chmod(paths.orchestrator_dir, 0o500)
    try:
        with StateManager.open_read_only(paths) as reader:
            assert reader.snapshot
            assert reader.get_run(R1).id == R1
    finally:
        os.chmod(paths.orchestrator_dir, 0o700)


def test_a_copy_is_taken_again_while_the_file_changes(
    state: StateManager, paths: OrchestratorPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(state)
    state.close()
    path, copied = str(paths.state_file), snapshot._copy_file
    changes = iter(["once"])

    def copy_and_change(source: str, target: str) -> None:
        copied(source, target)
        if source == path and next(changes, None):
            os.utime(path, ns=(1, 1))

    # The race needs a writer between two system calls of the reader; nothing real hits it each time.
    monkeypatch.setattr(snapshot, "_copy_file", copy_and_change)
    snapshot._copy_settled(path, str(tmp_path / "copy.db"))
    assert next(changes, "used up") == "used up"

    monkeypatch.setattr(snapshot, "_copy_file", lambda source, target: os.utime(path))
    with pytest.raises(OrchestratorError) as failed:
        snapshot._copy_settled(path, str(tmp_path / "copy.db"))
    assert failed.value.code == "state-busy"


@pytest.mark.parametrize(
    "name", ["plain", "with space", "qu'o\"te", "per%41cent?x=1#y", "new\nline", "caf\udce9"]
)
def test_the_path_may_hold_any_byte(tmp_path: Path, name: str) -> None:
    paths = OrchestratorPaths(tmp_path / name)
    with StateManager.open(paths, create=True) as state:
        started(state)

    assert glance(paths)["runs"][0]["id"] == "r1"
    with StateManager.open_read_only(paths) as reader:
        assert reader.get_run(R1).id == R1


def test_status_sees_everything_it_shows(state: StateManager, paths: OrchestratorPaths) -> None:
    state.create_run(a_run(task="ta\udcffsk"))
    glance_before = glance(paths)["runs"][0]
    started(state, RunId("r2"))
    for number, usage in enumerate((Usage(10, 0, 0.5), Usage(5, None, 0.25), Usage()), 1):
        execution = state.create_execution(RunId("r2"), FIRST, attempt=number)
        state.set_execution_progress(execution.id, ExecutionProgress(usage=usage))
        state.fail_execution(execution.id, "no")
    reached = RunProgress(branch="refs/heads/orchestrator/r2", waiting_for="quota")
    state.update_run_status(RunId("r2"), RunStatus.WAITING, progress=reached)
    state.request_cancel(RunId("r2"))
    state.add_intervention(RunId("r2"), None, "a", "b")
    state.record_event(RunId("r2"), EventKind.STEP_STARTED, {"agent": "one"})
    state.record_event(RunId("r2"), EventKind.STEP_STARTED, {"agent": "two"})
    state.record_event(RunId("r2"), EventKind.VERDICT_REACHED, {"decision": "retry"})
    step: dict[str, Json] = {
        "phase": "phase-001",
        "attempt": 1,
        "round": 1,
        "step": 1,
        "agent": "one",
        "model": "m",
    }
    for tokens in (5, 10):  # the last that a step told counts
        state.record_event(RunId("r2"), EventKind.AGENT_USAGE, {**step, "input_tokens": tokens, "turns": 2})
    state.record_event(RunId("r2"), EventKind.AGENT_USAGE, {**step, "step": 2, "agent": "two", "model": ""})
    last = state.record_event(RunId("r2"), SAID, {})

    found = glance(paths, "r2")["runs"]

    assert glance_before["task"] == "ta\udcffsk"
    assert glance_before["usage"] == {"input_tokens": None, "output_tokens": None, "cost_usd": None}
    assert found == [
        {
            "id": "r2",
            "task": "fix it",
            "status": "waiting",
            "created_at": "2026-11-20T11:00:00.123456Z",
            "branch": "refs/heads/orchestrator/r2",
            "base": BASE,
            "phases": [
                {"id": "phase-001", "name": "First", "status": "pending", "attempts": 3} | ONCE,
                {"id": "phase-002", "name": "Second", "status": "pending", "attempts": 0} | ONCE,
            ],
            "executions": 3,
            "agent": "two",
            "outcome": None,
            "verdict": "retry",
            "waiting_for": "quota",
            "wake_at": None,
            "cancel_requested": True,
            "usage": {"input_tokens": 15, "output_tokens": 0, "cost_usd": 0.75},
            "spent": [
                {**step, "turns": 2, "input_tokens": 10, "output_tokens": None, "cost_usd": None},
                {
                    **step,
                    "step": 2,
                    "agent": "two",
                    "model": None,
                    "turns": None,
                    "input_tokens": None,
                    "output_tokens": None,
                    "cost_usd": None,
                },
            ],
            "last_event_at": last.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "interventions": 1,
        }
    ]
    json.dumps(found)


def test_status_shows_open_runs_before_newer_ended_ones_and_says_when_it_leaves_some_out(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    with state.transaction():
        for number in range(30):
            status = RunStatus.WAITING if number in (0, 1) else RunStatus.COMPLETED
            state.create_run(a_run(RunId(f"r{number:02}"), age_s=100 - number, status=status))

    found = glance(paths, limit=3)

    assert [run["id"] for run in found["runs"]] == ["r01", "r00", "r29", "r28", "r27"]
    assert found["more"]
    assert glance(paths, "r05")["runs"][0]["id"] == "r05"
    assert glance(paths, "none")["runs"] == []
    assert not glance(paths, limit=30)["more"]
    assert len(glance(paths, limit=30)["runs"]) == 30


def test_status_of_many_finished_runs_reads_through_indexes_only(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    connection = sqlite3.connect(paths.state_file)
    queries = [
        (front._RUN + front._OPEN + front._NEWEST, (20,)),
        (front._RUN + front._NEWEST, (20,)),
        (front._PHASES, ("r1",)),
        (front._USAGE, ("r1",)),
        (front._LAST_EVENT, ("r1",)),
        (front._INTERVENTIONS + " AND run_id = ?", ("r1",)),
    ]

    plans = [connection.execute("EXPLAIN QUERY PLAN " + text, values).fetchall() for text, values in queries]

    connection.close()
    for plan in plans:
        assert not [step for step in plan if step[3].startswith("SCAN") and "USING" not in step[3]], plan


def test_the_front_door_imports_nothing_dear() -> None:
    code = (
        "import sys; import orchestrator.state.peek as p;"
        "dear = 'dataclasses pathlib json typing tempfile pydantic re enum contextlib'.split();"
        "print(*[m for m in dear if m in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True,
                           env={"PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip

    assert found.stdout.split() == []


def test_the_queries_of_the_front_door_are_written_for_the_newest_schema() -> None:
    assert schema.newest() == front.SCHEMA_VERSION


def test_another_schema_is_left_to_the_full_command(state: StateManager, paths: OrchestratorPaths) -> None:
    state.close()
    connection = sqlite3.connect(paths.state_file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    assert peek(str(paths.state_file)) is None


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be looked at" * 20])
def test_what_is_no_state_is_never_taken_for_one(paths: OrchestratorPaths, content: bytes) -> None:
    paths.orchestrator_dir.mkdir(parents=True)
    paths.state_file.write_bytes(content)

    if content:
        with pytest.raises(StateDamaged):
            peek(str(paths.state_file))
        with pytest.raises(StateDamaged):
            StateManager.open_read_only(paths)
        with pytest.raises(StateDamaged):
            StateManager.open(paths)
    else:
        assert peek(str(paths.state_file)) is None
        with pytest.raises(Refused, match="no state"):
            StateManager.open_read_only(paths)
    assert paths.state_file.read_bytes() == content


def test_a_missing_state_is_said_and_not_made(paths: OrchestratorPaths) -> None:
    for opening in (
        StateManager.open,
        StateManager.open_read_only,
        lambda place: peek(str(place.state_file)),
    ):
        with pytest.raises(Refused) as refused:
            opening(paths)
        assert refused.value.code == "state-missing"
    assert not paths.orchestrator_dir.exists()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_no_link_is_followed_where_the_state_should_be(tmp_path: Path, suffix: str, kind: str) -> None:
    paths = OrchestratorPaths(tmp_path / "w")
    with StateManager.open(paths, create=True) as state:
        started(state)
    victim = tmp_path / "victim"
    paths.state_file.rename(victim) if not suffix else victim.write_bytes(b"mine")
    before = victim.read_bytes()
    name = Path(f"{paths.state_file}{suffix}")
    if kind == "link":
        name.symlink_to(victim)
    elif kind == "directory":
        name.mkdir()
    else:
        os.mkfifo(name)

    with pytest.raises(Refused) as refused:
        StateManager.open(paths, create=True)

    assert refused.value.code == "state-unsafe"
    assert victim.read_bytes() == before
    with pytest.raises(Refused, match="not a regular file"):
        peek(str(paths.state_file))
    with pytest.raises(Refused, match="not a regular file"):
        StateManager.open_read_only(paths)


def test_the_files_are_for_their_owner_alone(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)

    for suffix in ("", "-wal", "-shm"):
        assert os.stat(f"{paths.state_file}{suffix}").st_mode & 0o777 == 0o600
    assert os.stat(paths.orchestrator_dir).st_mode & 0o777 == 0o700


def test_a_row_that_this_program_never_writes_is_damage(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    started(state)
    state.create_execution(R1, FIRST, attempt=1)
    state.close()
    harms = (
        "UPDATE runs SET progress = 'x'",
        "UPDATE runs SET progress = '{}', status = 'odd'",
        "UPDATE runs SET status = 'executing', metadata = '{}'",
        "UPDATE runs SET created_at = 'yesterday'",
        "UPDATE runs SET created_at = 7",
    )

    for harm in harms:
        connection = sqlite3.connect(paths.state_file)
        connection.execute(harm)
        connection.commit()
        connection.close()
        with StateManager.open(paths) as broken, pytest.raises(StateDamaged):
            broken.get_run(R1)
    with reopened(paths) as again, pytest.raises(StateDamaged):
        again.list_runs()


def test_a_progress_that_is_no_json_is_damage_for_status_too(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    started(state)
    state.close()
    connection = sqlite3.connect(paths.state_file)
    connection.execute("UPDATE runs SET progress = '{'")
    connection.commit()
    connection.close()

    with pytest.raises(StateDamaged):
        peek(str(paths.state_file))
