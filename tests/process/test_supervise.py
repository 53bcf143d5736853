from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.errors import DiskFailed, Failed, Refused
from orchestrator.process.leftovers import find
from orchestrator.process.spawn import Command, Ended, Limits, minimal_environment, supervise
from tests.process.conftest import MakeCommand, nothing_is_left


def ignore(_: object) -> None:
    pass


def run(command: Command) -> tuple[Ended, bytes]:
    heard: list[bytes] = []
    ended = supervise(command, on_started=ignore, on_output=heard.append)
    return ended, b"".join(heard)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


ORPHAN = """
import os, signal, sys, time
def orphan():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
    os.wait()
"""


def test_exit_status_and_output_survive_an_orphan_that_holds_the_pipe_and_is_killed(
    python: MakeCommand, marker: str
) -> None:
    command = python(ORPHAN + "orphan(); orphan(); print('out', flush=True); sys.exit(7)")

    ended, output = run(command)

    assert (ended.cause, ended.exit_status, ended.signal, ended.detail) == ("exited", 7, None, "")
    assert output == b"out\n"
    assert ended.left_over == 2
    assert find(marker) == []


def test_the_program_begins_only_after_its_process_has_been_recorded(
    python: MakeCommand, tmp_path: Path
) -> None:
    recorded: list[tuple[int, int]] = []

    def record(process: tuple[int, int]) -> None:
        recorded.append(process)
        assert process[1] == int(Path(f"/proc/{process[0]}/stat").read_text().rpartition(")")[2].split()[19])
        threading.Event().wait(0.2)
        assert not (tmp_path / "began").exists()

    ended = supervise(python("import os; open('began', 'w').write(str(os.getpid()))"), on_started=record)

    assert ended.exit_status == 0
    assert (tmp_path / "began").read_text() == str(recorded[0][0])


def test_a_program_whose_process_cannot_be_recorded_never_begins(
    python: MakeCommand, marker: str, tmp_path: Path
) -> None:
    def full(_: object) -> None:
        raise DiskFailed(path="state.db", reason="no space left")

    with pytest.raises(DiskFailed):
        supervise(python("open('began', 'w')"), on_started=full)

    assert find(marker) == []
    assert not (tmp_path / "began").exists()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("no-such-program-anywhere", "No such program: no-such-program-anywhere"),
        ("./missing", "No such program: ./missing"),
        ("./text", "Permission denied: ./text"),
        ("./garbage", "Exec format error"),
        ("with\0nul", "embedded null byte"),
    ],
)
def test_what_cannot_be_started_ends_as_not_started_with_the_reason(
    tmp_path: Path, marker: str, program: str, reason: str
) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "garbage").write_bytes(b"\x00\x01\x02")
    (tmp_path / "garbage").chmod(0o700)
    command = Command(argv=(program,), cwd=tmp_path, environment=minimal_environment({}), marker=marker)

    ended, _ = run(command)

    assert (ended.cause, ended.exit_status) == ("not-started", None)
    assert reason in ended.detail


def test_a_missing_directory_is_told_as_the_reason(python: MakeCommand, tmp_path: Path) -> None:
    ended, _ = run(python("pass", cwd=tmp_path / "gone"))

    assert ended.cause == "not-started"
    assert ended.detail == f"No such file or directory: {tmp_path / 'gone'}"


def test_a_program_in_the_tree_is_not_found_through_a_relative_entry_of_path(tmp_path: Path) -> None:
    (tmp_path / "claude").write_text("#!/bin/sh\ntouch owned\n")
    (tmp_path / "claude").chmod(0o700)
    command = Command(argv=("claude",), cwd=tmp_path, environment={"PATH": ".::relative"})

    ended, _ = run(command)

    assert ended.cause == "not-started"
    assert not (tmp_path / "owned").exists()


def test_at_the_deadline_a_program_may_tidy_up_but_its_status_counts_no_more(
    python: MakeCommand, tmp_path: Path
) -> None:
    code = """
import signal, sys, time
def tidy(*_):
    open("tidied", "w")
    sys.exit(0)
signal.signal(signal.SIGTERM, tidy)
print("up", flush=True)
time.sleep(600)
"""

    ended, _ = run(python(code, timeout_s=1.5))

    assert (ended.cause, ended.exit_status, ended.signal) == ("deadline", None, None)
    assert ended.detail == "stopped after 1.5 s"
    assert (tmp_path / "tidied").exists()


