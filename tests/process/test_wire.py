from __future__ import annotations

import threading
from pathlib import Path

import pytest

from orchestrator.process.spawn import supervise
from orchestrator.process.wire import Wire
from orchestrator.redaction.redactor import Redactor
from tests.process.conftest import MakeCommand, nothing_is_left

ECHO = "import sys\nfor line in sys.stdin: print('heard', line.strip(), flush=True)\nprint('over')"


def ignore(_: object) -> None:
    pass


def test_a_program_is_asked_and_answers_while_it_runs(python: MakeCommand) -> None:
    heard: list[bytes] = []

    def hear(data: bytes) -> None:
        heard.append(data)
        if b"heard one" in data:
            wire.send(b"two\n")
        elif b"heard two" in data:
            wire.close()

    wire = Wire(hear)
    wire.send(b"one\n")
    ended = supervise(python(ECHO), on_started=ignore, wire=wire)

    assert ended.exit_status == 0
    assert b"".join(heard) == b"heard one\nheard two\nover\n"
    assert heard[-1] == b""
    assert heard.count(b"") == 1


def test_what_another_thread_sends_arrives_although_the_program_is_silent(python: MakeCommand) -> None:
    wire = Wire()
    started = threading.Event()

    def speak() -> None:
        started.wait()
        wire.send(b"late\n")
        wire.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    heard: list[bytes] = []
    ended = supervise(python(ECHO), on_started=lambda _: started.set(), on_output=heard.append, wire=wire)
    speaker.join()

    assert ended.exit_status == 0
    assert b"".join(heard) == b"heard late\nover\n"


def test_the_wire_is_raw_and_holds_nothing_back_and_the_log_has_no_secret(
    python: MakeCommand, tmp_path: Path
) -> None:
    secret = "hunter2-hunter2-hunter2"
    heard: list[bytes] = []

    def hear(data: bytes) -> None:
        heard.append(data)
        if secret.encode() in b"".join(heard):
            wire.close()  # the program waits for it: a held back tail would never come

    wire = Wire(hear)
    redactor = Redactor()
    redactor.add("NAME", secret)
    code = f"import sys; sys.stdout.write({secret!r}); sys.stdout.flush(); sys.stdin.read()"
    ended = supervise(python(code, log=tmp_path / "log", redactor=redactor), on_started=ignore, wire=wire)

    assert ended.exit_status == 0
    assert b"".join(heard) == secret.encode()
    assert secret not in (tmp_path / "log").read_text()


def test_more_than_a_pipe_holds_is_fed_and_a_program_that_wants_no_more_is_no_error(
    python: MakeCommand,
) -> None:
    wire = Wire()
    wire.send(b"x" * 3_000_000)
    wire.close()
    heard: list[bytes] = []
    supervise(
        python("import sys; print(len(sys.stdin.read()))"),
        on_started=ignore,
        on_output=heard.append,
        wire=wire,
    )

    deaf = Wire()
    deaf.send(b"x" * 3_000_000)
    ended = supervise(python("import os; os.close(0); print('done')"), on_started=ignore, wire=deaf)
    deaf.send(b"more")

    assert b"".join(heard) == b"3000000\n"
    assert ended.exit_status == 0
    assert deaf.waiting_bytes == 0


def test_a_program_that_prints_too_much_waits_while_its_output_is_held(python: MakeCommand) -> None:
    seen = 0

    def hear(data: bytes) -> None:
        nonlocal seen
        seen += len(data)
        if not held.is_set():
            held.set()
            wire.hold(True)
            threading.Timer(1.0, release).start()

    def release() -> None:
        seen_while_held.append(seen)
        wire.hold(False)

    held, seen_while_held = threading.Event(), list[int]()
    wire = Wire(hear)
    command = python("import sys; sys.stdout.write('x' * 5_000_000)", idle_timeout_s=0.3)
    ended = supervise(command, on_started=ignore, wire=wire)

    assert ended.cause == "exited"
    assert seen == 5_000_000
    assert seen_while_held[0] < 1_000_000


@pytest.mark.parametrize(
    ("limits", "cause"), [({"timeout_s": 0.4}, "deadline"), ({"idle_timeout_s": 0.4}, "idle")]
)
def test_a_program_that_waits_for_more_is_ended_by_its_limits(
    python: MakeCommand, marker: str, limits: dict[str, float], cause: str
) -> None:
    ended = supervise(python(ECHO, **limits), on_started=ignore, wire=Wire())

    assert ended.cause == cause
    assert nothing_is_left(marker)


def test_an_error_of_the_listener_ends_everything(python: MakeCommand, marker: str) -> None:
    def hear(_: bytes) -> None:
        raise KeyError("no such session")

    with pytest.raises(KeyError):
        supervise(python("print('x', flush=True); input()"), on_started=ignore, wire=Wire(hear))

    assert nothing_is_left(marker)


def test_a_wire_that_was_never_used_can_be_written_to_and_closed() -> None:
    wire = Wire()

    wire.send(b"nobody hears")
    wire.close()

    assert wire.waiting_bytes == len(b"nobody hears")
