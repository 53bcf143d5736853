"""The main job as a user types it, with real git, a real database and real children."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import ENTRY, Call, process
from tests.conftest import GitCall

FIX = 'sh -c "echo fixed > made.txt"'


@pytest.fixture
def ran(project: Path, call: Call) -> Path:
    """Returns a repository with a completed run `a` that added made.txt."""
    assert call("run", "make it", "--command", FIX, "--run-id", "a", cwd=project).status == 0
    return project


def test_run_prints_its_id_first_and_how_it_ended_last(project: Path, call: Call) -> None:
    answer = call("run", "make it", "--command", FIX, "--run-id", "a", cwd=project)

    assert answer.status == 0
    assert answer.out == "run a\nrun a: completed (unverified), branch orchestrator/a\n"
    first = [line.split()[0] for line in answer.err.splitlines()[:7]]
    assert first == ["plan", "base", "agents", "isolation", "checks", "gates", "budget"]
    assert "warning: Nothing was proved: this result is UNVERIFIED." in answer.err
    assert "  next: orchestrator merge a\n" in answer.err


def test_quiet_leaves_results_and_the_warning(project: Path, call: Call) -> None:
    answer = call("-q", "run", "make it", "--command", FIX, "--run-id", "a", cwd=project)

    assert answer.out.startswith("run a\n")
    assert answer.err.splitlines() == [
        "warning: Nothing was proved: this result is UNVERIFIED. Configure checks under `verify:`."
    ]


def test_json_streams_events_and_ends_with_run_finished(project: Path, call: Call) -> None:
    answer = call("run", "make it", "--command", FIX, "--run-id", "a", "--json", cwd=project)

    kinds = [line["kind"] for line in answer.lines]
    last = answer.lines[-1]
    assert kinds[:2] == ["run.started", "plan.ready"]
    assert {"phase.started", "step.started", "checkpoint.created", "verdict.reached"} <= set(kinds)
    assert kinds.count("run.finished") == 1
    assert (last["kind"], last["status"], last["branch"], last["exit_status"]) == (
        "run.finished",
        "completed",
        "orchestrator/a",
        0,
    )
    assert re.fullmatch("[0-9a-f]{40}", last["head"])
    assert all(line["schema_version"] == 1 and line["run_id"] == "a" for line in answer.lines)
    assert all(line["at"].endswith("Z") for line in answer.lines)


def test_the_task_comes_from_standard_input(project: Path) -> None:
    answer = process("run", "-", "--command", "true", "--run-id", "a", "-q", cwd=project, stdin="from stdin")
    status = process("status", "a", "--json", cwd=project)

    assert answer.status == 0
    assert status.json["runs"][0]["task"] == "from stdin"


def test_an_empty_task_is_refused(project: Path, call: Call) -> None:
    answer = call("run", "  ", "--command", "true", cwd=project)

    assert (answer.status, answer.err.splitlines()[0]) == (2, "error[task-empty]: The task is empty.")


def test_dry_run_changes_nothing(project: Path, call: Call) -> None:
    words = call("run", "make it", "--command", FIX, "--dry-run", "--run-id", "a", cwd=project)
    fields = call("run", "make it", "--command", FIX, "--dry-run", "--run-id", "a", "--json", cwd=project)

    assert words.status == 0
    assert "  result    orchestrator/a\n" in words.out
    assert fields.json["branch"] == "refs/heads/orchestrator/a"
    assert call("status", "a", cwd=project).status == 2


def test_a_plan_file_is_read_from_the_directory_named(project: Path, call: Call, tmp_path: Path) -> None:
    plan = {
        "phases": [
            {"id": "one", "name": "First", "description": "d", "dependencies": []},
            {"id": "two", "name": "Second", "description": "d", "dependencies": ["one"]},
        ]
    }
    (project / "plan.json").write_text(json.dumps(plan))

    answer = call(
        "-C", str(project), "run", "x", "--plan", "plan.json", "--command", "true", "--dry-run", cwd=tmp_path
    )

    assert answer.status == 0
    assert "one  First\n" in answer.out
    assert "two  Second  (after one)\n" in answer.out


def test_a_missing_plan_is_refused(project: Path, call: Call) -> None:
    answer = call("run", "x", "--plan", "none.json", "--command", "true", cwd=project)

    assert answer.status == 2
    assert answer.err.startswith("error[plan-invalid]: ")


def test_an_agent_that_fails_ends_with_3_and_says_how_to_go_on(project: Path, call: Call) -> None:
    answer = call("run", "x", "--command", "false", "--run-id", "a", cwd=project)
    status = call("status", cwd=project)

    assert answer.status == 3
    assert "orchestrator resume a" in answer.err
    assert status.out.splitlines()[0].startswith("a failed")


def test_looking_at_a_run(ran: Path, call: Call) -> None:
    log = call("log", "a", cwd=ran)
    diff = call("diff", "a", cwd=ran)
    stat = call("diff", "a", "--stat", cwd=ran)
    report = call("report", "a", cwd=ran)
    findings = call("findings", "a", cwd=ran)

    assert "plan: phase-001 make it" in log.out
    assert log.out.splitlines()[-1].endswith("run finished: completed, unverified, orchestrator/a")
    assert len(call("log", "a", "-v", cwd=ran).out.splitlines()) > len(log.out.splitlines())
    assert "+fixed\n" in diff.out
    assert "made.txt" in stat.out
    assert report.out.startswith("# Run a\n")
    assert (findings.out, findings.err) == ("", "Run a has no findings.\n")


def test_looking_at_a_run_in_json(ran: Path, call: Call) -> None:
    assert call("log", "a", "--json", cwd=ran).json["events"][0]["kind"] == "run.started"
    assert "+fixed" in call("diff", "a", "--json", cwd=ran).json["diff"]
    assert call("report", "a", "--json", cwd=ran).json["run"]["id"] == "a"
    assert call("findings", "a", "--json", cwd=ran).json == {"schema_version": 1, "findings": []}
    assert call("findings", "a", "--format", "sarif", cwd=ran).json["version"] == "2.1.0"
    assert call("interventions", "--json", cwd=ran).json["interventions"] == []


def test_a_run_that_changed_nothing_has_no_diff(project: Path, call: Call) -> None:
    call("run", "x", "--command", "true", "--run-id", "a", cwd=project)

    answer = call("diff", "a", cwd=project)

    assert (answer.status, answer.out, answer.err) == (0, "", "Run a has changed nothing.\n")


@pytest.mark.parametrize(
    "command", ["log", "diff", "findings", "report", "merge", "discard", "cancel", "resume"]
)
def test_an_unknown_run_is_refused(ran: Path, call: Call, command: str) -> None:
    answer = call(command, "none", cwd=ran)

    assert (answer.status, answer.err.splitlines()[0]) == (2, "error[unknown-run]: There is no run 'none'.")


def test_before_the_first_run_lists_are_empty_and_runs_are_unknown(project: Path, call: Call) -> None:
    assert call("ops", cwd=project).err == "Nothing has been decided yet.\n"
    assert call("interventions", cwd=project).err == "Nothing needs you.\n"
    assert call("status", cwd=project).err.startswith("No runs yet.")
    assert call("status", "--json", cwd=project).json["runs"] == []
    assert call("log", "a", cwd=project).err.startswith("error[no-runs]: No run has been started here yet.")
    assert call("status", "a", cwd=project).err.startswith("error[unknown-run]: ")


def test_checkpoints_can_be_listed_and_restored_without_the_database(
    ran: Path, call: Call, tmp_path: Path
) -> None:
    (ran / ".orchestrator" / "state.db").unlink()
    listed = call("checkpoints", "a", "--json", cwd=ran).json["checkpoints"]
    words = call("checkpoints", "a", cwd=ran)
    newest = listed[0]["commit"]

    restored = call("restore", newest[:12], "--into", str(tmp_path / "back"), cwd=ran)
    again = call("restore", newest, "--into", str(tmp_path / "back"), cwd=ran)
    third = call("restore", newest, "--into", str(tmp_path / "third"), "--json", cwd=ran)

    assert words.out.splitlines()[0].split() == ["NO", "CHECKPOINT", "AT", "LABEL"]
    assert restored.status == 0
    assert (tmp_path / "back" / "made.txt").read_text() == "fixed\n"
    assert again.status == 2
    assert third.json["checkpoint"] == newest


@pytest.mark.parametrize("name", ["0000000", "zz", "--", "HEAD"])
def test_an_unknown_checkpoint_is_refused(ran: Path, call: Call, name: str) -> None:
    answer = call("restore", "--into", "x", "--", name, cwd=ran)

    assert answer.status == 2
    assert not (ran / "x").exists()


def test_checkpoints_of_an_unknown_run_are_refused_before_and_after_the_first_run(
    project: Path, call: Call
) -> None:
    before = call("checkpoints", "none", cwd=project)
    call("run", "make it", "--command", FIX, "--run-id", "a", cwd=project)

    after = call("checkpoints", "none", cwd=project)

    assert before.status == after.status == 2
    assert "error[unknown-run]: There is no run 'none'.\n" in before.err
    assert before.err == after.err


def test_merge_then_undo_then_redo(ran: Path, call: Call, git: GitCall) -> None:
    before = git(ran, "rev-parse", "HEAD")

    merged = call("merge", "a", cwd=ran)
    assert (merged.status, (ran / "made.txt").read_text()) == (0, "fixed\n")
    refused = call("undo", cwd=ran)
    assert refused.status == 2
    assert re.search(r"hint: orchestrator undo op-\w+ --yes", refused.err)
    undone = call("undo", "-y", cwd=ran)
    assert (undone.status, git(ran, "rev-parse", "HEAD")) == (0, before)
    assert not (ran / "made.txt").exists()
    redone = call("undo", "--yes", "--json", cwd=ran)
    assert redone.json["kind"] == "undo"
    assert (ran / "made.txt").exists()
    assert [each["kind"] for each in call("ops", "--json", cwd=ran).json["operations"]] == [
        "undo",
        "undo",
        "merge",
    ]
    assert call("ops", cwd=ran).out.splitlines()[0].split() == ["OPERATION", "KIND", "STATUS", "AT", "RUN"]


def test_merging_twice_says_so(ran: Path, call: Call) -> None:
    first = call("merge", "a", "--json", cwd=ran).json
    second = call("merge", "a", "--json", cwd=ran).json

    assert (first["branch"], first["already_merged"]) == ("main", False)
    assert (second["already_merged"], second["commit"]) == (True, first["commit"])


def test_discard_asks_and_can_be_undone(ran: Path, call: Call, git: GitCall) -> None:
    assert call("discard", "a", cwd=ran).err.splitlines()[1] == "hint: orchestrator discard a --yes"
    assert call("discard", "a", "-y", cwd=ran).status == 0
    assert git(ran, "branch", "--list", "orchestrator/a") == ""
    assert call("discard", "a", "-y", cwd=ran).status == 0
    assert call("undo", "-y", cwd=ran).status == 0
    assert git(ran, "branch", "--list", "orchestrator/a") == "orchestrator/a"
    assert call("discard", "a", "-y", "--json", cwd=ran).json["run_id"] == "a"


def test_resume_without_anything_to_resume(ran: Path, call: Call) -> None:
    assert call("resume", cwd=ran).out == "Nothing to resume.\n"
    assert call("resume", "--json", cwd=ran).json["resumed"] == []
    assert call("resume", "a", cwd=ran).out == "Run a is completed; there is nothing to resume.\n"
    assert call("resume", "a", "--json", cwd=ran).json["status"] == "completed"
    assert call("resume", "--due", cwd=ran).status == 0


def test_several_runs_that_could_go_on_are_listed(project: Path, call: Call) -> None:
    for name in ("a", "b"):
        call("run", "x", "--command", "false", "--run-id", name, cwd=project)

    answer = call("resume", cwd=project)

    assert answer.status == 2
    assert "error[run-ambiguous]: 2 runs can go on; name one.\nhint: orchestrator resume b\n" in answer.err


def test_a_failed_run_can_be_cancelled_no_more(project: Path, call: Call) -> None:
    call("run", "x", "--command", "false", "--run-id", "a", cwd=project)

    assert call("cancel", "a", cwd=project).status == 2


SLOW = "sh -c 'echo begun > begun; sleep 60 & wait'"


def started(project: Path, *flags: str) -> subprocess.Popen[str]:
    """Starts a run whose agent waits, and returns once the agent has begun."""
    process = subprocess.Popen(  # a real process, to be stopped by a real signal
        [sys.executable, "-c", ENTRY, "run", "x", "--command", SLOW, "--run-id", "slow", *flags],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    mark = project / ".orchestrator" / "worktrees" / "slow" / "main" / "begun"
    until = time.monotonic() + 30
    while not mark.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert mark.exists()
    return process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    project: Path, call: Call, number: signal.Signals, status: int
) -> None:
    process = started(project)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)

    assert process.returncode == status
    assert out == "run slow\n"
    assert "Stopping: what the agent left is being saved. Once more stops at once.\n" in err
    assert err.endswith("hint: Go on with: orchestrator resume slow\n")
    seen = call("status", "--json", cwd=project).json["runs"][0]
    assert (seen["alive"], seen["interrupted"]) == (False, True)
    assert call("status", cwd=project).out.startswith("slow was interrupted  nobody has worked on it for ")
    assert call("checkpoints", "slow", "--json", cwd=project).json["checkpoints"]


def test_an_interrupted_stream_ends_with_run_finished_too(project: Path) -> None:
    process = started(project, "--json")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)

    last = json.loads(out.splitlines()[-1])
    assert (last["kind"], last["exit_status"], last["status"]) == ("run.finished", 130, "executing")


def test_status_beside_a_live_run_and_cancel(project: Path, call: Call) -> None:
    process = started(project)
    seen = call("status", "slow", "--json", cwd=project).json["runs"][0]
    busy = call("resume", "slow", cwd=project)
    cancelled = call("cancel", "slow", cwd=project)
    process.communicate(timeout=30)

    assert (seen["alive"], seen["status"], seen["phases"][0]["attempts"]) == (True, "executing", 1)
    assert busy.status == 5
    assert f"pid {process.pid} " in busy.err
    assert cancelled.out.startswith("run slow ")  # the process may have ended it by then, or not yet
    assert cancelled.status == 0
    assert process.returncode == 3
    assert call("status", "slow", "--json", cwd=project).json["runs"][0]["status"] == "cancelled"


def test_a_run_goes_on_when_nobody_reads_its_events(project: Path, call: Call) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(  # a real process whose standard output nobody reads
        [sys.executable, "-c", ENTRY, "--json", "run", "x", "--command", FIX, "--run-id", "a"],
        cwd=project,
        stdout=writer,
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)

    assert done.returncode == 0
    assert call("status", "a", "--json", cwd=project).json["runs"][0]["status"] == "completed"


def test_resolve_marks_an_intervention(ran: Path, call: Call) -> None:
    answer = call("resolve", "none", cwd=ran)

    assert answer.status == 2