def test_a_program_that_ignores_sigterm_is_killed_with_all_its_orphans(
    python: MakeCommand, marker: str
) -> None:
    code = ORPHAN + "signal.signal(signal.SIGTERM, signal.SIG_IGN); orphan(); time.sleep(600)"

    ended, _ = run(python(code, timeout_s=1.0))

    assert (ended.cause, ended.exit_status, ended.signal) == ("deadline", None, signal.SIGKILL)
    assert ended.left_over == 1
    assert find(marker) == []


def test_silence_ends_a_program_and_output_keeps_it_alive(python: MakeCommand) -> None:
    code = """
import time
for _ in range(6):
    print("still here", flush=True)
    time.sleep(0.25)
time.sleep(600)
"""

    ended, output = run(python(code, idle_timeout_s=1.0))

    assert (ended.cause, ended.signal) == ("idle", signal.SIGTERM)
    assert output.count(b"still here") == 6
    assert ended.detail == "stopped after 1 s of silence"


def test_a_request_to_cancel_is_seen_and_leaves_nothing(python: MakeCommand, marker: str) -> None:
    heard: list[bytes] = []

    ended = supervise(
        python(ORPHAN + "orphan(); print('up', flush=True); time.sleep(600)"),
        on_started=ignore,
        on_output=heard.append,
        cancelled=lambda: bool(heard),
    )

    assert (ended.cause, ended.exit_status, ended.left_over) == ("cancelled", None, 1)
    assert find(marker) == []


def test_a_cancel_before_the_start_means_the_program_never_begins(
    python: MakeCommand, tmp_path: Path
) -> None:
    ended = supervise(python("open('began', 'w')"), on_started=ignore, cancelled=lambda: True)

    assert (ended.cause, ended.exit_status) == ("cancelled", None)
    assert not (tmp_path / "began").exists()


