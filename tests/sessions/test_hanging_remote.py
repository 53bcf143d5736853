"""A remote that accepts connections and says nothing: no command hangs, each says so, and nothing is lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.conftest import GitCall
from tests.sessions.machines import Machine, Machines, kill, until


class Silence:
    """A server on loopback that accepts whoever comes, reads, and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Returns its address for git."""
        return f"git://127.0.0.1:{self._socket.getsockname()[1]}/remote.git"

    @property
    def visitors(self) -> int:
        """Returns how many came."""
        return len(self._kept)

    def close(self) -> None:
        """Sends everybody home."""
        self._socket.close()
        for each in self._kept:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                self._kept.append(self._socket.accept()[0])
            except OSError:
                return


@pytest.fixture
def silence() -> Iterator[Silence]:
    """Yields a server that never answers."""
    server = Silence()
    yield server
    server.close()


def told_to_push(machines: Machines, git: GitCall, silence: Silence, name: str) -> Machine:
    """Returns a machine whose remote hangs, and whose user agreed to it."""
    machine = machines.clone(name)
    git(machine.place, "remote", "set-url", "origin", silence.url)
    said = machine.call("init", "--trust", "--push-state", status=3).stderr
    assert "error[remote-unreachable]" in said
    assert "did not answer within 20 s" in said
    return machine


@pytest.mark.long
def test_a_run_ends_and_goes_on_beside_a_remote_that_hangs_and_pushes_once_it_answers(
    machines: Machines, git: GitCall, silence: Silence
) -> None:
    a = told_to_push(machines, git, silence, "a")

    done = a.call(*machines.run_words("r1", 2))
    machines.hold(2)
    working = a.start(*machines.run_words("r2", 3))
    tree = a.place / ".orchestrator" / "worktrees" / "r2" / "main"
    until(lambda: (tree / "half-2.txt").exists(), process=working)
    kill(working)
    machines.let_go(2)
    resumed = a.call("resume", "r2")
    visitors = silence.visitors
    git(a.place, "remote", "set-url", "origin", str(machines.remote))
    a.call("init", "--push-state")
    a.call("resume", "r1")
    a.call("resume", "r2")

    for said in (done.stderr, resumed.stderr):
        assert said.count("is not saved elsewhere for now") == 1
        assert "did not answer within" in said
    assert visitors > 2
    assert {said["run_id"] for said in machines.saves().values()} == {"r1", "r2"}
    assert all(said["rests"] for said in machines.saves().values())


@pytest.mark.long
def test_restoring_from_a_remote_that_hangs_ends_with_an_error_and_changes_nothing(
    machines: Machines, git: GitCall, silence: Silence
) -> None:
    b = machines.clone("b")
    git(b.place, "remote", "set-url", "origin", silence.url)
    before = git(b.place, "for-each-ref"), sorted(path.name for path in b.place.rglob("*"))

    restore = b.call("sessions", "restore", status=3)
    resume = b.call("resume", "r1", "--trust", status=2)

    assert "error[remote-unreachable]" in restore.stderr
    assert "did not answer within 20 s" in restore.stderr
    assert "nothing could be looked for elsewhere" in resume.stderr
    assert (git(b.place, "for-each-ref"), sorted(path.name for path in b.place.rglob("*"))) == before
