"""What is saved and when, what stops a push, and what a remote that is no help costs."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from orchestrator.engine.persistence import PersistReason
from orchestrator.errors import Failed
from orchestrator.model.ids import RunId
from orchestrator.repo.git import find_repository
from orchestrator.repo.remote import Outcome, Remote
from orchestrator.repo.repository import Repository
from orchestrator.sessions.shelving import Shelf
from orchestrator.sessions.writing import Wish
from orchestrator.workspace import open_workspace
from tests.conftest import GitCall
from tests.sessions.machines import REFUSES_ALL, REFUSES_REFS, Machine, Machines, kill, until

KEY = "ghp_" + "Ab1" * 12


def opened(machine: Machine) -> Repository:
    return Repository(find_repository(str(machine.place), dict(os.environ)), trusted=True)


def test_nothing_is_pushed_before_the_user_agreed(machines: Machines) -> None:
    a = machines.clone("a")
    a.call("init", "--trust")
    (a.place / ".orchestrator" / "workflow.local.yaml").write_text("session: {push: true}\n")

    done = a.call(*machines.run_words("r1", 1), "--trust")

    assert machines.saves() == {}
    assert "RUN r1 STAYS ON THIS MACHINE: you have not agreed" in done.stderr


def test_consent_is_for_one_exact_address_and_can_be_taken_back(machines: Machines, git: GitCall) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    moved = machines.remote.rename(machines.root / "moved.git")
    git(a.place, "remote", "set-url", "origin", str(moved))
    machines.remote = moved
    a.call(*machines.run_words("elsewhere", 1))
    after_moving = dict(machines.saves())
    a.call("init", "--push-state")
    a.call(*machines.run_words("agreed", 1))
    a.call("init", "--no-push-state")
    a.call(*machines.run_words("taken-back", 1))

    assert after_moving == {}
    assert [said["run_id"] for said in machines.saves().values()] == ["agreed"]


def test_consent_outlives_the_clone(machines: Machines) -> None:
    machines.clone("a").call("init", "--trust", "--push-state")
    b = machines.clone("b")
    b.call("init", "--trust")

    b.call(*machines.run_words("r1", 1))

    assert machines.saved(run_id="r1", rests=True)


def test_sigterm_leaves_what_the_agent_did_at_the_remote(machines: Machines) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    (a.place / ".orchestrator" / "workflow.local.yaml").write_text("session: {persist_every_s: 600}\n")
    machines.hold(0)
    working = a.start(*machines.run_words("r1", 1), "--trust")
    tree = a.place / ".orchestrator" / "worktrees" / "r1" / "main"
    until(lambda: (tree / "half-0.txt").exists(), process=working)

    working.send_signal(signal.SIGTERM)
    working.communicate()

    assert working.returncode == 143
    assert machines.saved(run_id="r1", reason="stopped", rests=True)
    assert "half-0.txt" in machines.saved_files()


def test_a_pause_is_saved(machines: Machines) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    words = machines.run_words("r1", 1)
    (machines.control / "agent.py").write_text("import time\ntime.sleep(5)\n")

    a.call(*words, "--max-time", "1", status=6)

    assert machines.saved(run_id="r1", reason="rests", rests=True)


def test_a_key_in_the_work_stops_the_push_and_its_place_is_named(machines: Machines, git: GitCall) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    words = machines.run_words("r1", 1)
    (machines.control / "agent.py").write_text(
        f"open('conf.py', 'w').write('TOKEN = {KEY}')\nopen('done-0.txt', 'w').write('x')\n"
    )

    done = a.call(*words)

    assert "conf.py: looks like a secret" in done.stderr
    assert KEY not in done.stderr
    objects = git(machines.remote, "cat-file", "--batch-all-objects", "--batch")
    assert KEY not in objects


def test_a_run_whose_checkpoint_is_marked_as_local_is_not_pushed_also_for_a_value_in_a_name(
    machines: Machines, git: GitCall
) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    agent = machines.control / "agent.py"
    agent.write_text("import os\nopen(os.environ['SERVICE_KEY'], 'w').write('x')\nopen('done-0.txt', 'w')\n")
    (a.place / ".orchestrator" / "workflow.local.yaml").write_text(
        f"agents: {{worker: {{kind: command, command: [{sys.executable}, {agent}], "
        "env: {SERVICE_KEY: a-key-that-has-no-shape}}}\n"
    )

    done = a.call("run", "task", "--run-id", "r1", "--agent", "worker", "--trust", status=1)

    assert "marked as local" in done.stderr
    listed = git(machines.remote, "log", "--all", "--name-only", "--format=%B")
    assert "a-key-that-has-no-shape" not in listed


def test_the_size_of_a_save_does_not_grow_with_old_runs(machines: Machines, git: GitCall) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    sizes = []
    for number in range(3):
        a.call(*machines.run_words(f"r{number}", 1))
        ref = next(name for name in machines.saves() if name.endswith(f"/r{number}"))
        tree = git(machines.remote, "ls-tree", "-r", "-l", ref).splitlines()
        sizes.append(sum(int(line.split()[3]) for line in tree))

    assert max(sizes) < 1.2 * min(sizes)


def test_a_save_holds_only_events_since_the_one_before(machines: Machines, git: GitCall) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    a.call(*machines.run_words("r1", 2))
    (ref,) = machines.saves()
    chain = git(machines.remote, "rev-list", "--first-parent", "--grep", "Orchestrator-Save", ref).split()

    lines = [
        line
        for commit in reversed(chain)
        for line in git(machines.remote, "show", f"{commit}:events.jsonl").splitlines()
    ]

    numbers = [int(line.split('"run_seq": ')[1].split(",")[0]) for line in lines]
    assert len(chain) > 3
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_remote_that_refuses_everything_is_told_loudly_and_the_run_goes_on(machines: Machines) -> None:
    machines.refuse(REFUSES_ALL)
    a = machines.clone("a")
    agreed = a.call("init", "--trust", "--push-state")

    done = a.call(*machines.run_words("r1", 1))

    assert "You agreed that state of runs is pushed to origin (" in agreed.stdout
    assert "takes no state" in agreed.stderr
    assert done.stderr.count("RUN r1 STAYS ON THIS MACHINE") == 1
    assert "read only" in done.stderr
    assert "orchestrator bundle export r1 FILE" in done.stderr


def test_what_no_remote_takes_is_kept_in_the_directory(machines: Machines, tmp_path: Path) -> None:
    machines.refuse(REFUSES_ALL)
    kept = tmp_path / "kept"
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    (a.place / ".orchestrator" / "workflow.local.yaml").write_text(f"session: {{directory: {kept}}}\n")
    machines.hold(1)
    working = a.start(*machines.run_words("r1", 2), "--trust")
    tree = a.place / ".orchestrator" / "worktrees" / "r1" / "main"
    until(lambda: (tree / "half-1.txt").exists(), process=working)
    time.sleep(1)
    a.die(working)
    machines.let_go(1)
    b = machines.clone("b")

    b.call("bundle", "import", str(kept / "r1.orchestrator-bundle"))
    b.call("resume", "r1", "--trust")

    assert machines.calls()[:2] == ["0 new", "1 new"]
    assert "0 again" not in machines.calls()


def test_a_directory_that_took_nothing_once_gets_everything_with_the_next_save(
    machines: Machines, tmp_path: Path
) -> None:
    a, told = machines.clone("a"), list[str]()
    a.call("init", "--trust")
    a.call(*machines.run_words("r1", 1))
    blocked = tmp_path / "kept"
    blocked.write_text("a file where the directory belongs")
    with open_workspace(str(a.place), environment=dict(os.environ), writes=True) as workspace:
        wish = Wish("local-1", 1 << 20, "")
        shelf = Shelf(workspace.context, RunId("r1"), wish, blocked, told.append)

        assert not shelf.save(PersistReason.AGENT_ENDED)
        assert not shelf.save(PersistReason.AGENT_ENDED)
        blocked.unlink()
        assert shelf.save(PersistReason.AGENT_ENDED)

        assert len(told) == 1
        assert shelf.file.is_file()
        written = shelf.file.stat().st_mtime_ns
        shelf.file.write_bytes(b"old")
        again = Shelf(workspace.context, RunId("r1"), wish, blocked, told.append)
        assert again.save(PersistReason.AGENT_ENDED)
        assert again.file.stat().st_size > 3
        assert again.file.stat().st_mtime_ns >= written


def test_a_completed_run_is_kept_in_the_directory_again_without_a_false_alarm(
    machines: Machines, tmp_path: Path
) -> None:
    machines.refuse(REFUSES_ALL)
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    a.call(*machines.run_words("r1", 1))
    kept = tmp_path / "kept"
    (a.place / ".orchestrator" / "workflow.local.yaml").write_text(f"session: {{directory: {kept}}}\n")

    done = a.call("resume", "r1")

    assert (kept / "r1.orchestrator-bundle").exists()
    assert "STAYS ON THIS MACHINE" not in done.stderr


def test_a_remote_that_is_gone_costs_the_run_nothing_but_a_warning(machines: Machines) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    machines.remote.rename(machines.root / "gone.git")

    done = a.call(*machines.run_words("r1", 2))

    assert done.stderr.count("is not saved elsewhere for now") == 1


def test_a_remote_that_comes_back_gets_everything(machines: Machines) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    machines.hold(0)
    gone = machines.remote.rename(machines.root / "gone.git")
    working = a.start(*machines.run_words("r1", 1))
    tree = a.place / ".orchestrator" / "worktrees" / "r1" / "main"
    until(lambda: (tree / "half-0.txt").exists(), process=working)

    gone.rename(machines.remote)
    machines.let_go(0)
    _, said = working.communicate()

    assert working.returncode == 0, said
    assert machines.saved(run_id="r1", rests=True)


def test_a_remote_that_hangs_is_given_up_after_its_time(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    a = machines.clone("a")
    hangs = tmp_path / "hangs.sh"
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(hangs))
    repository = opened(a)
    remote = Remote(repository, "ssh://nowhere.invalid/x.git", timeout_s=0.5)
    head = repository.resolve("HEAD")

    with pytest.raises(Failed) as raised:
        remote.tips("refs/orchestrator/sessions/")
    pushed = remote.push(head, "refs/orchestrator/sessions/s/r", None)

    assert raised.value.code == "remote-unreachable"
    assert pushed.outcome is Outcome.UNREACHABLE


def test_a_remote_whose_ref_was_taken_away_gets_it_again(machines: Machines, git: GitCall) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    machines.hold(1)
    working = a.start(*machines.run_words("r1", 2))
    until(lambda: "half-1.txt" in machines.saved_files(), process=working)
    (ref,) = machines.saves()

    git(machines.remote, "update-ref", "-d", ref)
    machines.let_go(1)
    _, said = working.communicate()

    assert working.returncode == 0, said
    assert machines.saved(run_id="r1", rests=True)


def test_a_clock_that_jumps_decides_nothing(machines: Machines, git: GitCall) -> None:
    machines.hold(0)
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    first = a.start(*machines.run_words("r1", 1))
    until(lambda: "half-0.txt" in machines.saved_files(), process=first)
    kill(first)
    (ref,) = machines.saves()
    later = {"GIT_COMMITTER_DATE": "@4102444800 +0000", "GIT_AUTHOR_DATE": "@4102444800 +0000"}
    said = git(machines.remote, "show", f"{ref}:manifest.json")
    assert '"epoch": 1' in said
    b = machines.clone("b")
    machines.let_go(0)

    # Both machines go on from the same save; the second to push loses, whatever its clock says.
    b.call("resume", "r1", "--trust")
    os.environ.update(later)
    try:
        lost = a.call("resume", "r1", "--trust", status=5)
    finally:
        for name in later:
            del os.environ[name]

    assert "goes on elsewhere" in lost.stderr
    assert len(machines.saves()) == 1


def test_prune_leaves_what_the_remote_does_not_have(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    for run_id in ("r1", "r2"):
        a.call(*machines.run_words(run_id, 1))
    monkeypatch.setenv("ORCHESTRATOR_SESSION__MAX_RUNS", "1")
    away = machines.remote.rename(machines.root / "away.git")
    a.call("prune", status=None)
    while_away = a.call("status").stdout
    away.rename(machines.remote)

    a.call("prune")

    assert "r1" in while_away
    assert "r1" not in a.call("status").stdout


def test_what_could_not_be_saved_at_the_end_is_saved_by_resume(machines: Machines) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    away = machines.remote.rename(machines.root / "away.git")
    a.call(*machines.run_words("r1", 1))
    away.rename(machines.remote)

    a.call("resume", "r1")
    once = dict(machines.saves())
    a.call("resume", "r1")

    assert machines.saved(run_id="r1", rests=True)
    assert machines.saves() == once


def test_in_another_home_the_word_is_missed_loudly(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path
) -> None:
    machines.hold(0)
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")
    working = a.start(*machines.run_words("r1", 1))
    until(lambda: "half-0.txt" in machines.saved_files(), process=working)
    a.die(working)
    machines.let_go(0)
    (tmp_path / "new-home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "new-home"))
    b = machines.clone("b")

    done = b.call("resume", "--trust")

    assert "STAYS ON THIS MACHINE" in done.stderr
    assert "orchestrator init --push-state" in done.stderr
    assert machines.saved(run_id="r1", epoch=1)


def test_the_footprint_names_the_consent(machines: Machines, home: Path) -> None:
    a = machines.clone("a")
    a.call("init", "--trust", "--push-state")

    said = json.loads(a.call("doctor", "--footprint", "--json").stdout)

    kept = [path for path in home.rglob("*") if path.is_file() and path.name != ".gitconfig"]
    assert {str(path) for path in kept} <= set(said["outside"])
    assert any("/push/" in path for path in said["outside"])


def test_nothing_of_the_users_repository_changes(machines: Machines, git: GitCall) -> None:
    machines.refuse(REFUSES_REFS)
    a = machines.clone("a")
    before = [git(a.place, *words) for words in USERS]
    a.call("init", "--trust", "--push-state")

    a.call(*machines.run_words("r1", 1))

    assert [git(a.place, *words) for words in USERS] == before
    assert not (a.place / ".git" / "FETCH_HEAD").exists()


USERS = (
    ("for-each-ref", "refs/heads/main", "refs/remotes", "refs/tags"),
    ("config", "--list", "--local"),
    ("status", "--porcelain", "--", "app.py"),
    ("stash", "list"),
)
