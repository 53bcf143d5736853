from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Status
from orchestrator.doctor.repair import Repaired, plan_repairs, repair
from orchestrator.engine.decisions import cancel_run
from orchestrator.engine.merging import merge_run
from orchestrator.fs.effects import observe
from orchestrator.fs.lock import FileLock
from orchestrator.model.ids import RunId
from orchestrator.model.record import OperationStatus
from orchestrator.model.run import RunStatus
from orchestrator.paths import OrchestratorPaths
from tests.conftest import GitCall
from tests.doctor.conftest import APPEND, Ask, front, snapshot
from tests.engine.scene import Scene

ALL = {check.id for check in CHECKS}
RUN = RunId("run-1")


def repaired(root: Path) -> list[Repaired]:
    context = Context(str(root), dict(os.environ))
    try:
        return [repair(context, planned) for planned in plan_repairs(context, ALL)]
    finally:
        context.close()


def planned(root: Path) -> list[str]:
    context = Context(str(root), dict(os.environ))
    try:
        return [each.sentence for each in plan_repairs(context, ALL)]
    finally:
        context.close()


def test_a_sound_repository_needs_no_repair(finished: Scene) -> None:
    before = snapshot(finished.root)

    assert planned(finished.root) == []
    assert "nothing that can be repaired" in front(finished.root, "--fix").out
    assert snapshot(finished.root) == before


def test_where_nothing_is_initialised_nothing_is_repaired(repository: Path) -> None:
    assert planned(repository) == []


def test_missing_directories_and_the_ignore_file_are_made_again(finished: Scene, ask: Ask) -> None:
    paths = OrchestratorPaths(finished.root)
    shutil.rmtree(paths.locks_dir)
    shutil.rmtree(paths.logs_dir)
    paths.ignore_file.unlink()
    assert ask("layout-complete").fixable
    assert ask("layout-ignored").status is Status.FAIL
    layout = paths.layout_file.read_bytes()

    done = front(finished.root, "--fix")

    assert done.status == 0, done.out
    assert paths.locks_dir.is_dir()
    assert paths.logs_dir.is_dir()
    assert ask("layout-complete").status is Status.OK
    assert ask("layout-ignored").status is Status.OK
    assert paths.layout_file.read_bytes() == layout


def test_dry_run_says_what_would_be_done_and_does_nothing(finished: Scene) -> None:
    shutil.rmtree(OrchestratorPaths(finished.root).logs_dir)
    before = snapshot(finished.root)

    done = front(finished.root, "--fix", "--dry-run")

    assert "would make logs/ again" in done.out
    assert snapshot(finished.root) == before


def test_a_repair_can_be_told_as_json(finished: Scene) -> None:
    shutil.rmtree(OrchestratorPaths(finished.root).logs_dir)

    answer = json.loads(front(finished.root, "--fix", "--json").out)

    assert answer["repairs"][0]["id"] == "layout-complete"
    assert answer["repairs"][0]["done"] is True
    assert answer["schema_version"] == 1


def test_only_the_chosen_repair_is_made(finished: Scene) -> None:
    paths = OrchestratorPaths(finished.root)
    shutil.rmtree(paths.logs_dir)
    paths.ignore_file.unlink()

    front(finished.root, "--fix", "--only", "layout-ignored")
    context = Context(str(finished.root), dict(os.environ))

    assert paths.ignore_file.is_file()
    assert [each.check_id for each in plan_repairs(context, {"layout-temporary"})] == []
    context.close()


def test_processes_that_outlived_their_owner_are_ended(finished: Scene, ask: Ask) -> None:
    context = Context(str(finished.root), dict(os.environ))
    environment = {**os.environ, "ORCHESTRATOR_EXECUTION": context.marker() + "execution-gone"}
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
    try:
        found = ask("processes-leftover")
        assert found.status is Status.WARN
        assert str(left.pid) in found.evidence[0]

        [done] = repaired(finished.root)

        assert done.done
        assert left.wait(10) == -9
    finally:
        left.kill()
        left.wait()


def test_processes_of_a_living_run_and_of_copies_are_left_alone(finished: Scene) -> None:
    context = Context(str(finished.root), dict(os.environ))
    with finished.open() as workspace:
        [execution] = workspace.state.get_executions(RUN)
    markers = (context.marker() + execution.id, "1-2/execution-of-a-copy")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            env={**os.environ, "ORCHESTRATOR_EXECUTION": marker},
        )
        for marker in markers
    ]
    try:
        with FileLock(OrchestratorPaths(finished.root).run_lock(RUN), what="run", command="test"):
            assert planned(finished.root) == []
        assert len(planned(finished.root)) == 1
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_locks_of_killed_git_commands_at_our_refs_are_removed_and_others_stay(
    finished: Scene, ask: Ask
) -> None:
    ours = finished.root / ".git/refs/orchestrator/runs/run-1.lock"
    theirs = finished.root / ".git/refs/heads/main.lock"
    index = finished.root / ".git/index.lock"
    for lock in (ours, theirs, index):
        lock.write_bytes(b"")
    assert ask("git-ref-locks").fixable
    assert ask("git-index-lock").status is Status.WARN

    [done] = repaired(finished.root)

    assert done.done
    assert (ours.exists(), theirs.exists(), index.exists()) == (False, True, True)


