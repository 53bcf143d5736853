"""Bringing runs back: beside what is here already, from a remote that holds more, and from forgers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.engine.keeping import keep_live, open_tree
from orchestrator.engine.persistence import PersistReason
from orchestrator.engine.work import open_work
from orchestrator.errors import Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.paths import OrchestratorPaths
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.git import find_repository
from orchestrator.repo.remote import Remote
from orchestrator.repo.repository import Repository
from orchestrator.sessions import segments
from orchestrator.sessions.giving_way import Target
from orchestrator.sessions.restore import Restored, bring_back, fetch_saved
from orchestrator.state.manager import StateManager
from tests.conftest import GitCall
from tests.sessions.machines import Machine, Machines
from tests.sessions.test_kills import saver_of
from tests.sessions.test_untrusted import manifest, record, rewritten

RUN = RunId("r1")


def save_a_run(machine: Machine, file: str = "work.txt") -> None:
    """Begins the run r1 with a tree that holds one new file, and saves it at the remote."""
    machine.call("init", "--trust")
    saver, close = saver_of(machine.place, machine.all.remote)
    saver.save(PersistReason.RESUMED)
    work = open_work(saver.context, RUN, lambda: False)
    (open_tree(work).path / file).write_text("work\n")
    keep_live(work)
    assert saver.save(PersistReason.STEP_ENDED)
    close()


def target_at(place: Path) -> Target:
    located = find_repository(str(place), dict(os.environ))
    return Target(located, OrchestratorPaths(place), Repository(located, trusted=False), Redactor())


def restore(machine: Machine, *, session: str | None = None, run_id: RunId | None = None) -> Restored:
    target = target_at(machine.place)
    remote = Remote(target.repository, str(machine.all.remote), name="origin")
    found, problems = fetch_saved(target, remote, session=session, run_id=run_id)
    done = bring_back(target, found)
    done.problems += problems
    return done


def session_of(git: GitCall, machine: Machine) -> str:
    name = git(machine.place, "for-each-ref", "--format=%(refname)", "refs/orchestrator/sessions")
    return name.split("/")[3]


def test_of_two_runs_with_one_id_the_newest_comes_back_and_the_other_is_told(
    machines: Machines, git: GitCall
) -> None:
    a, b, c = (machines.clone(name) for name in "abc")
    save_a_run(a, "older.txt")
    save_a_run(b, "newer.txt")

    done = restore(c, run_id=RUN)

    assert done.session == session_of(git, b)
    assert [f"saved in session {session_of(git, a)}" in each for each in done.problems] == [True]
    assert done.kept == []
    tree = git(c.place, "ls-tree", "--name-only", f"refs/orchestrator/runs/{RUN}:tree")
    assert "newer.txt" in tree.split()


def test_a_run_that_a_host_holds_in_both_ways_comes_back_once(machines: Machines, git: GitCall) -> None:
    a, b = machines.clone("a"), machines.clone("b")
    save_a_run(a)
    (ref,) = machines.saves()
    branch = ref.replace("refs/orchestrator/sessions/", "refs/heads/orchestrator/state/")
    git(machines.remote, "update-ref", branch, f"{ref}~1")

    done = restore(b)

    assert (list(done.runs), done.problems) == ([RUN], [])
    assert git(b.place, "rev-parse", ref) == git(machines.remote, "rev-parse", ref)
    assert git(b.place, "for-each-ref", "refs/orchestrator/incoming") == ""


def test_another_run_of_that_id_here_stays_as_it_is(machines: Machines, git: GitCall) -> None:
    a, b = machines.clone("a"), machines.clone("b")
    save_a_run(a)
    b.call("init", "--trust")
    _, close = saver_of(b.place, machines.remote)
    close()
    before = git(b.place, "for-each-ref", "refs/orchestrator")
    with StateManager.open_read_only(OrchestratorPaths(b.place)) as state:
        mine = state.get_run(RUN)

    done = restore(b, session=session_of(git, a))

    assert done.runs == {}
    assert "There is another run r1 here" in done.problems[0]
    assert git(b.place, "for-each-ref", "refs/orchestrator") == before
    with StateManager.open_read_only(OrchestratorPaths(b.place)) as state:
        assert state.get_run(RUN) == mine


@pytest.mark.parametrize("root", [".orchestrator/worktrees", "elsewhere"])
def test_work_that_was_never_saved_is_kept_also_where_the_state_is_gone(
    machines: Machines, git: GitCall, root: str
) -> None:
    a = machines.clone("a")
    trees = a.place / root
    a.call("init", "--trust")
    (a.place / ".orchestrator" / "workflow.local.yaml").write_text(f"worktrees: {{root: '{trees}'}}\n")
    save_a_run(a)
    saved = git(a.place, "rev-parse", f"refs/orchestrator/runs/{RUN}")
    (trees / RUN / "main" / "late.txt").write_text("never saved\n")
    for path in (a.place / ".orchestrator").glob("state.db*"):
        path.unlink()

    done = json.loads(a.call("sessions", "restore", "--json").stdout)

    assert [run["id"] for run in done["runs"]] == [RUN]
    assert git(a.place, "rev-parse", f"refs/orchestrator/runs/{RUN}") == saved
    assert not (trees / RUN / "main").exists()
    assert [git(a.place, "show", f"{name}:tree/late.txt") for name in done["kept"]] == ["never saved"]


def test_no_event_is_told_twice_when_a_killed_restore_is_completed(machines: Machines, git: GitCall) -> None:
    a, b = machines.clone("a"), machines.clone("b")
    save_a_run(a)
    restore(b)
    paths = OrchestratorPaths(b.place)
    with StateManager.open_read_only(paths) as state:
        once = [(event.at, event.kind) for event in state.events(RUN)]
    (ref,) = machines.saves()
    git(b.place, "update-ref", "-d", ref)  # as a kill just before the last ref leaves it

    done = restore(b)

    assert list(done.runs) == [RUN]
    with StateManager.open_read_only(paths) as state:
        twice = [(event.at, event.kind) for event in state.events(RUN)]
    assert twice[:-1] == once
    assert twice[-1][1] is EventKind.RUN_RECOVERED


def event(place: Path, **facts: object) -> None:
    said = {"at": "2026-01-01T00:00:00+00:00", "kind": "run.started", "data": {}, **facts}
    (place / "events.jsonl").write_text(json.dumps(said) + "\n")


def nested(depth: int) -> object:
    found: object = "x"
    for _ in range(depth):
        found = [found]
    return found


def base(place: Path, value: str) -> None:
    document = json.loads((place / "run.json").read_text())
    document["run"]["metadata"]["origin"]["base"] = value
    (place / "run.json").write_text(json.dumps(document))


def dated(place: Path, at: str) -> None:
    document = json.loads((place / "run.json").read_text())
    document["run"]["created_at"] = at
    (place / "run.json").write_text(json.dumps(document))


FORGERIES: dict[str, Callable[[Path], object]] = {
    "base-that-is-an-option": lambda place: base(place, "--index-output=.git/config"),
    "base-that-is-a-revision": lambda place: base(place, "HEAD"),
    "empty-task": lambda place: record(place, '"task": "nothing"', '"task": ""'),
    "event-before-all-time": lambda place: event(place, at="0001-01-01T00:00:00+14:00"),
    "event-after-all-time": lambda place: event(place, at="9999-12-31T23:59:59-14:00"),
    "paper-below-a-paper": lambda place: manifest(place, files={"r1/x": "0" * 64, "r1/x/y": "0" * 64}),
    "run-before-all-time": lambda place: dated(place, "0001-01-01T00:00:00+14:00"),
}
ODDITIES: dict[str, Callable[[Path], object]] = {
    "half-a-character": lambda place: record(place, '"task": "nothing"', '"task": "\\ud800"'),
    "half-a-character-told": lambda place: event(place, data={"text": "\ud800"}),
    "deep-event": lambda place: event(place, data={"text": nested(900)}),
    "save-before-all-time": lambda place: manifest(place, at="0001-01-01T00:00:00+14:00"),
}


@pytest.fixture(scope="module")
def one_save(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saved") / "remote.git"


def forge(machines: Machines, git: GitCall, one_save: Path, change: Callable[[Path], object]) -> Machine:
    """Returns a clone of a remote whose only save somebody tampered with."""
    if not one_save.exists():
        save_a_run(machines.clone("a"))
        shutil.copytree(machines.remote, one_save)
    shutil.rmtree(machines.remote)
    shutil.copytree(one_save, machines.remote)
    rewritten(machines, git, change)
    return machines.clone("b")


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_by_itself(machines: Machines, git: GitCall, one_save: Path, name: str) -> None:
    b = forge(machines, git, one_save, FORGERIES[name])

    done = restore(b)

    assert done.runs == {}
    assert len(done.problems) == 1
    assert git(b.place, "for-each-ref", "refs/orchestrator") == ""
    with pytest.raises(Refused), StateManager.open_read_only(OrchestratorPaths(b.place)) as state:
        state.get_run(RUN)


@pytest.mark.parametrize("name", ODDITIES)
def test_what_is_odd_and_harmless_comes_back_and_can_be_shown(
    machines: Machines, git: GitCall, one_save: Path, name: str
) -> None:
    b = forge(machines, git, one_save, ODDITIES[name])

    done = restore(b)

    assert (list(done.runs), done.problems) == ([RUN], [])
    assert RUN in b.call("status", "r1").stdout
    assert "run.recovered" in b.call("log", "r1", "--json").stdout


def test_a_paper_that_is_here_under_the_same_name_is_kept_beside_the_one_that_comes(
    machines: Machines, git: GitCall, one_save: Path
) -> None:
    digest = segments.digest_of(b"said there\n")

    def add_paper(place: Path) -> None:
        (place / "files").mkdir(exist_ok=True)
        (place / "files" / digest).write_text("said there\n")
        manifest(place, files={"r1/out.log": digest})

    b = forge(machines, git, one_save, add_paper)
    b.call("init", "--trust")
    papers = OrchestratorPaths(b.place).artifacts_dir / RUN
    papers.mkdir(parents=True)
    (papers / "out.log").write_text("said here\n")

    done = restore(b)
    again = restore(b)

    assert (list(done.runs), again.runs) == ([RUN], {})
    assert sorted(path.read_text() for path in papers.iterdir()) == ["said here\n", "said there\n"]
    assert (papers / "out.log").read_text() == "said there\n"


@pytest.mark.parametrize("number", ["\u00b2", "9" * 5000, "-1"])
def test_a_number_of_a_save_that_is_none_ends_the_chain(
    machines: Machines, git: GitCall, number: str
) -> None:
    save = machines.remote
    tree = git(save, "rev-parse", "main^{tree}")
    tip = git(save, "commit-tree", tree, "-m", f"r1: resumed\n\nOrchestrator-Save: {number}")
    git_there = target_at(machines.clone("a").place).repository.git
    git(machines.root / "a", "fetch", "-q", str(save), f"{tip}:refs/heads/forged")

    with pytest.raises(Refused, match="saves are missing"):
        segments.chain(git_there, ObjectId(tip))


def test_many_saves_with_much_to_say_are_read(machines: Machines, git: GitCall) -> None:
    a = machines.clone("a")
    (a.place / "large").write_bytes(b" " * 900_000)
    git(a.place, "add", "large")
    git(a.place, "commit", "-qm", "large")
    commit = ObjectId(git(a.place, "rev-parse", "HEAD"))

    parts = segments.read_parts(
        target_at(a.place).repository.git, [(commit, "large", segments.MAX_SMALL_BYTES)] * 20
    )

    assert [len(part) for part in parts] == [900_000] * 20
