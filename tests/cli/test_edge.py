from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli import edge
from orchestrator.cli.screen import Screen
from orchestrator.errors import (
    AnswerIsNo,
    ConfigInvalid,
    CredentialMissing,
    DiskFailed,
    Failed,
    Locked,
    NotTrusted,
    OrchestratorError,
    Paused,
    Refused,
)
from tests.cli.conftest import ENTRY, Call, process


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AnswerIsNo("No.", code="gates-unmet"), 1),
        (Refused("Refused.", code="usage"), 2),
        (Failed("Failed.", code="agent-failed"), 3),
        (DiskFailed(path="/x", reason="it is full", code="disk-full"), 3),
        (CredentialMissing("Missing.", code="key"), 4),
        (Locked(what="run a", holder="pid 1"), 5),
        (Paused("Waits.", code="waiting"), 6),
        (KeyboardInterrupt(), 130),
        (edge.Terminated(), 143),
        (BrokenPipeError(), 0),
    ],
)
def test_every_error_has_the_exit_status_of_the_contract(error: BaseException, status: int) -> None:
    assert edge.render(error, Screen(), debug=False) == status


def test_an_error_is_a_sentence_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    error = Refused("There is no \x1b[31mrun.", code="unknown-run", hint="orchestrator status")

    edge.render(error, Screen(), debug=False)

    assert capsys.readouterr() == (
        "",
        "error[unknown-run]: There is no \\x1b[31mrun.\nhint: orchestrator status\n",
    )


def test_json_errors_are_one_object_on_stdout_beside_the_words_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    edge.render(Refused("No.", code="some-code", hint="do"), Screen(as_json=True), debug=False)

    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "schema_version": 1,
        "error": {"code": "some-code", "message": "No.", "hint": "do"},
    }
    assert captured.err == "error[some-code]: No.\nhint: do\n"


def test_every_configuration_problem_gets_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    edge.render(ConfigInvalid(("a.yaml:1:2: one", "a.yaml:3:4: two")), Screen(), debug=False)

    assert "  --> a.yaml:1:2: one\n  --> a.yaml:3:4: two\n" in capsys.readouterr().err


def test_json_lists_configuration_problems(capsys: pytest.CaptureFixture[str]) -> None:
    edge.render(ConfigInvalid(("a.yaml:1:2: one",)), Screen(as_json=True), debug=False)

    assert json.loads(capsys.readouterr().out)["error"]["problems"] == ["a.yaml:1:2: one"]