def test_a_lock_of_a_living_run_is_no_stale_lock(finished: Scene, ask: Ask) -> None:
    (finished.root / ".git/refs/orchestrator/runs/run-1.lock").write_bytes(b"")
    with FileLock(OrchestratorPaths(finished.root).run_lock(RUN), what="run", command="test"):
        assert planned(finished.root) == []
        assert ask("git-ref-locks").status is Status.OK


class Cut(BaseException):
    pass


def test_an_interrupted_merge_is_settled(finished: Scene, ask: Ask, git: GitCall) -> None:
    def cut(effect: str) -> None:
        if effect.startswith("link "):
            raise Cut

    with finished.open() as workspace, observe(cut), pytest.raises(Cut):
        merge_run(workspace.context, RUN)
    assert ask("state-operations").fixable

    [done] = repaired(finished.root)

    assert done.done
    assert ask("state-operations").status is Status.OK
    assert ask("git-scratch").status is Status.OK
    assert git(finished.root, "status", "--porcelain", "--untracked-files=no") == ""
    with finished.open() as workspace:
        [operation] = workspace.state.get_operations()
        assert operation.status in (OperationStatus.DONE, OperationStatus.REVERTED)


def test_the_tree_of_a_cancelled_run_goes_behind_a_checkpoint(scene: Scene, ask: Ask, git: GitCall) -> None:
    scene.configure("workflows: {default: [{agent: one, task: t}]}\n" + _agent(scene))
    run_id = scene.start(run_id=RUN)
    scene.work(run_id, stop=_after(6))
    with scene.open() as workspace:
        cancel_run(workspace.context, run_id)
        trees = workspace.context.trees.list(run_id)
    if not trees:
        with scene.open() as workspace:
            run = workspace.state.get_run(run_id)
            trees = (workspace.context.trees.create(run_id, "main", run.metadata.origin.base),)
    (trees[0].path / "unsaved.txt").write_text("work nobody has kept yet\n")
    assert ask("layout-trees").fixable

    [done] = repaired(scene.root)

    assert done.done, done.said
    assert not trees[0].path.exists()
    kept = git(scene.root, "show", "refs/orchestrator/runs/run-1:tree/unsaved.txt")
    assert kept == "work nobody has kept yet"
    assert ask("layout-trees").status is Status.OK


def _agent(scene: Scene) -> str:
    words = scene.program("append", APPEND).split()
    return f"agents: {{one: {{kind: command, command: {json.dumps(words)}}}}}\n"


def _after(polls: int) -> Callable[[], bool]:
    left = iter(range(polls))
    return lambda: next(left, None) is None


def test_a_tree_stays_while_its_run_is_alive_or_may_be_resumed(scene: Scene) -> None:
    scene.configure("workflows: {default: [{agent: one, task: t}]}\n" + _agent(scene))
    run_id = scene.start(run_id=RUN)
    with scene.open() as workspace:
        run = workspace.state.get_run(run_id)
        workspace.context.trees.create(run_id, "main", run.metadata.origin.base)
        assert run.status is RunStatus.EXECUTING

    assert planned(scene.root) == []


def test_temporary_files_of_killed_commands_are_swept(finished: Scene, ask: Ask) -> None:
    litter = OrchestratorPaths(finished.root).checkpoints_dir / ".tmp-orchestrator-0123456789abcdef"
    litter.write_bytes(b"half")
    assert ask("layout-temporary").fixable

    [done] = repaired(finished.root)

    assert done.done
    assert not litter.exists()


def test_a_repair_that_cannot_be_made_says_why_and_the_others_are_made(finished: Scene) -> None:
    paths = OrchestratorPaths(finished.root)
    lock = finished.root / ".git/refs/orchestrator/runs/run-1.lock"
    lock.write_bytes(b"")
    (paths.locks_dir / "run-run-1.lock").unlink()
    (paths.locks_dir / "run-run-1.lock").mkdir()
    litter = paths.checkpoints_dir / ".tmp-orchestrator-0123456789abcdef"
    litter.write_bytes(b"half")

    done = repaired(finished.root)

    assert [each.done for each in done] == [False, True]
    assert "regular file" in done[0].said
    assert lock.exists()
    assert not litter.exists()
