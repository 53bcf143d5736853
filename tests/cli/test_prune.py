"""`prune` and `restore` as people call them, and what a run that ends does by itself in web mode."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.model.ids import RunId
from orchestrator.paths import OrchestratorPaths
from tests.cli.conftest import ENTRY, Call
from tests.cli.test_sessions import CODESPACE, FAILS, OTHER, WRITES, Machine, sessions
from tests.conftest import GitCall
from tests.sessions.making import listing, old_runs

MODEL = RunId("model")


@pytest.fixture
def busy(project: Path, call: Call) -> Path:
    """Returns a project with the finished run `model`."""
    assert call("run", "x", "--command", WRITES, "--run-id", MODEL, cwd=project).status == 0
    return project


def configure(place: Path, text: str) -> None:
    (place / ".orchestrator/workflow.local.yaml").write_text(text)


def test_prune_says_what_it_would_do_and_does_it(busy: Path, call: Call, git: GitCall) -> None:
    old_runs(busy, git, MODEL, ["o1", "o2"])
    before = listing(busy / ".orchestrator/artifacts")

    shown = call("prune", "--dry-run", cwd=busy)
    assert shown.status == 0
    assert "would archive 2 runs: o1, o2" in shown.out
    assert listing(busy / ".orchestrator/artifacts") == before

    done = call("prune", cwd=busy)

    assert done.status == 0, done.err
    assert done.out.startswith("freed ")
    assert "(2 runs archived); " in done.out
    assert "An archived run comes back with: orchestrator restore o1" in done.err
    assert call("prune", "--json", cwd=busy).json["archived"] == []
    assert call("prune", cwd=busy).out.startswith("nothing to remove: ")


def test_nothing_is_pruned_where_nothing_was_run(project: Path, call: Call) -> None:
    assert call("prune", cwd=project).out == "Nothing to remove: no run has been started here.\n"


def test_an_archived_run_is_known_and_comes_back(
    busy: Path, call: Call, git: GitCall, tmp_path: Path
) -> None:
    old_runs(busy, git, MODEL, ["o1"])
    listed = call("checkpoints", "o1", "--json", cwd=busy).json["checkpoints"]
    call("prune", cwd=busy)

    assert call("status", "o1", cwd=busy).status == 2
    assert call("checkpoints", "o1", "--json", cwd=busy).json["checkpoints"] == listed
    taken = call("restore", listed[0]["commit"][:12], "--into", str(tmp_path / "files"), cwd=busy)
    assert taken.status == 0
    assert (tmp_path / "files/new.txt").read_text() == "1"
    answer = call("run", "y", "--command", WRITES, "--run-id", "o1", cwd=busy)
    assert "error[run-id-taken]" in answer.err

    back = call("restore", "o1", cwd=busy)

    assert back.status == 0, back.err
    assert back.out.startswith("run o1 is back (completed), from refs/orchestrator/archive/")
    assert "new.txt" in call("diff", "o1", cwd=busy).out
    assert call("merge", "o1", cwd=busy).status == 0
    assert "run archived in" in call("log", "o1", cwd=busy).out


def test_a_word_that_is_no_archived_run_is_refused(busy: Path, call: Call) -> None:
    answer = call("restore", "nothing", cwd=busy)

    assert answer.status == 2
    assert "error[not-archived]" in answer.err
    assert "--into DIR" in answer.err


def test_recover_and_deinit_know_the_archive(project: Path, call: Call, git: GitCall, tmp_path: Path) -> None:
    configure(project, "session: {max_runs: 1}\n")
    call("trust", "--yes", cwd=project)
    other = WRITES.replace("new.txt", "other.txt")
    for run_id, command in (("r1", WRITES), ("r2", other)):
        assert call("run", "x", "--command", command, "--run-id", run_id, cwd=project).status == 0
    assert call("prune", "--json", cwd=project).json["archived"] == ["r1"]
    git(project, "branch", "-D", "orchestrator/r1")
    assert call("merge", "r2", cwd=project).status == 0

    refused = call("deinit", cwd=project)
    assert refused.status == 2
    assert "Work of these runs is not merged: r1." in refused.err

    subprocess.run(["rm", "-rf", str(project / ".orchestrator")], check=True)
    recovered = call("doctor", "--recover", cwd=project)
    assert recovered.status == 0, recovered.err
    assert "1 archived run stays in the archive; bring it back with: orchestrator restore r1" in recovered.out
    assert call("restore", "r1", cwd=project).status == 0
    bundle = tmp_path / "all.bundle"
    assert call("deinit", "--export", str(bundle), cwd=project).status == 0
    assert "refs/orchestrator/archive/" in git(project, "bundle", "list-heads", str(bundle))


def test_only_the_archive_is_left_and_it_is_enough(busy: Path, call: Call, git: GitCall) -> None:
    configure(busy, "session: {max_age_days: 1}\n")
    old_runs(busy, git, MODEL, ["o1"])
    call("discard", MODEL, cwd=busy)
    call("prune", cwd=busy)
    for ref in git(busy, "for-each-ref", "--format=%(refname)", "refs/orchestrator/").splitlines():
        if "/archive/" not in ref:
            git(busy, "update-ref", "-d", ref)
    subprocess.run(["rm", "-rf", str(busy / ".orchestrator")], check=True)

    assert call("doctor", "--recover", cwd=busy).status == 0
    assert call("restore", "o1", cwd=busy).status == 0
    assert call("diff", "o1", cwd=busy).status == 0


def test_status_shows_the_disk_use(busy: Path, call: Call) -> None:
    answer, said = call("status", cwd=busy), call("status", "--json", cwd=busy).json

    assert "disk use: " in answer.err
    assert said["disk"]["bytes"] > 0
    assert said["disk"]["measured_at"].endswith("Z")


def test_doctor_finds_nothing_wrong_after_a_prune(busy: Path, call: Call, git: GitCall) -> None:
    old_runs(busy, git, MODEL, ["o1", "o2"], outputs=50_000)
    configure(busy, "session: {max_bytes: 1}\n")
    call("prune", cwd=busy)

    checks = call("doctor", "--json", cwd=busy).json["checks"]

    assert [check["id"] for check in checks if check["status"] == "fail"] == []
    bad = (
        "state-orphans",
        "layout-orphans",
        "git-run-refs",
        "state-agrees",
        "state-branches",
        "layout-unknown",
    )
    assert [check for check in checks if check["id"] in bad and check["status"] == "warn"] == []


def test_in_web_mode_a_run_that_ends_makes_room_by_itself(project: Path, home: Path) -> None:
    configure(project, "session: {max_runs: 1}\n")
    codespace = Machine(home, **CODESPACE)
    codespace("trust", "--yes", cwd=project)
    assert codespace("run", "x", "--command", WRITES, "--run-id", "r1", cwd=project).status == 0

    answer = codespace("run", "x", "--command", WRITES, "--run-id", "r2", cwd=project)

    assert answer.status == 0
    assert "1 run archived" in answer.err
    assert [run["id"] for run in codespace("status", "--json", cwd=project).json["runs"]] == ["r2"]
    assert codespace("restore", "r1", cwd=project).status == 0


def test_elsewhere_nothing_is_removed_by_itself(project: Path, home: Path) -> None:
    configure(project, "session: {max_runs: 1}\n")
    laptop = Machine(home)
    laptop("trust", "--yes", cwd=project)
    for run_id in ("r1", "r2"):
        assert laptop("run", "x", "--command", WRITES, "--run-id", run_id, cwd=project).status == 0

    assert len(laptop("status", "--json", cwd=project).json["runs"]) == 2


def test_sessions_of_other_machines_go_once_they_know_no_run(project: Path, home: Path) -> None:
    codespace, other = Machine(home, **CODESPACE), Machine(home, **OTHER)
    assert other("run", "x", "--command", WRITES, "--run-id", "r1", cwd=project).status == 0
    assert codespace("run", "x", "--command", WRITES, "--run-id", "r2", cwd=project).status == 0
    assert len(sessions(project)) == 2
    place = project / ".orchestrator/sessions"
    left = next(
        s for s in sessions(project) if (project / f".orchestrator/sessions/{s}/artifacts/r1").is_dir()
    )
    configure(project, "session: {max_runs: 1}\n")

    kept = codespace("sessions", "prune", cwd=project)
    assert left in sessions(project), "its heart has just been beating"
    assert "nothing to remove" in kept.out
    os.utime(place / left / "heartbeat", (1, 1))
    answer = codespace("sessions", "prune", cwd=project)

    assert answer.status == 0, answer.err
    assert "1 run archived; 1 session removed" in answer.out
    assert left not in sessions(project)
    assert codespace("restore", "r1", cwd=project).status == 0


def test_prune_beside_a_live_run_leaves_it_alone(busy: Path, home: Path, git: GitCall) -> None:
    old_runs(busy, git, MODEL, [f"o{number}" for number in range(5)])
    laptop = Machine(home)
    slow = f"{sys.executable} -c \"import time; open('a.txt','w').write('1'); time.sleep(6)\""
    run = subprocess.Popen(
        [sys.executable, "-c", ENTRY, "run", "x", "--command", slow, "--run-id", "live"],
        cwd=busy,
        env=laptop.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (busy / ".orchestrator/worktrees/live/main/a.txt").exists():
        assert run.poll() is None
        time.sleep(0.05)

    answer = laptop("prune", "--json", cwd=busy)

    assert run.poll() is None, "the run ended too early for this test"
    assert len(answer.json["archived"]) == 5
    assert (busy / ".orchestrator/worktrees/live/main/a.txt").exists()
    assert run.wait(60) == 0
    assert "a.txt" in laptop("diff", "live", cwd=busy).out


def test_killed_anywhere_prune_ends_what_it_began(busy: Path, home: Path, git: GitCall) -> None:
    wanted = [f"o{number:03}" for number in range(40)]
    old_runs(busy, git, MODEL, wanted)
    laptop, chance = Machine(home), random.Random(5)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", ENTRY, "prune"],
            cwd=busy,
            env=laptop.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(0.3, 1.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    answer = laptop("prune", "--json", cwd=busy)

    assert answer.status == 0, answer.err
    assert answer.json["problems"] == []
    paths = OrchestratorPaths(busy)
    assert sorted(path.name for path in paths.artifacts_dir.iterdir()) == [MODEL]
    assert [run["id"] for run in laptop("status", "--json", cwd=busy).json["runs"]] == [MODEL]
    for name in (wanted[0], wanted[20], wanted[-1]):
        assert laptop("restore", name, cwd=busy).status == 0
        assert "new.txt" in laptop("diff", name, cwd=busy).out
    checks = json.loads(laptop("doctor", "--json", cwd=busy).out)["checks"]
    assert [check["id"] for check in checks if check["status"] == "fail"] == []


def test_a_failed_run_whose_tree_was_pruned_goes_on(project: Path, home: Path) -> None:
    laptop = Machine(home)
    laptop("run", "x", "--command", FAILS, "--run-id", "f1", cwd=project)
    (project / ".orchestrator/worktrees/f1/main/kept.txt").write_text("by hand")
    configure(project, "session: {max_bytes: 1}\n")
    laptop("trust", "--yes", cwd=project)
    assert "1 tree removed" in laptop("prune", cwd=project).out

    if laptop("status", "f1", cwd=project).status == 2:
        assert laptop("restore", "f1", cwd=project).status == 0
        assert "error[not-trusted]" in laptop("resume", "f1", cwd=project).err
    assert laptop("resume", "f1", "--trust", cwd=project).status == 3

    assert (project / ".orchestrator/worktrees/f1/main/kept.txt").read_text() == "by hand"
