"""Runs that wait, ask or break in the middle, as `status` and its neighbours show them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.model.ids import RunId
from orchestrator.model.run import RunProgress, RunStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.manager import StateManager
from tests.cli.conftest import Call


@pytest.fixture
def failed(project: Path, call: Call) -> Path:
    """Returns a repository with a failed run `a`."""
    assert call("run", "x", "--command", "false", "--run-id", "a", cwd=project).status == 3
    return project


def wait(place: Path, until: datetime | None) -> None:
    """Makes the run wait, as the engine does between attempts."""
    with StateManager.open(OrchestratorPaths(place)) as state:
        run = RunId("a")
        state.update_run_status(run, RunStatus.EXECUTING)
        progress = RunProgress(waiting_for="the next attempt", wake_at=until)
        state.update_run_status(run, RunStatus.WAITING, progress=progress)


def ask(place: Path) -> str:
    with StateManager.open(OrchestratorPaths(place)) as state:
        return state.add_intervention(RunId("a"), None, "the tool is missing", "install it").id


def test_a_waiting_run_is_a_problem_with_its_reason(failed: Path, call: Call) -> None:
    wait(failed, datetime(2126, 1, 2, 3, 4, tzinfo=UTC))

    answer = call("status", cwd=failed)

    first = answer.out.splitlines()[0]
    assert first.split("  ")[0] == "a waits"
    assert first.endswith("  for the next attempt, until 2126-01-02T03:04Z  orchestrator resume a")


def test_due_runs_are_resumed_and_others_left(failed: Path, call: Call) -> None:
    wait(failed, datetime.now(UTC) + timedelta(hours=1))
    early = call("resume", "--due", cwd=failed)
    wait_over = datetime.now(UTC) - timedelta(hours=1)
    with StateManager.open(OrchestratorPaths(failed)) as state:
        state.set_run_progress(RunId("a"), RunProgress(waiting_for="x", wake_at=wait_over))

    due = call("resume", "--due", cwd=failed)

    assert (early.status, early.out) == (0, "No run is due.\n")
    assert due.status == 3
    assert "resume a: it waits for x\n" in due.err


def test_what_needs_a_person_is_listed_answered_and_gone(failed: Path, call: Call) -> None:
    asked = ask(failed)

    status = call("status", cwd=failed)
    listed = call("interventions", cwd=failed)
    fields = call("interventions", "a", "--json", cwd=failed)
    resolved = call("resolve", asked, "--note", "done", cwd=failed)

    assert re.search(r"^\d interventions? open  see +orchestrator interventions$", status.out, re.MULTILINE)
    assert f"{asked}  run a  open  the tool is missing\n    install it\n" in listed.out
    assert f"then: orchestrator resolve {asked}\n" in listed.out
    assert fields.json["interventions"][-1]["action_required"] == "install it"
    assert resolved.out == f"resolved {asked}\n"
    assert asked not in call("interventions", cwd=failed).out
    assert asked in call("interventions", "--all", cwd=failed).out
    assert call("resolve", ask(failed), "--json", cwd=failed).json["status"] == "resolved"


def test_cancelling_a_run_that_nobody_works_on(failed: Path, call: Call) -> None:
    wait(failed, None)

    answer = call("cancel", "a", "--json", cwd=failed)

    assert answer.json == {"schema_version": 1, "run_id": "a", "status": "cancelled", "requested": True}
    assert call("undo", "-y", cwd=failed).status == 0
    assert call("cancel", "a", cwd=failed).out == "run a is cancelled; what it reached is kept\n"


def test_a_stream_that_breaks_in_the_middle_ends_with_run_finished(
    failed: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.errors import DiskFailed

    def full(*arguments: object, **named: object) -> None:
        raise DiskFailed(path="/x", reason="it is full", code="disk-full")

    # mock: a disk that fills up at this very moment cannot be had in a test without root
    monkeypatch.setattr("orchestrator.engine.local.work", full)
    answer = call("resume", "a", "--json", cwd=failed)

    error, last = answer.lines[-2:]
    assert answer.status == 3
    assert error["error"]["code"] == "disk-full"
    assert (last["kind"], last["exit_status"], last["run_id"]) == ("run.finished", 3, "a")


def test_an_error_in_the_middle_is_told_once_in_words(
    failed: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.errors import Failed

    def broken(*arguments: object, **named: object) -> None:
        raise Failed("It broke.", code="broken", hint="mend it")

    # mock: see above
    monkeypatch.setattr("orchestrator.engine.local.work", broken)
    answer = call("resume", "a", cwd=failed)

    assert (answer.status, answer.err.count("error[broken]: It broke.")) == (3, 1)


@pytest.mark.parametrize(
    "line",
    [
        ["-C", "", "status"],
        ["status", "-C"],
        ["status", "a", "b"],
        ["status", "--limit", "0"],
        ["-Q", "status"],
    ],
)
def test_unusual_status_lines_get_their_error(failed: Path, call: Call, line: list[str]) -> None:
    assert call(*line, cwd=failed).status == 2


def test_status_takes_a_directory_a_limit_and_a_run(failed: Path, call: Call, tmp_path: Path) -> None:
    def shown(*words: str, cwd: Path = failed) -> str:
        return re.sub(r"\d+ s ago", "a moment ago", call(*words, cwd=cwd).out)

    plain = shown("status")

    assert shown("-C", str(failed), "status", cwd=tmp_path) == plain
    assert shown("status", "--limit", "5") == plain
    assert shown("status", "a").startswith(plain)
    assert re.search(
        r"^phase-001 1\.1\.1 +command +- +- +unmetered +- +-$", shown("status", "a"), re.MULTILINE
    )
    assert call("status", "../a", cwd=failed).err.startswith("error[run-id-invalid]")


def test_a_damaged_state_is_told_with_the_way_out(failed: Path, call: Call) -> None:
    (failed / ".orchestrator" / "state.db").write_bytes(b"nonsense" * 1000)

    answer = call("status", "--json", cwd=failed)

    assert answer.status in (2, 3)
    assert json.loads(answer.out)["error"]["code"].startswith("state-")


def test_a_hostile_task_cannot_drive_the_terminal(project: Path, call: Call) -> None:
    call("run", "\x1b]0;owned\x07 \x1b[31mred\u202e", "--command", "true", "--run-id", "a", cwd=project)

    for line in (["status"], ["log", "a"], ["report", "a"], ["checkpoints", "a"], ["resume", "a"]):
        answer = call(*line, cwd=project)
        assert not set("\x1b\x07\u202e") & set(answer.out + answer.err)
