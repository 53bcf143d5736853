"""What people type in their first hour, wrong on purpose: nothing is ignored, changed or left unsaid."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.flags import Flags
from orchestrator.cli.invocation import Invocation
from orchestrator.cli.screen import Screen
from orchestrator.cli.working import work_and_show
from orchestrator.errors import DiskFailed
from orchestrator.model.ids import RunId
from tests.cli.conftest import ENTRY, Call
from tests.conftest import GitCall

SLOW = "sh -c 'echo begun; sleep 60'"


@pytest.fixture
def failed(project: Path, call: Call) -> Path:
    """Returns a repository with a failed run `a`."""
    assert call("run", "x", "--command", "false", "--run-id", "a", cwd=project).status == 3
    return project


def test_init_without_git_makes_nothing(
    repository: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    answer = call("init", cwd=repository)

    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("error[git-missing]: ")
    assert not (repository / ".orchestrator").exists()


def test_a_command_whose_program_is_missing_starts_no_run(project: Path, call: Call) -> None:
    answer = call("run", "x", "--command", "no-such-program-xyz", cwd=project)

    assert (answer.status, answer.out) == (2, "")
    assert "no-such-program-xyz was not found on PATH" in answer.err
    assert call("status", cwd=project).out == ""


def test_a_detached_head_is_named_once(project: Path, call: Call, git: GitCall) -> None:
    git(project, "checkout", "-q", "--detach")

    answer = call("run", "x", "--command", "true", "--dry-run", cwd=project)

    commit = git(project, "rev-parse", "HEAD")[:12]
    assert f"base      {commit}\n" in answer.out


def test_resume_lists_interrupted_runs_as_status_does(failed: Path, call: Call) -> None:
    _killed_run(failed, "b")

    answer = call("resume", cwd=failed)

    assert answer.status == 2
    assert answer.err.splitlines()[:2] == ["  b  interrupted  x", "  a  failed  x"]


def test_resume_of_a_run_that_is_worked_on_records_nothing(project: Path, call: Call) -> None:
    with _started(project, "b") as process:
        answer = call("resume", "b", cwd=project)
        process.kill()

    assert answer.status == 5
    assert answer.err.startswith("error[locked]: run b is in use by pid ")
    assert "resumed" not in call("log", "b", cwd=project).out


def test_resume_without_trust_names_the_commands_and_records_nothing(failed: Path, call: Call) -> None:
    configuration = failed / ".orchestrator" / "workflow.local.yaml"
    configuration.write_text('version: 1\nverify: {lint: [["true"]]}\n')

    answer = call("resume", "a", cwd=failed)

    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("error[not-trusted]: ")
    assert "\n  verify.lint.0: true\n" in answer.err
    assert "resumed" not in call("log", "a", cwd=failed).out


def test_a_cancelled_run_is_resumed_after_the_undo_that_the_error_names(project: Path, call: Call) -> None:
    _killed_run(project, "b")
    assert call("cancel", "b", cwd=project).status == 0

    refused = call("resume", "b", cwd=project)
    undo = refused.err.splitlines()[1].partition("orchestrator ")[2]
    undone = call(*undo.split(), "--yes", cwd=project)

    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith("error[run-cancelled]: Run b was cancelled.\nhint: Take that back first: ")
    assert undone.out == "run b can be resumed: orchestrator resume b\n"


def test_resume_when_nothing_is_due_is_an_object_in_json(failed: Path, call: Call) -> None:
    answer = call("resume", "--due", "--json", cwd=failed)

    assert (answer.status, answer.json) == (0, {"schema_version": 1, "resumed": []})


def test_a_discarded_run_asks_nothing_of_a_person_any_more(failed: Path, call: Call) -> None:
    before = call("interventions", cwd=failed)

    call("discard", "a", "--yes", cwd=failed)

    assert "orchestrator log a" in before.out
    assert call("interventions", cwd=failed).err == "Nothing needs you.\n"


def test_a_cancelled_run_asks_nothing_and_undo_gives_back_what_it_waited_for(
    project: Path, call: Call
) -> None:
    slow = ("run", "x", "--command", "sleep 60", "--max-time", "1", "--run-id", "a")
    assert call(*slow, cwd=project).status == 6

    call("cancel", "a", cwd=project)
    asked = call("interventions", cwd=project)
    call("undo", "--yes", cwd=project)
    resumed = call("resume", "a", cwd=project)

    assert asked.err == "Nothing needs you.\n"
    assert resumed.status == 6
    assert "resume a: it waits for more time\n" in resumed.err


def test_a_full_disk_under_a_run_names_the_command_that_goes_on(failed: Path) -> None:
    flags = Flags()
    flags.enter(str(failed))
    invocation = Invocation(flags, Screen())

    def fill_the_disk() -> None:
        raise DiskFailed(path="state.db", reason="no space is left", code="disk-full")

    with invocation.open(writes=True) as workspace, pytest.raises(DiskFailed) as caught:
        work_and_show(invocation, workspace, RunId("a"), begin=fill_the_disk, wait=False)

    assert caught.value.hint.endswith(", then: orchestrator resume a")


def test_the_message_of_a_commit_says_a_longer_task_once(project: Path, call: Call, git: GitCall) -> None:
    call("run", "first line\nand more", "--command", "touch made", "--run-id", "a", cwd=project)

    message = git(project, "log", "-1", "--format=%B", "orchestrator/a")

    assert message.startswith("first line\n\nand more\n\nOrchestrator-Run: a\n")


def test_merging_again_names_no_undo_of_something_else(project: Path, call: Call) -> None:
    call("run", "x", "--command", "touch made", "--run-id", "a", cwd=project)
    call("merge", "a", cwd=project)

    again = call("merge", "a", cwd=project)

    assert (again.status, again.err) == (0, "")


def test_status_of_one_run_counts_its_own_interventions(failed: Path, call: Call) -> None:
    call("run", "x", "--command", "true", "--run-id", "b", cwd=failed)

    assert "intervention" in call("status", "a", cwd=failed).out
    assert "intervention" not in call("status", "b", cwd=failed).out


def test_verify_says_which_checks_ran_on_the_base(project: Path, call: Call) -> None:
    configuration = project / ".orchestrator" / "workflow.local.yaml"
    configuration.write_text('version: 1\nverify: {lint: [["true"]]}\n')

    answer = call("verify", "--base", "HEAD", "--trust", cwd=project)

    told = [line.partition(" (")[0] for line in answer.err.splitlines() if line.startswith("check ")]
    assert told == ["check lint: passed", "check lint on the base: passed"]
    assert not any(line.endswith(" ") for line in answer.err.splitlines())


def test_an_export_into_a_missing_directory_takes_nothing_out(failed: Path, call: Call) -> None:
    answer = call("deinit", "--export", "missing/all.bundle", cwd=failed)

    assert answer.status == 2
    assert answer.err.startswith("error[not-a-directory]: ")
    assert call("status", "a", cwd=failed).status == 0


@pytest.mark.parametrize(("line", "key"), [(["--version"], "version"), (["config", "schema"], "schema")])
def test_json_is_one_object_with_a_schema_version_here_too(
    call: Call, tmp_path: Path, line: list[str], key: str
) -> None:
    answer = call(*line, "--json", cwd=tmp_path)

    assert answer.status == 0
    assert set(answer.json) == {"schema_version", key}


def test_tests_of_a_submodule_are_not_ours_to_run(repository: Path, call: Call) -> None:
    nested = repository / "module"
    (nested / "tests").mkdir(parents=True)
    (nested / ".git").write_text("gitdir: ../.git/modules/module\n")
    (nested / "tests" / "test_it.py").write_text("def test_it(): pass\n")

    answer = call("init", "--dry-run", "--json", cwd=repository)

    assert "pytest" not in answer.json["workflow_yaml"]


def _started(project: Path, run_id: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(  # a run as its user sees it, which a kill can end
        [sys.executable, "-c", ENTRY, "run", "x", "--command", SLOW, "--run-id", run_id],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "agent: begun" in line:
            return process
    raise AssertionError("the run ended before its agent began")


def _killed_run(project: Path, run_id: str) -> None:
    with _started(project, run_id) as process:
        process.kill()
