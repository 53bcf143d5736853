from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from orchestrator.errors import Failed
from orchestrator.process import pipes
from orchestrator.process.proctable import look_up
from orchestrator.process.spawn import Captured, minimal_environment, run_captured


def run(tmp_path: Path, *argv: str, input: bytes = b"", timeout_s: float = 30) -> Captured:
    return run_captured(
        argv, cwd=tmp_path, environment=minimal_environment({}), input=input, timeout_s=timeout_s
    )


def is_gone(pid: int) -> bool:
    """Waits up to 10 s for a killed process, which needs a moment to go; a zombie is gone."""
    limit = time.monotonic() + 10
    while look_up(pid) is not None:
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


def test_a_helper_gets_its_input_and_its_output_and_status_come_back(tmp_path: Path) -> None:
    given = b"x" * 300_000

    done = run(tmp_path, "sh", "-c", "cat; echo err >&2; exit 7", input=given)

    assert (done.status, done.stdout, done.stderr) == (7, given, b"err\n")


def test_a_signal_that_ended_a_helper_is_a_negative_status(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "kill -9 $$").status == -9


def test_a_helper_that_does_not_read_its_input_still_ends_well(tmp_path: Path) -> None:
    done = run(tmp_path, "sh", "-c", "exec <&-; echo done", input=b"x" * 1_000_000)

    assert (done.status, done.stdout, done.stderr) == (0, b"done\n", b"")


def test_a_helper_without_input_reads_an_empty_file_and_not_the_terminal(tmp_path: Path) -> None:
    assert run(tmp_path, "cat").stdout == b""


def test_a_helper_past_its_time_is_killed_with_what_it_started(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"sh -c .* took longer than 0.5 s") as failure:
        run(tmp_path, "sh", "-c", "sleep 60 & echo $! > pid; wait", timeout_s=0.5)

    assert failure.value.code == "timed-out"
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_helper_that_closes_its_output_but_goes_on_is_stopped_too(tmp_path: Path) -> None:
    with pytest.raises(Failed) as failure:
        run(tmp_path, "sh", "-c", "exec >&- 2>&-; sleep 60", timeout_s=0.5)

    assert failure.value.code == "timed-out"


def test_an_orphan_that_holds_the_pipe_open_does_not_hold_up_the_caller(tmp_path: Path) -> None:
    done = run(tmp_path, "sh", "-c", "sleep 60 & echo $!; exit 3")

    os.kill(int(done.stdout), 9)
    assert done.status == 3


def test_an_interrupt_kills_the_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # An interrupt cannot be aimed at this one place from outside.
    monkeypatch.setattr(pipes, "_drain", interrupt)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "sh", "-c", "echo $$ > pid; echo; exec sleep 60")

    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failed) as failure:
        run(tmp_path, "no-such-program")

    assert failure.value.code == "not-started"
    assert failure.value.message == "no-such-program could not be started: no such file or directory."


def test_a_directory_that_is_not_there_is_named_and_not_the_program(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=f"sh could not be started: .*: {tmp_path}/gone"):
        run(tmp_path / "gone", "sh")


def test_an_argument_that_cannot_be_passed_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="embedded null byte"):
        run(tmp_path, "sh", "a\0b")


def test_a_helper_has_no_terminal_and_a_session_of_its_own(tmp_path: Path) -> None:
    done = run(tmp_path, sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())")

    assert done.stdout == b"True\n"


def test_the_environment_holds_what_is_needed_or_named_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name in ("PATH", "HOME", "LC_TIME", "TZ", "ANTHROPIC_API_KEY", "GIT_DIR", "PYTHONPATH", "NAMED"):
        monkeypatch.setenv(name, "theirs")

    environment = minimal_environment({"HOME": "ours", "NEW": "ours"}, passed=("NAMED", "ABSENT"))

    assert environment == {
        "PATH": "theirs",
        "HOME": "ours",
        "LC_TIME": "theirs",
        "TZ": "theirs",
        "NAMED": "theirs",
        "NEW": "ours",
    }
