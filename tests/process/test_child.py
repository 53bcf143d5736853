from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.process.child import candidates
from orchestrator.process.request import Request, decode

BECOME = """
import os, sys
from orchestrator.process.child import become
from orchestrator.process.request import Request
gate, opener = os.pipe()
if sys.argv[2] == "open":
    os.write(opener, b"g")
os.close(opener)
limits = tuple(int(number) for number in sys.argv[3].split(","))
request = Request(
    argv=[os.fsencode(sys.argv[4])],
    cwd=os.fsencode(sys.argv[1]),
    environment={},
    timeout_s=0.0,
    limits=limits,
)
become(request, gate, 1, None)
"""


def become(cwd: Path, gate: str, program: str, limits: str = "0,0,0,0") -> subprocess.CompletedProcess[bytes]:
    """Lets a fresh process become `program`; what it would tell its supervisor comes out on stdout."""
    return subprocess.run(
        [sys.executable, "-c", BECOME, str(cwd), gate, limits, program],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        start_new_session=False,
    )


def test_a_gate_that_ends_unopened_runs_nothing_and_tells_nothing(tmp_path: Path) -> None:
    done = become(tmp_path, "shut", "/bin/echo")

    assert (done.returncode, done.stdout) == (127, b"")


def test_an_open_gate_turns_the_process_into_the_program(tmp_path: Path) -> None:
    done = become(tmp_path, "open", "/bin/pwd")

    assert (done.returncode, done.stdout.decode().strip()) == (0, str(tmp_path))


@pytest.mark.parametrize("limits", ["0,0,0,0", "4000000000,60,1000,1000000"])
def test_a_missing_program_is_told_under_any_limits(tmp_path: Path, limits: str) -> None:
    done = become(tmp_path, "open", "no-such-program", limits)

    assert (done.returncode, done.stdout) == (127, b"No such program: no-such-program")


def test_programs_are_looked_for_in_absolute_places_only() -> None:
    found = candidates(b"tool", b"/usr/bin::.:relative:/bin")

    assert found == [b"/usr/bin/tool", b"/bin/tool"]
    assert candidates(b"./tool", b"/bin") == [b"./tool"]


def test_a_request_survives_the_pipe_byte_by_byte() -> None:
    request = Request(
        argv=[b"tool", b"", b"\xff\n"],
        cwd=b"/a b",
        environment={b"EMPTY": b"", b"PAIR": b"a=b\n"},
        timeout_s=1.5,
        limits=(1, 2, 3, 4),
    )

    length, _, body = request.encode().partition(b"\n")
    again = decode(body)

    assert int(length) == len(body)
    assert (again.argv, again.cwd, again.environment) == (request.argv, request.cwd, request.environment)
    assert (again.timeout_s, again.limits) == (1.5, (1, 2, 3, 4))


@pytest.mark.parametrize("heard", [b"", b"12", b"100\nhalf"])
def test_a_supervisor_whose_owner_dies_while_asking_ends_without_a_word(heard: bytes) -> None:
    code = "from orchestrator.process.supervisor import main; main(0, 1)"

    done = subprocess.run(
        [sys.executable, "-c", code], input=heard, capture_output=True, cwd=Path(__file__).parents[2]
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
