"""A session of one Codespace goes on in another one, under its id, in a directory of its own."""

from __future__ import annotations

import pytest

from tests.sessions.machines import Machines, until


def in_codespace(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CODESPACES", "true")
    monkeypatch.setenv("CODESPACE_NAME", name)


def test_a_session_keeps_its_id_on_the_next_machine(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.hold(1)
    in_codespace(monkeypatch, "first-x1")
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    working = a.start(*machines.run_words("r1", 2))
    until(lambda: "half-1.txt" in machines.saved_files(), process=working)
    (session,) = {said["session"] for said in machines.saves().values()}
    a.die(working)
    machines.let_go(1)
    in_codespace(monkeypatch, "second-y2")
    b = machines.clone("b")

    b.call("resume", "--trust")

    state = b.place / ".orchestrator" / "sessions" / session
    assert session.startswith("codespace-")
    assert (state / "state.db").is_file()
    assert not (b.place / ".orchestrator" / "state.db").exists()
    assert machines.calls() == ["0 new", "1 new", "1 again"]
    assert {said["session"] for said in machines.saves().values()} == {session}
    assert machines.saved(run_id="r1", epoch=2, rests=True)
    assert session in b.call("sessions", "list").stdout


def test_a_session_of_a_codespace_comes_back_on_a_laptop(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_codespace(monkeypatch, "first-x1")
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    a.call(*machines.run_words("r1", 1))
    monkeypatch.delenv("CODESPACES")
    monkeypatch.delenv("CODESPACE_NAME")
    b = machines.clone("b")

    b.call("sessions", "restore")
    b.call("merge", "r1", "--trust")

    assert (b.place / "done-0.txt").is_file()
    assert "r1" in b.call("status", "r1").stdout
