"""A kill while a run is exported, or gives way to what went on elsewhere: nothing is lost."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.model.ids import RunId
from orchestrator.sessions.bundle import export_run
from orchestrator.workspace import open_workspace
from tests.conftest import GitCall
from tests.sessions.machines import Machine, Machines, kill, until
from tests.sessions.test_kills import counted, killed_at, restored

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
FEW = 4


def points(total: int, request: pytest.FixtureRequest) -> list[int]:
    """Returns at which effects to kill: a few, the first and last among them; all in the long campaign."""
    step = 1 if "long" in request.node.name else max(1, (total - 1) // (FEW - 1))
    return sorted({*range(1, total + 1, step), total})


def exported(place: Path, file: Path) -> None:
    with open_workspace(str(place), environment=dict(os.environ), writes=True) as workspace:
        export_run(workspace.context, RunId("r1"), file)


def half_done(machines: Machines, machine: Machine, number: int = 0) -> None:
    """Leaves a run whose agent was killed half way in one of its phases."""
    machines.hold(number)
    working = machine.start(*machines.run_words("r1", 2), "--trust")
    tree = machine.place / ".orchestrator" / "worktrees" / "r1" / "main"
    until(lambda: (tree / f"half-{number}.txt").exists(), process=working)
    kill(working)
    machines.let_go(number)


@pytest.fixture(params=["sample", pytest.param("long", marks=pytest.mark.long)])
def which(request: pytest.FixtureRequest) -> Callable[[int], list[int]]:
    """Returns what chooses the effects to kill at."""
    return lambda total: points(total, request)


def test_a_kill_at_any_effect_of_an_export_leaves_drafts_that_the_next_export_sweeps(
    machines: Machines, git: GitCall, tmp_path: Path, which: Callable[[int], list[int]]
) -> None:
    a = machines.clone("a")
    a.call("init", "--trust")
    half_done(machines, a)
    master = tmp_path / "master"
    shutil.copytree(a.place, master, symlinks=True)
    total = counted(lambda: exported(a.place, tmp_path / "calm.bundle"))
    litter, out = 0, tmp_path / "none"

    for number in which(total):
        place, out = tmp_path / f"case-{number}", tmp_path / f"out-{number}"
        shutil.copytree(master, place, symlinks=True)
        out.mkdir()

        killed_at(number, lambda p=place, o=out: exported(p, o / "r1.bundle"))  # type: ignore[misc]
        litter += len(list((place / ".orchestrator" / "tmp").glob("*")))
        if not (out / "r1.bundle").exists():
            exported(place, out / "r1.bundle")
        exported(place, out / "again.bundle")

        assert list((place / ".orchestrator" / "tmp").glob("*")) == [], number
        assert sorted(path.name for path in out.iterdir()) == ["again.bundle", "r1.bundle"], number
        tip = git(place, "for-each-ref", "--format=%(objectname)", "refs/orchestrator/runs")
        assert "half-0.txt" in git(place, "ls-tree", "--name-only", f"{tip}:tree"), number
        shutil.rmtree(place)

    assert litter > 0
    machines.clone("b").call("bundle", "import", str(tmp_path / f"out-{total}" / "r1.bundle"))


def test_a_kill_at_any_effect_of_giving_way_keeps_what_was_here(
    machines: Machines, git: GitCall, tmp_path: Path, which: Callable[[int], list[int]]
) -> None:
    slow = machines.clone("slow")
    slow.call("init", "--trust", "--push-state")
    machines.hold(0)
    working = slow.start(*machines.run_words("r1", 1))
    until(lambda: "half-0.txt" in machines.saved_files(), process=working)
    kill(working)
    (slow.place / ".orchestrator" / "worktrees" / "r1" / "main" / "only-here.txt").write_text("mine\n")
    quick = machines.clone("quick")
    machines.let_go(0)
    quick.call("resume", "--trust")
    theirs = git(quick.place, "rev-parse", "orchestrator/r1")
    master = tmp_path / "master"
    shutil.copytree(slow.place, master, symlinks=True)
    total = counted(lambda: restored(slow.place, machines.remote))

    for number in which(total):
        place = tmp_path / f"case-{number}"
        shutil.copytree(master, place, symlinks=True)

        killed_at(number, lambda p=place: restored(p, machines.remote))  # type: ignore[misc]
        restored(place, machines.remote)

        forks = git(place, "for-each-ref", "--format=%(objectname)", "refs/orchestrator/forks").split()
        kept = [git(place, "ls-tree", "-r", "--name-only", f"{oid}:tree", ok=False) for oid in forks]
        assert any("only-here.txt" in names for names in kept), number
        assert git(place, "rev-parse", "orchestrator/r1") == theirs, number
        with open_workspace(str(place), environment=dict(os.environ), writes=False) as workspace:
            assert workspace.state.get_run(RunId("r1")).status == "completed", number
            assert workspace.state.verify_chain() is None, number
        shutil.rmtree(place)


def test_what_a_killed_import_left_is_swept_by_the_next(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setenv("TMPDIR", str(room))
    dead = room / "orchestrator-import-4194305-0123456789ab"
    dead.mkdir()
    (dead / "member-0").write_text("left\n")
    alive = room / f"orchestrator-import-{os.getpid()}-0123456789ab"
    alive.mkdir()
    broken = tmp_path / "broken"
    broken.write_text("no bundle\n")

    machines.clone("b").call("bundle", "import", str(broken), status=2)

    assert [path.name for path in room.iterdir()] == [alive.name]
