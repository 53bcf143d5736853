"""A host that takes nothing but the branch people work on: what travels on it, and how it leaves it again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.engine.persistence import PersistReason
from orchestrator.model.event import EventKind
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.repo.carried import CarriedRemote
from orchestrator.repo.carrier import read_carrier
from orchestrator.repo.git import find_repository
from orchestrator.repo.remote import Outcome
from orchestrator.repo.repository import Repository
from orchestrator.sessions.carrying import take_out
from tests.conftest import GitCall
from tests.sessions.machines import Machine, Machines, kill, until
from tests.sessions.test_kills import counted, killed_at, saver_of
from tests.sessions.test_three_machines import undisturbed

ONLY_MAIN = """#!/bin/sh
while read old new name; do
  case $name in refs/heads/main) ;; *) echo "only main here" >&2; exit 1 ;; esac
done
"""
WANTED = "session: {persist_every_s: 0.2, transports: [ref, branch, working-branch]}\n"


@pytest.fixture
def narrow(machines: Machines, git: GitCall) -> Machines:
    """Returns machines whose remote takes nothing but `main`, and whose project knows that."""
    seed = machines.root / "seed"
    workflow = seed / ".orchestrator" / "workflow.yaml"
    workflow.write_text(workflow.read_text().replace("session: {persist_every_s: 0.2}\n", WANTED))
    git(seed, "commit", "-qam", "what the host takes")
    git(seed, "push", "-q", str(machines.remote), "main")
    machines.refuse(ONLY_MAIN)
    return machines


def tip(machines: Machines) -> ObjectId:
    return ObjectId(machines.git(machines.remote, "rev-parse", "main"))


def carries(machines: Machines, run_id: str) -> bool:
    message = machines.git(machines.remote, "log", "-1", "--format=%B", "main")
    return f"/{run_id} " in message and "Orchestrator-Carries: refs/orchestrator/sessions/" in message


def carried_file(machines: Machines, name: str) -> bool:
    """Returns whether the newest checkpoint that the branch carries holds a file."""
    message = machines.git(machines.remote, "log", "-1", "--format=%B", "main")
    saves = [line.split()[2] for line in message.splitlines() if "/sessions/" in line]
    said = [json.loads(machines.git(machines.remote, "show", f"{save}:manifest.json")) for save in saves]
    found = [each["checkpoint"] for each in said if each["checkpoint"]]
    return any(
        name in machines.git(machines.remote, "ls-tree", "--name-only", f"{oid}:tree") for oid in found
    )


def branch(machines: Machines, place: Path) -> CarriedRemote:
    repository = Repository(find_repository(str(place), {}), trusted=False)
    return CarriedRemote(repository, str(machines.remote), "refs/heads/main", name="origin")


def completed(machines: Machines, name: str = "a", run_id: str = "r1") -> Machine:
    """Returns a machine with a completed run, which the branch carries."""
    machine = machines.clone(name)
    machine.call("init", "--trust", "--push-state")
    machine.call(*machines.run_words(run_id, 1))
    return machine


def test_a_run_goes_on_on_the_third_machine_and_the_branch_is_as_before(
    narrow: Machines, git: GitCall
) -> None:
    expected, before = undisturbed(narrow), tip(narrow)
    narrow.hold(1)
    narrow.hold(2)
    a = narrow.clone("a")
    said = a.call("init", "--trust", "--push-state").stderr
    after_the_probe = tip(narrow)
    first = a.start(*narrow.run_words("r1"))
    until(lambda: carried_file(narrow, "half-1.txt"), process=first)
    a.die(first)
    b = narrow.clone("b")
    narrow.let_go(1)
    second = b.start("resume", "--trust")
    until(lambda: carried_file(narrow, "half-2.txt"), process=second)
    b.die(second)
    c = narrow.clone("c")
    git(c.place, "reset", "-q", "--hard", before)
    narrow.let_go(2)

    c.call("resume", "--trust")
    is_carried = carries(narrow, "r1")
    c.call("merge", "r1", "--trust")

    assert "It takes a commit on main" in said
    assert after_the_probe == before
    assert is_carried
    assert git(c.place, "rev-parse", "HEAD^{tree}") == expected
    assert narrow.calls() == ["0 new", "1 new", "1 again", "2 new", "2 again"]
    assert tip(narrow) == before
    assert "Orchestrator-Carries" not in git(c.place, "log", "--format=%B")
    git(c.place, "push", "-q", "origin", "main")


@pytest.mark.long
def test_it_is_never_used_where_nobody_configured_it(machines: Machines) -> None:
    machines.refuse(ONLY_MAIN)
    before = tip(machines)
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")

    done = a.call(*machines.run_words("r1", 1))

    assert tip(machines) == before
    assert "RUN r1 STAYS ON THIS MACHINE" in done.stderr


@pytest.mark.long
def test_the_users_checkout_and_branches_stay_as_they_are(narrow: Machines, git: GitCall) -> None:
    a = narrow.clone("a")
    words = ("for-each-ref", "refs/heads/main", "refs/remotes", "refs/tags")
    before = [git(a.place, *words), git(a.place, "reflog"), git(a.place, "config", "--list", "--local")]
    index = (a.place / ".git" / "index").read_bytes()

    a.call("init", "--trust", "--push-state")
    a.call(*narrow.run_words("r1", 1))

    after = [git(a.place, *words), git(a.place, "reflog"), git(a.place, "config", "--list", "--local")]
    assert after == before
    assert (a.place / ".git" / "index").read_bytes() == index
    assert carries(narrow, "r1")
    assert git(narrow.remote, "rev-parse", "main^{tree}") == git(narrow.remote, "rev-parse", "main~^{tree}")


@pytest.mark.long
def test_the_branch_holds_one_commit_of_ours_for_all_saves_of_all_runs(
    narrow: Machines, git: GitCall
) -> None:
    before = tip(narrow)
    a = completed(narrow)
    a.call(*narrow.run_words("r2", 2))

    b = narrow.clone("b")
    restored = b.call("sessions", "restore").stderr

    assert git(narrow.remote, "rev-parse", "main~") == before
    assert carries(narrow, "r1")
    assert carries(narrow, "r2")
    assert "restored run r1 (completed)" in restored
    assert "restored run r2 (completed)" in restored


def test_what_is_on_top_of_ours_stays_and_the_next_save_goes_on_top_of_it(
    narrow: Machines, git: GitCall
) -> None:
    a = completed(narrow)
    b = narrow.clone("b")
    (b.place / "more.txt").write_text("more\n")
    git(b.place, "add", "more.txt")
    git(b.place, "commit", "-q", "-m", "on top of ours")
    git(b.place, "push", "-q", "origin", "main")
    theirs = tip(narrow)

    a.call(*narrow.run_words("r2", 1))
    carried, beneath = (
        carries(narrow, "r1") and carries(narrow, "r2"),
        git(narrow.remote, "rev-parse", "main~"),
    )
    merged = a.call("merge", "r1", "--trust")
    a.call("merge", "r2", "--trust", status=None)

    assert carried
    assert beneath == theirs
    assert tip(narrow) == theirs
    assert "stays in the history of main at origin: somebody built on it" in merged.stderr


def test_a_run_that_starts_on_ours_starts_beneath_it_and_a_merge_does_not_take_it_in(
    narrow: Machines, git: GitCall
) -> None:
    before = tip(narrow)
    completed(narrow)
    b = narrow.clone("b")  # its main is our commit
    b.call("init", "--trust")
    b.call("sessions", "restore")

    refused = b.call("merge", "r1", "--trust", status=2)
    b.call(*narrow.run_words("r2", 1))
    own = git(b.place, "rev-parse", "orchestrator/r2~")
    (word,) = [line for line in refused.stderr.splitlines() if "git reset --soft" in line]
    git(b.place, *word.partition("Take it out: git ")[2].split())
    b.call("merge", "r1", "--trust")

    assert "error[carrier-in-branch]" in refused.stderr
    assert own == before
    assert "Orchestrator-Carries" not in git(b.place, "log", "--format=%B")
    assert git(b.place, "status", "--porcelain", "-uno") == ""
    assert not carries(narrow, "r1")
    assert git(narrow.remote, "rev-parse", "main~") == before


@pytest.mark.long
def test_commits_on_top_of_ours_that_nobody_pushed_are_refused_with_the_way_out(
    narrow: Machines, git: GitCall
) -> None:
    completed(narrow)
    b = narrow.clone("b")
    b.call("init", "--trust")
    b.call("sessions", "restore")
    (b.place / "more.txt").write_text("more\n")
    git(b.place, "add", "more.txt")
    git(b.place, "commit", "-q", "-m", "on top of ours")

    refused = b.call("merge", "r1", "--trust", status=2)
    not_begun = b.call(*narrow.run_words("r2", 1), status=2)
    (word,) = [line for line in refused.stderr.splitlines() if "git rebase --onto" in line]
    git(b.place, *word.partition("Take it out: git ")[2].split())
    b.call("merge", "r1", "--trust")

    assert "error[carrier-in-branch]" in not_begun.stderr
    assert "Orchestrator-Carries" not in git(b.place, "log", "--format=%B")
    assert (b.place / "more.txt").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    "words", [("discard", "r1", "--yes"), ("init", "--no-push-state")], ids=["discard", "word"]
)
def test_what_is_given_up_is_taken_out(narrow: Machines, words: tuple[str, ...]) -> None:
    before = tip(narrow)
    a = completed(narrow)
    carried = carries(narrow, "r1")

    a.call(*words)

    assert carried
    assert tip(narrow) == before


@pytest.mark.long
def test_a_merge_that_is_taken_back_is_carried_again_by_resume(narrow: Machines) -> None:
    a = completed(narrow)
    a.call("merge", "r1", "--trust")
    gone = not carries(narrow, "r1")
    a.call("resume", "r1")
    still_gone = not carries(narrow, "r1")
    a.call("undo", "--yes", "--trust")

    a.call("resume", "r1")

    assert gone
    assert still_gone
    assert carries(narrow, "r1")


@pytest.mark.long
def test_a_run_that_merges_by_itself_leaves_nothing(narrow: Machines, git: GitCall) -> None:
    before = tip(narrow)
    a = narrow.clone("a")
    a.call("init", "--trust", "--push-state")

    a.call(*narrow.run_words("r1", 1), "--integrate", "merge")

    assert tip(narrow) == before
    assert "Orchestrator-Carries" not in git(a.place, "log", "--format=%B")
    git(a.place, "push", "-q", "origin", "main")


def test_a_host_that_lets_nothing_be_taken_out_is_not_used(narrow: Machines, git: GitCall) -> None:
    git(narrow.remote, "config", "receive.denyNonFastForwards", "true")
    a = narrow.clone("a")

    said = a.call("init", "--trust", "--push-state").stderr
    first = tip(narrow)
    done = a.call(*narrow.run_words("r1", 1))

    assert "does not let it be taken out again" in said
    assert "STAYS ON THIS MACHINE" in done.stderr
    assert git(narrow.remote, "rev-parse", "main^{tree}") == git(
        narrow.remote, "rev-parse", f"{first}~^{{tree}}"
    )


def test_a_branch_that_is_not_there_yet_is_not_made(narrow: Machines, git: GitCall) -> None:
    a = narrow.clone("a")
    git(a.place, "switch", "-q", "-c", "feature")

    said = a.call("init", "--trust", "--push-state").stderr

    assert "has no branch feature yet" in said
    assert git(narrow.remote, "branch", "--list", "feature") == ""


@pytest.mark.long
def test_a_machine_that_wakes_late_keeps_a_fork_which_the_branch_carries(
    narrow: Machines, git: GitCall
) -> None:
    narrow.hold(0)
    slow = narrow.clone("slow")
    slow.call("init", "--trust", "--push-state")
    working = slow.start(*narrow.run_words("r1", 2))
    until(lambda: carried_file(narrow, "half-0.txt"), process=working)
    kill(working)
    quick = narrow.clone("quick")
    quick.call("sessions", "restore")
    narrow.let_go(0)

    quick.call("resume", "r1", "--trust")
    lost = slow.call("resume", "r1", status=5)

    assert "goes on elsewhere" in lost.stderr
    assert carries(narrow, "r1")
    assert git(quick.place, "rev-parse", "--verify", "orchestrator/r1")


def test_of_two_that_push_at_once_both_runs_are_carried(narrow: Machines) -> None:
    a, b = narrow.clone("a"), narrow.clone("b")
    ours, theirs = branch(narrow, a.place), branch(narrow, b.place)
    head = ours.repository.resolve("HEAD")
    first, second, third = (f"refs/orchestrator/sessions/s/{name}" for name in ("one", "two", "three"))
    assert ours.push(head, first, None).outcome is Outcome.DONE
    assert theirs.push(head, second, None).outcome is Outcome.DONE

    done = ours.push(head, third, None)
    stale = theirs.push(ours.repository.resolve("HEAD~"), third, None)

    assert done.outcome is Outcome.DONE
    assert stale.outcome is Outcome.STALE
    assert set(ours.tips("refs/orchestrator/sessions/")) == {first, second, third}


@pytest.mark.long
def test_a_commit_of_ours_that_somebody_changed_is_theirs(narrow: Machines, git: GitCall) -> None:
    a = completed(narrow)
    b = narrow.clone("b")
    (b.place / "app.py").write_text("print(2)\n")
    git(b.place, "commit", "-q", "-a", "--amend", "--no-edit")
    git(b.place, "push", "-q", "--force", "origin", "main")
    theirs = tip(narrow)

    a.call("merge", "r1", "--trust")

    assert read_carrier(branch(narrow, b.place).repository.git, theirs) is None
    assert tip(narrow) == theirs


@pytest.mark.long
def test_a_merge_where_nobody_agreed_says_what_is_still_carried(
    narrow: Machines, git: GitCall, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    completed(narrow)
    b = narrow.clone("b")
    git(b.place, "reset", "-q", "--soft", "HEAD~")
    (tmp_path / "new-home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "new-home"))
    b.call("sessions", "restore")

    done = b.call("merge", "r1", "--trust")
    still = carries(narrow, "r1")
    b.call("init", "--push-state")
    b.call("resume", "r1")

    assert "main at origin" in done.stderr
    assert "still carries the run, and you have not agreed" in done.stderr
    assert still
    assert not carries(narrow, "r1")


def saved_and_taken_out(place: Path, remote: Path) -> None:
    saver, close = saver_of(place, remote, RunId("r1"))
    carried = CarriedRemote(saver.context.repository, str(remote), "refs/heads/main", name="origin")
    saver.transports, saver.carried = ("working-branch",), carried
    saver.save(PersistReason.RESUMED)
    saver.context.state.record_event(saver.run_id, EventKind.AGENT_SAID, {"text": "more"})
    assert saver.save(PersistReason.STEP_ENDED)
    take_out(carried, saver.wish.session, "r1")
    close()


def test_a_kill_at_any_push_leaves_the_branch_with_one_commit_of_ours_or_none(
    narrow: Machines, git: GitCall, tmp_path: Path
) -> None:
    before = tip(narrow)
    a = narrow.clone("a")
    a.call("init", "--trust")
    _, close = saver_of(a.place, narrow.remote)
    close()
    master, remote = tmp_path / "master", tmp_path / "remote-master.git"
    shutil.copytree(a.place, master)
    shutil.copytree(narrow.remote, remote)
    pushes = places_of(lambda: saved_and_taken_out(a.place, narrow.remote), "git push")
    assert len(pushes) == 3

    for number in sorted({*pushes, *(each + 1 for each in pushes)}):
        place, there = tmp_path / f"case-{number}", tmp_path / f"remote-{number}.git"
        shutil.copytree(master, place)
        shutil.copytree(remote, there)

        killed_at(number, lambda p=place, t=there: saved_and_taken_out(p, t))  # type: ignore[misc]
        on_top = git(there, "rev-list", f"{before}..main", "--first-parent").split()
        saved_and_taken_out(place, there)

        assert len(on_top) <= 1
        assert git(there, "rev-parse", "main") == before
        assert git(there, "fsck", "--strict", "--no-dangling", "--no-progress") == "", number
        shutil.rmtree(place)
        shutil.rmtree(there)


def places_of(work: Callable[[], object], effect: str) -> list[int]:
    """Returns at which effects of some work, counted from one, the named ones are."""
    from orchestrator.fs import effects

    seen: list[str] = []
    with effects.observe(seen.append):
        work()
    assert counted(lambda: None) == 0
    return [number for number, name in enumerate(seen, 1) if name == effect]
