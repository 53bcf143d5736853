"""A run that outlives two machines, whatever the remote takes; its result is that of an undisturbed one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import GitCall
from tests.sessions.machines import REFUSES_ALL, REFUSES_REFS, Machine, Machines, kill, until


def undisturbed(machines: Machines) -> str:
    machine = machines.clone("undisturbed")
    machine.call("init", "--trust")
    machine.call(*machines.run_words("calm"))
    (machines.control / "calls").unlink()
    return machines.git(machine.place, "rev-parse", "orchestrator/calm^{tree}")


@pytest.mark.parametrize("hook", ["", REFUSES_REFS], ids=["refs", "branches"])
def test_a_run_goes_on_on_the_third_machine(machines: Machines, git: GitCall, hook: str) -> None:
    expected = undisturbed(machines)
    if hook:
        machines.refuse(hook)
    machines.hold(1)
    machines.hold(2)
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    first = a.start(*machines.run_words("r1"))
    until(lambda: "half-1.txt" in machines.saved_files(), process=first)
    a.die(first)
    b = machines.clone("b")
    machines.let_go(1)
    second = b.start("resume", "--trust")
    until(lambda: "half-2.txt" in machines.saved_files(), process=second)
    b.die(second)
    c = machines.clone("c")
    machines.let_go(2)

    done = c.call("resume", "--trust")
    c.call("merge", "r1", "--trust")

    assert git(c.place, "rev-parse", "HEAD^{tree}") == expected
    assert machines.calls() == ["0 new", "1 new", "1 again", "2 new", "2 again"]
    assert "restored run r1 (executing)" in done.stderr
    assert "skipped  phase p0 (phase 0)" in done.stderr
    places = {name.rsplit("/", 2)[0] for name in machines.saves()}
    assert places == {"refs/heads/orchestrator/state" if hook else "refs/orchestrator/sessions"}


def test_a_run_goes_on_from_a_file_where_the_remote_refuses_everything(
    machines: Machines, git: GitCall, tmp_path: Path
) -> None:
    expected = undisturbed(machines)
    machines.refuse(REFUSES_ALL)
    machines.hold(1)
    machines.hold(2)
    a = machines.clone("a")
    said = a.call("init", "--trust", "--push-state").stderr
    _killed_and_exported(a, machines.run_words("r1"), 1, tmp_path / "one.bundle")
    b = machines.clone("b")
    b.call("bundle", "import", str(tmp_path / "one.bundle"))
    machines.let_go(1)
    _killed_and_exported(b, ("resume", "r1", "--trust"), 2, tmp_path / "two.bundle")
    c = machines.clone("c")
    c.call("bundle", "import", str(tmp_path / "two.bundle"))
    machines.let_go(2)

    c.call("resume", "r1", "--trust")
    c.call("merge", "r1", "--trust")

    assert git(c.place, "rev-parse", "HEAD^{tree}") == expected
    assert machines.calls() == ["0 new", "1 new", "1 again", "2 new", "2 again"]
    assert "takes no state" in said
    assert machines.saves() == {}


def _killed_and_exported(machine: Machine, words: tuple[str, ...], number: int, file: Path) -> None:
    """Works until the agent of a phase is half way, kills it, takes the run along, and loses the machine."""
    process = machine.start(*words)
    tree = machine.place / ".orchestrator" / "worktrees" / "r1" / "main"
    until(lambda: (tree / f"half-{number}.txt").exists(), process=process)
    kill(process)
    machine.call("bundle", "export", "r1", str(file))
    machine.die(process)
