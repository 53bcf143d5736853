from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import Failed
from orchestrator.process import asked
from orchestrator.process.asked import Captured, ask_program, minimal_environment
from tests.process.test_spawn import is_gone


def ask(*argv: str, timeout_s: float = 30, **variables: str) -> Captured:
    return ask_program(argv, environment=minimal_environment(variables), timeout_s=timeout_s)


def test_what_a_program_prints_and_its_status_come_back() -> None:
    done = ask("sh", "-c", "head -c 300000 /dev/zero; echo err >&2; exit 7")

    assert (done.status, len(done.stdout), done.stderr) == (7, 300_000, b"err\n")


def test_a_signal_that_ended_it_is_a_negative_status() -> None:
    assert ask("sh", "-c", "kill -9 $$").status == -9


def test_it_reads_an_empty_file_and_has_a_process_group_of_its_own() -> None:
    assert ask("cat").stdout == b""
    group = ask("sh", "-c", "cut -d' ' -f5 /proc/$$/stat; echo $$").stdout.split()
    assert len(group) < 2 or group[0] == group[1]


def test_a_signal_that_python_ignores_is_not_ignored_by_it() -> None:
    assert ask("sh", "-c", "kill -PIPE $$; echo survived").status == -13


@pytest.mark.parametrize("words", ["sleep 60 & echo $!; wait", "echo $$; exec >&- 2>&-; exec sleep 60"])
def test_past_its_time_it_is_killed_with_what_it_started(tmp_path: Path, words: str) -> None:
    with pytest.raises(Failed, match=r"sh -c .* took longer than 0.5 s") as failure:
        ask("sh", "-c", words.replace("echo", f"echo $$ > {tmp_path}/pid; echo", 1), timeout_s=0.5)

    assert failure.value.code == "timed-out"
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_an_orphan_that_holds_the_pipe_open_is_not_waited_for() -> None:
    done = ask("sh", "-c", "sleep 60 & echo $!; exit 3")

    os.kill(int(done.stdout), 9)
    assert done.status == 3


def test_an_interrupt_kills_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # An interrupt cannot be aimed at this one place from outside.
    monkeypatch.setattr(asked, "_ended_by", interrupt)

    with pytest.raises(KeyboardInterrupt):
        ask("sh", "-c", f"echo $$ > {tmp_path}/pid; exec >&- 2>&-; exec sleep 60")

    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_program_that_is_not_there_or_not_usable_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\0\0\0\0")
    (tmp_path / "broken").chmod(0o755)

    with pytest.raises(Failed, match="no-such-program could not be started: no such file") as failure:
        ask("no-such-program")
    with pytest.raises(Failed, match="broken could not be started"):
        ask("broken", PATH=str(tmp_path))

    assert failure.value.code == "not-started"


def test_a_directory_relative_to_the_callers_supplies_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho theirs\n")
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.chdir(tmp_path)

    for path in (".", "", f":{os.pathsep}."):
        with pytest.raises(Failed, match="could not be started"):
            ask("tool", PATH=path)
    assert ask("tool", PATH=f".{os.pathsep}{tmp_path}").stdout == b"theirs\n"


def test_it_leaves_no_descriptor_open() -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not list descriptors")
    ask("true")
    before = len(os.listdir("/proc/self/fd"))

    ask("true")
    with pytest.raises(Failed):
        ask("no-such-program")

    assert len(os.listdir("/proc/self/fd")) == before
