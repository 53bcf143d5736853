"""A kill at every effect, and a disk that fills: nothing is lost, and the same call again completes it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.engine.persistence import PersistReason
from orchestrator.engine.start import RunRequest, preview, start_run
from orchestrator.errors import DiskFailed
from orchestrator.fs import effects
from orchestrator.model.event import EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.run import RunOptions
from orchestrator.paths import OrchestratorPaths
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.git import find_repository
from orchestrator.repo.remote import Remote
from orchestrator.repo.repository import Repository
from orchestrator.sessions.clone import session_of_run
from orchestrator.sessions.giving_way import Target
from orchestrator.sessions.restore import bring_back, fetch_saved
from orchestrator.sessions.saving import Saver
from orchestrator.sessions.writing import Wish
from orchestrator.workspace import open_workspace
from tests.conftest import GitCall
from tests.sampling import EVERY, points
from tests.sessions.machines import Machines, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Returns whether a child that did the work was killed just before its effect of that number."""
    child = os.fork()
    if child == 0:
        seen: list[str] = []

        def cut(effect: str) -> None:
            seen.append(effect)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        with contextlib.suppress(BaseException), effects.observe(cut):
            work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def counted(work: Callable[[], object]) -> int:
    seen: list[str] = []
    with effects.observe(seen.append):
        work()
    return len(seen)


def restored(place: Path, remote: Path) -> None:
    located = find_repository(str(place), dict(os.environ))
    repository = Repository(located, trusted=False)
    target = Target(located, OrchestratorPaths(place), repository, Redactor())
    found, problems = fetch_saved(target, Remote(repository, str(remote), name="origin"))
    done = bring_back(target, found)
    assert problems == done.problems == []


@EVERY
def test_a_kill_at_any_effect_of_a_restore_is_mended_by_restoring_again(
    machines: Machines, git: GitCall, tmp_path: Path, every: bool
) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    a.call(*machines.run_words("r1", 2))
    master = machines.clone("master").place
    first = tmp_path / "first"
    shutil.copytree(master, first)
    total = counted(lambda: restored(first, machines.remote))
    expected = git(first, "for-each-ref", "refs/orchestrator", "refs/heads")

    for number in points(total, every=every):
        place = tmp_path / f"case-{number}"
        shutil.copytree(master, place)

        assert killed_at(number, lambda place=place: restored(place, machines.remote))  # type: ignore[misc]
        restored(place, machines.remote)

        assert git(place, "for-each-ref", "refs/orchestrator", "refs/heads") == expected, number
        with open_workspace(str(place), environment=dict(os.environ), writes=False) as workspace:
            assert workspace.state.get_run(RunId("r1")).status == "completed", number
            assert workspace.state.verify_chain() is None, number
        shutil.rmtree(place)


def saver_of(place: Path, remote: Path, run_id: RunId | None = None) -> tuple[Saver, Callable[[], None]]:
    """Returns what saves a run (a new one without an id), and what closes its state."""
    workspace = open_workspace(str(place), environment=dict(os.environ), trust_now=True, writes=True)
    context = workspace.context
    if run_id is None:
        request = RunRequest(
            task="nothing",
            run_id=RunId("r1"),
            plan=None,
            base=None,
            include_changes=False,
            options=RunOptions(command=("true",)),
            config=workspace.loaded.config,
            workflow_yaml=None,
            trusted=True,
        )
        run_id = start_run(context, request, preview(context, request)).id
    session = session_of_run(context.repository, context.paths, run_id)
    told: list[str] = []
    saver = Saver(
        context,
        run_id,
        Remote(context.repository, str(remote), name="origin"),
        Wish(session, 2**40, "origin"),
        ("ref", "branch"),
        told.append,
    )
    return saver, workspace.close


def saved_twice(place: Path, remote: Path, run_id: RunId | None = None) -> None:
    saver, close = saver_of(place, remote, run_id)
    saver.save(PersistReason.RESUMED)
    saver.context.state.record_event(saver.run_id, EventKind.AGENT_SAID, {"text": "more"})
    assert saver.save(PersistReason.STEP_ENDED)
    close()


@EVERY
def test_a_kill_at_any_effect_of_a_save_is_mended_by_saving_again(
    machines: Machines, git: GitCall, tmp_path: Path, every: bool
) -> None:
    a = machines.clone("a")
    a.call("init", "--trust")
    _, close = saver_of(a.place, machines.remote)
    close()
    master = tmp_path / "master"
    shutil.copytree(a.place, master)
    remote = tmp_path / "remote-master.git"
    shutil.copytree(machines.remote, remote)
    total = counted(lambda: saved_twice(a.place, machines.remote, RunId("r1")))

    for number in points(total, every=every):
        place, there = tmp_path / f"case-{number}", tmp_path / f"remote-{number}.git"
        shutil.copytree(master, place)
        shutil.copytree(remote, there)

        killed_at(number, lambda p=place, t=there: saved_twice(p, t, RunId("r1")))  # type: ignore[misc]
        saved_twice(place, there, RunId("r1"))

        here = git(place, "for-each-ref", "--format=%(objectname)", "refs/orchestrator/sessions")
        assert here == git(there, "for-each-ref", "--format=%(objectname)", "refs/orchestrator/sessions")
        assert git(there, "fsck", "--strict", "--no-dangling", "--no-progress") == "", number
        shutil.rmtree(place)
        shutil.rmtree(there)


def test_a_disk_that_fills_while_saving_is_told_and_the_next_save_brings_everything(
    machines: Machines, git: GitCall
) -> None:
    a = machines.clone("a")
    a.call("init", "--trust")
    saver, close = saver_of(a.place, machines.remote)
    told: list[str] = []
    saver.tell = told.append
    saver.save(PersistReason.RESUMED)
    before = git(machines.remote, "for-each-ref")
    saver.context.state.record_event(saver.run_id, EventKind.AGENT_SAID, {"text": "more"})

    def full(effect: str) -> None:
        if effect.startswith("git fast-import"):
            raise DiskFailed(path=str(a.place), reason=os.strerror(errno.ENOSPC), code="disk-full")

    with effects.observe(full):
        assert not saver.save(PersistReason.STEP_ENDED)
        assert not saver.save(PersistReason.PHASE_ENDED)
    untouched = git(machines.remote, "for-each-ref")
    assert saver.save(PersistReason.RESTS)
    close()

    assert untouched == before
    assert len(told) == 1
    assert "No space left on device" in told[0]
    assert machines.saved(run_id="r1", rests=True)


def test_a_kill_while_the_tree_is_saved_beside_the_agent_loses_nothing(machines: Machines) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    machines.hold(0)
    working = a.start(*machines.run_words("r1", 1))
    until(lambda: "half-0.txt" in machines.saved_files(), process=working)
    working.send_signal(signal.SIGKILL)
    working.communicate()
    machines.let_go(0)

    a.call("resume", "r1")

    assert machines.calls() == ["0 new", "0 again"]
    assert machines.saved(run_id="r1", epoch=2, rests=True)