def test_an_interrupt_in_the_owner_kills_everything_at_once(python: MakeCommand, marker: str) -> None:
    def interrupt(_: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supervise(
            python(ORPHAN + "orphan(); print('up', flush=True); time.sleep(600)"),
            on_started=ignore,
            on_output=interrupt,
        )

    assert find(marker) == []


OWNER = """
import os, signal, sys
from pathlib import Path
from orchestrator.process.spawn import *
moment, marker, code = sys.argv[1:]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def ignore(_):
    pass
environment = minimal_environment({})
command = Command(argv=(sys.executable, "-c", code), cwd=Path.cwd(), environment=environment, marker=marker)
supervise(command, on_started=die if moment == "held" else ignore, on_output=die)
"""


@pytest.mark.parametrize("moment", ["held", "running"])
def test_an_owner_killed_at_any_moment_leaves_no_process(tmp_path: Path, marker: str, moment: str) -> None:
    code = ORPHAN + "open('began', 'w'); orphan(); print('up', flush=True); time.sleep(600)"

    owner = subprocess.run(
        [sys.executable, "-c", OWNER, moment, marker, code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )

    assert owner.returncode == -signal.SIGKILL
    assert nothing_is_left(marker)
    assert (tmp_path / "began").exists() == (moment == "running")


def test_a_killed_supervisor_takes_the_program_along_and_the_owner_clears_up_the_rest(
    python: MakeCommand, marker: str
) -> None:
    started: list[int] = []

    def kill_supervisor(_: bytes) -> None:
        os.kill(parent_of(started[0]), signal.SIGKILL)

    with pytest.raises(Failed) as failure:
        supervise(
            python(ORPHAN + "orphan(); print('up', flush=True); time.sleep(600)"),
            on_started=lambda process: started.append(process[0]),
            on_output=kill_supervisor,
        )

    assert failure.value.code == "supervisor-lost"
    assert find(marker) == []


def test_a_process_whose_first_thread_has_ended_is_not_taken_for_a_zombie(
    python: MakeCommand, marker: str
) -> None:
    code = """
import ctypes, os, sys, threading, time
if os.fork() == 0:
    threading.Thread(target=time.sleep, args=(600,)).start()
    os.setsid()
    ctypes.CDLL(None).pthread_exit(None)
time.sleep(0.3)
"""

    ended, _ = run(python(code))

    assert (ended.exit_status, ended.left_over) == (0, 1)
    assert find(marker) == []


def test_output_goes_to_the_log_in_full_and_to_the_receivers_apart(
    python: MakeCommand, tmp_path: Path
) -> None:
    out: list[bytes] = []
    err: list[bytes] = []

    ended = supervise(
        python("import sys; print('o' * 200_000); sys.stderr.write('e' * 1000)", log=tmp_path / "log"),
        on_started=ignore,
        on_output=out.append,
        on_error=err.append,
    )

    log = (tmp_path / "log").read_bytes()
    assert (len(b"".join(out)), b"".join(err)) == (200_001, b"e" * 1000)
    assert (log.count(b"o"), log.count(b"e"), len(log)) == (200_000, 1000, 201_001)
    assert ended.output_bytes == 201_001
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_log_past_its_limit_keeps_the_head_and_tells_what_is_missing(
    python: MakeCommand, tmp_path: Path
) -> None:
    ended, output = run(python("print('x' * 99_999)", log=tmp_path / "log", max_log_bytes=1000))

    assert len(output) == ended.output_bytes == 100_000
    assert (tmp_path / "log").read_text() == "x" * 1000 + "\n[orchestrator: 99000 more bytes were not kept]\n"


@pytest.mark.parametrize("kind", ["symlink", "fifo"])
def test_a_log_is_never_written_through_something_that_an_agent_put_there(
    python: MakeCommand, tmp_path: Path, kind: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    if kind == "symlink":
        (tmp_path / "log").symlink_to(victim)
    else:
        os.mkfifo(tmp_path / "log")

    with pytest.raises(Refused) as refusal:
        run(python("print('x')", log=tmp_path / "log"))

    assert refusal.value.code == "unsafe-path"
    assert victim.read_text() == "precious"


def test_a_log_that_cannot_be_written_stops_the_program(
    python: MakeCommand, marker: str, tmp_path: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(DiskFailed) as failure:
            run(python("print('x' * 20_000, flush=True); input()", log=tmp_path / "log"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert str(tmp_path / "log") in failure.value.message
    assert find(marker) == []


def test_a_program_gets_exactly_its_environment_its_input_and_default_signals(
    tmp_path: Path, marker: str
) -> None:
    given = b"line\n" * 100_000
    command = Command(
        argv=("/bin/sh", "-c", "/usr/bin/env; grep SigIgn /proc/self/status; wc -c"),
        cwd=tmp_path,
        environment={"ONLY": "this=and that"},
        stdin=given,
        marker=marker,
    )

    _, output = run(command)

    lines = output.decode().split()
    assert "ONLY=this=and" in lines
    assert f"ORCHESTRATOR_EXECUTION={marker}" in lines
    names = {line.partition("=")[0] for line in output.decode().splitlines() if "=" in line}
    assert names <= {"ONLY", "ORCHESTRATOR_EXECUTION", "PWD", "SHLVL", "_", "OLDPWD"}
    assert int(lines[lines.index("SigIgn:") + 1], 16) & (1 << 12 | 1 << 24) == 0
    assert lines[-1] == str(len(given))


def test_a_program_that_does_not_read_its_input_still_ends_well(python: MakeCommand) -> None:
    ended, _ = run(python("pass", stdin=b"x" * 1_000_000))

    assert ended.exit_status == 0


def test_consumption_covers_the_program_and_the_orphans_it_left(python: MakeCommand) -> None:
    code = """
import os, time
block = bytearray(60 << 20)
for index in range(0, len(block), 4096):
    block[index] = 1
if os.fork() == 0:
    if os.fork() == 0:
        while time.process_time() < 0.3:
            pass
    os._exit(0)
os.wait()
time.sleep(1.5)
"""

    ended, _ = run(python(code))

    assert ended.exit_status == 0
    assert ended.cpu_s >= 0.3
    assert ended.wall_s >= 1.5
    assert ended.peak_memory_bytes > 60 << 20


def test_a_signal_that_ends_the_program_is_told(python: MakeCommand) -> None:
    ended, _ = run(python("import os; os.kill(os.getpid(), 11)"))

    assert (ended.cause, ended.exit_status, ended.signal) == ("exited", None, signal.SIGSEGV)


@pytest.mark.parametrize(
    ("limits", "code", "expected"),
    [
        (Limits(memory_mb=300), "bytearray(400 << 20)", (1, None)),
        (Limits(cpu_s=1), "while True: pass", (None, signal.SIGXCPU)),
        (
            Limits(disk_mb=1),
            "import os; f = os.open('big', os.O_CREAT | os.O_WRONLY); "
            "[os.write(f, bytes(1 << 19)) for _ in range(4)]",
            (1, None),
        ),
        (
            Limits(processes=10),
            "import resource, sys; soft, hard = resource.getrlimit(resource.RLIMIT_NPROC); "
            "sys.exit(0 if soft == hard and 10 < soft < 100_000 else 1)",
            (0, None),
        ),
    ],
)
def test_each_limit_is_kept(
    python: MakeCommand, limits: Limits, code: str, expected: tuple[int | None, int | None]
) -> None:
    ended, _ = run(python(code, limits=limits))

    assert (ended.exit_status, ended.signal) == expected


def test_a_limit_too_small_for_anything_is_told_or_ends_the_program(python: MakeCommand) -> None:
    ended, _ = run(python("print('ran')", limits=Limits(memory_mb=1)))

    assert ended.exit_status != 0
    assert ended.output_bytes == 0 or ended.cause == "exited"


def test_many_at_once_keep_their_statuses_apart(python: MakeCommand) -> None:
    statuses: dict[int, int | None] = {}

    def one(number: int) -> None:
        statuses[number] = run(python(ORPHAN + f"orphan(); sys.exit({number})"))[0].exit_status

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == {number: number for number in range(1, 9)}


def test_other_platforms_are_refused_before_anything_starts(
    python: MakeCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")  # the only way to be on Windows here

    with pytest.raises(Refused) as refusal:
        run(python("pass"))

    assert refusal.value.code == "unsupported-platform"


POSIX_ONLY = """
import sys; sys.path.append(sys.argv[1])
import os
from orchestrator.process import proctable, supervisor
if hasattr(os, "waitid"):
    del os.waitid
supervisor._become_subreaper = lambda libc: False
supervisor._pidfd = lambda pid: -1
supervisor._LOOK_S = 0.0
proctable.table = proctable.from_ps
supervisor.main(int(sys.argv[2]), int(sys.argv[3]))
"""


@pytest.mark.parametrize("ending", ["sys.exit(7)", "time.sleep(600)"])
def test_without_a_sub_reaper_orphans_seen_as_descendants_are_killed_too(
    python: MakeCommand, marker: str, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    # Linux always has sub-reapers; this takes away what macOS lacks.
    monkeypatch.setattr("orchestrator.process.supervised._BOOTSTRAP", POSIX_ONLY)
    code = f"""
import os, sys, time
if os.fork() == 0:
    os.setsid()
    print("up", flush=True)
    time.sleep(600)
time.sleep(1)
{ending}
"""

    ended, _ = run(python(code, timeout_s=1.5 if "sleep" in ending else 60.0))

    assert ended.exit_status == (7 if "exit" in ending else None)
    assert ended.left_over == 1
    assert find(marker) == []


def test_a_supervisor_that_does_not_answer_is_killed_and_nothing_is_left(
    python: MakeCommand, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def stop_supervisor(_: bytes) -> None:
        os.kill(
            int(Path(f"/proc/{started[0]}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGSTOP
        )
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "orchestrator.process.supervised._FAREWELL_S", 0.2
    )  # the patience of 20 s is not the point

    with pytest.raises(KeyboardInterrupt):
        supervise(
            python(ORPHAN + "orphan(); print('up', flush=True); time.sleep(600)"),
            on_started=lambda process: started.append(process[0]),
            on_output=stop_supervisor,
        )

    assert find(marker) == []


def test_a_supervisor_that_cannot_be_started_is_a_failure_of_ours(
    python: MakeCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")  # Python was uninstalled meanwhile

    with pytest.raises(Failed) as failure:
        run(python("pass"))

    assert failure.value.code == "supervisor-lost"


def test_a_program_killed_while_it_is_held_never_begins(python: MakeCommand, tmp_path: Path) -> None:
    def kill(process: tuple[int, int]) -> None:
        os.kill(process[0], signal.SIGKILL)

    ended = supervise(python("open('began', 'w')"), on_started=kill)

    assert (ended.exit_status, ended.signal) == (None, signal.SIGKILL)
    assert not (tmp_path / "began").exists()


def test_an_owner_killed_while_the_program_tidies_up_leaves_no_process(tmp_path: Path, marker: str) -> None:
    code = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("tidying", flush=True))
print("up", flush=True)
while True:
    time.sleep(600)
"""
    hear = "heard = []\ndef hear(data):\n    heard.append(data)\n    b'tidying' in data and die()\n"
    owner_code = OWNER.replace("on_output=die)", "on_output=hear, cancelled=lambda: bool(heard))")
    owner_code = owner_code.replace("def ignore", hear + "def ignore")

    owner = subprocess.run(
        [sys.executable, "-c", owner_code, "running", marker, code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )

    assert owner.returncode == -signal.SIGKILL
    assert nothing_is_left(marker)