def test_commands_that_were_not_approved_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    edge.render(NotTrusted(("test: make test",)), Screen(), debug=False)

    assert "  test: make test\n" in capsys.readouterr().err


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise OrchestratorError("Odd.", code="odd")
    except OrchestratorError as error:
        status = edge.render(error, Screen(), debug=True)

    assert status == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_bug_is_one_line_and_a_report_for_its_owner_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = edge.render(ValueError("odd\nthing"), Screen(as_json=True), debug=False, logs_dir=str(tmp_path))

    [report] = tmp_path.iterdir()
    captured = capsys.readouterr()
    assert status == 70
    assert captured.err == (
        "error[bug]: This is a bug in orchestrator (ValueError: odd).\n"
        f"hint: Please report it with {report}\n"
    )
    assert json.loads(captured.out)["error"]["code"] == "bug"
    assert "ValueError: odd" in report.read_text()
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_a_bug_with_debug_shows_where(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    try:
        raise ValueError("odd")
    except ValueError as error:
        edge.render(error, Screen(), debug=True, logs_dir=str(tmp_path))

    assert "test_edge.py" in capsys.readouterr().err


def test_a_report_goes_to_the_temporary_directory_when_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert Path(edge.write_report("text", "/nowhere/at/all")).parent == tmp_path


def test_a_report_that_no_place_takes_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/at/all")

    edge.render(ValueError("odd"), Screen(), debug=False)

    assert "hint: Run it again with --debug to see where.\n" in capsys.readouterr().err


def test_a_bug_in_a_command_ends_with_70_and_a_report_in_the_logs(
    project: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError("odd")

    # mock: no input is known that makes a command fail by a bug of ours
    monkeypatch.setattr("orchestrator.cli.config.load_configuration", broken)
    answer = call("config", "show", cwd=project)

    assert answer.status == 70
    assert "error[bug]: This is a bug in orchestrator (ZeroDivisionError: odd).\n" in answer.err
    assert "Traceback" not in answer.err
    assert list((project / ".orchestrator" / "logs").glob("bug-*.txt"))


@pytest.mark.parametrize(
    ("line", "sentence", "hint"),
    [
        (["lgo"], "No such command 'lgo'.", "Did you mean: orchestrator log"),
        (["zzzz"], "No such command 'zzzz'.", "Look it up with: orchestrator --help"),
        (["config", "shwo"], "No such command 'shwo'.", "Did you mean: orchestrator config show"),
        (["config"], "Missing command.", "Look it up with: orchestrator config --help"),
        (["log"], "Missing argument 'RUN'.", "Look it up with: orchestrator log --help"),
        (
            ["log", "a", "b"],
            "Got unexpected extra argument(s) (b)",
            "Look it up with: orchestrator log --help",
        ),
        (["run", "two", "words"], None, 'Put the task into quotes: orchestrator run "what shall be done"'),
        (["bogus"], "No such command 'bogus'.", "Look it up with: orchestrator --help"),
        (["serve", "x"], "`orchestrator serve` is not available in this version.", None),
        (["config", "plan"], "No such command 'plan'.", None),
        (["deinit", "--export"], None, "Look it up with: orchestrator deinit --help"),
        (
            ["run", "x", "--integrate", "all"],
            "Invalid value for '--integrate': 'all' is not one of 'none', 'branch', 'merge'.",
            None,
        ),
        (
            ["run", "x", "--agent", "a", "--command", "true"],
            "--agent and --command exclude each other: each says who works.",
            None,
        ),
        (["status", "--foo"], "No such option: --foo.", "Look it up with: orchestrator status --help"),
        (["-C"], "-C needs the name of a directory.", "For example: -C ../project"),
        (["run", "x", "--agent"], "Option '--agent' requires an argument.", None),
        (["run", "x", "--max-time", "soon"], None, "Look it up with: orchestrator run --help"),
        (["findings", "a", "--format", "pdf"], None, "Look it up with: orchestrator findings --help"),
        (["resume", "--watch"], "--watch goes with --due.", "orchestrator resume --due --watch"),
        (["resume", "a", "--due"], "--due takes no run id.", "orchestrator resume --due"),
        (
            ["trust", "--show", "--revoke"],
            "--show and --revoke exclude each other.",
            "orchestrator trust --show",
        ),
        (
            ["run", "x", "--command", "a 'b"],
            "--command cannot be split into words: No closing quotation.",
            None,
        ),
        (["run", "x", "--command", " "], "--command is empty.", None),
        (["run", "x", "--run-id", "../a"], "'../a' cannot be a run id.", None),
    ],
)
def test_usage_errors_end_with_2_and_say_how(
    repository: Path, call: Call, line: list[str], sentence: str | None, hint: str | None
) -> None:
    answer = call(*line, cwd=repository)

    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("error[")
    assert sentence is None or f"]: {sentence}\n" in answer.err
    assert hint is None or f"hint: {hint}\n" in answer.err
    assert not (repository / ".orchestrator").exists()


@pytest.mark.parametrize("name", ["status", "log a", "ops", "merge a", "resume", "config show", "trust"])
def test_outside_a_repository_or_before_init_commands_say_so(
    home: Path, tmp_path: Path, repository: Path, call: Call, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    before = call(*name.split(), cwd=repository)
    nowhere = call(*name.split(), cwd=outside)

    if name != "config show":
        assert (before.status, before.err.split("\n")[1]) == (2, "hint: orchestrator init")
        assert nowhere.err.startswith("error[not-a-repository]: ")
        assert nowhere.status == 2
    assert not list(outside.iterdir())


def test_a_reader_that_leaves_is_no_error(project: Path) -> None:
    import subprocess
    import sys

    from tests.cli.conftest import ENTRY

    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(  # a real process whose standard output nobody reads
        [sys.executable, "-c", ENTRY, "config", "show"], cwd=project, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


def test_errors_in_json_end_with_the_same_status(repository: Path) -> None:
    answer = process("--json", "log", "a", cwd=repository)

    assert answer.status == 2
    assert answer.json["error"]["code"] == "not-initialised"


def test_usage_errors_come_in_json_too(call: Call, repository: Path) -> None:
    assert call("lgo", "--json", cwd=repository).json["error"]["code"] == "usage"
    assert call("--json", "-C", cwd=repository).json["error"]["code"] == "usage"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("command", ["doctor", "config show"])
def test_a_full_disk_under_the_output_is_no_bug(project: Path, command: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", ENTRY, *command.split()],
            cwd=project,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert done.returncode == 3
    assert done.stderr.startswith("error[disk-full]: Cannot write the output: no space left on device.\n")
    assert not list((project / ".orchestrator" / "logs").glob("bug-*.txt"))


def test_python_dash_m_is_the_same_command(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("orchestrator ")
