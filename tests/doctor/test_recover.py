from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.config.trust import TrustStore, place_key, user_trust_directory
from orchestrator.doctor.context import Context
from orchestrator.doctor.recover import Recovery, recover
from orchestrator.engine.decisions import discard_run
from orchestrator.engine.merging import merge_run
from orchestrator.errors import Locked, Refused
from orchestrator.fs.effects import observe
from orchestrator.fs.lock import FileLock
from orchestrator.model.event import EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.run import Run, RunStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.repo.fingerprint import differences
from orchestrator.repo.repository import Repository
from orchestrator.state.layout import require_ours
from tests.conftest import GitCall
from tests.doctor.conftest import APPEND, front
from tests.engine.scene import Scene
from tests.sampling import EVERY, points

RUN = RunId("run-1")
PLAN = """
verify:
  test: [{run: ["python3", "-c", "import sys; sys.exit('broken' in open('app.py').read())"]}]
"""

TWO_STEPS = """
verify:
  test: [{run: ["python3", "-c", "import sys; sys.exit('print(3)' not in open('app.py').read())"]}]
workflows:
  default:
    - {agent: one, task: first}
    - {agent: two, task: second}
agents:
  one: {kind: command, command: ["python3", "ONE"]}
  two: {kind: command, command: ["python3", "TWO"]}
"""
AFTERWARDS = """
from pathlib import Path
assert Path("app.py").read_text() == "print(2)\\n"
Path("app.py").write_text("print(3)\\n")
"""


def recovered(root: Path) -> Recovery:
    context = Context(str(root), dict(os.environ))
    try:
        return recover(context, patience_s=0.3)
    finally:
        context.close()


def lose(root: Path) -> None:
    shutil.rmtree(root / ".orchestrator")


def run_of(scene: Scene, run_id: str = RUN) -> Run:
    with scene.open() as workspace:
        return workspace.state.get_run(RunId(run_id))


def test_a_removed_directory_comes_back_with_its_runs_and_identity(finished: Scene) -> None:
    paths = OrchestratorPaths(finished.root)
    repo_id, before = require_ours(paths).repo_id, run_of(finished)
    workflow, manifest = (
        paths.config_file.read_bytes(),
        json.loads(paths.checkpoint_manifest(RUN).read_text()),
    )
    lose(finished.root)

    done = recovered(finished.root)

    assert require_ours(paths).repo_id == repo_id
    assert paths.config_file.read_bytes() == workflow
    assert json.loads(paths.checkpoint_manifest(RUN).read_text()) == manifest
    after = run_of(finished)
    assert (after.id, after.task, after.status) == (before.id, before.task, RunStatus.COMPLETED)
    assert after.metadata.progress.result == before.metadata.progress.result
    assert after.metadata.progress.branch == before.metadata.progress.branch
    assert [(run.run_id, run.status) for run in done.runs] == [(RUN, RunStatus.COMPLETED)]
    assert done.problems == []


def test_the_record_says_that_the_run_was_recovered(finished: Scene) -> None:
    lose(finished.root)
    recovered(finished.root)

    with finished.open() as workspace:
        kinds = [event.kind for event in workspace.state.events(RUN)]
        assert EventKind.RUN_RECOVERED in kinds
        assert workspace.state.verify_chain() is None


def test_a_second_recovery_finds_nothing_to_do(finished: Scene) -> None:
    lose(finished.root)
    recovered(finished.root)

    again = recovered(finished.root)

    assert again == Recovery()
    assert again.sentences() == ("Everything is there; nothing had to be recovered.",)


def test_git_clean_is_survived(finished: Scene, git: GitCall) -> None:
    git(finished.root, "clean", "-q", "-ffdx")

    assert recovered(finished.root).runs[0].run_id == RUN


def test_the_users_repository_is_not_touched(finished: Scene) -> None:
    context = Context(str(finished.root), dict(os.environ))
    repository: Repository = context.repository()
    before = repository.fingerprint()
    lose(finished.root)

    recovered(finished.root)

    assert differences(before, repository.fingerprint()) == ()
    context.close()


def test_a_published_branch_that_was_removed_comes_back(finished: Scene, git: GitCall) -> None:
    tip = git(finished.root, "rev-parse", "orchestrator/run-1")
    git(finished.root, "branch", "-q", "-D", "orchestrator/run-1")
    lose(finished.root)

    done = recovered(finished.root)

    assert done.branches == ["orchestrator/run-1"]
    assert git(finished.root, "rev-parse", "orchestrator/run-1") == tip


def test_a_branch_comes_back_although_the_state_is_sound(finished: Scene, git: GitCall) -> None:
    git(finished.root, "branch", "-q", "-D", "orchestrator/run-1")

    assert recovered(finished.root).branches == ["orchestrator/run-1"]


def test_a_discarded_branch_stays_away(finished: Scene, git: GitCall) -> None:
    with finished.open() as workspace:
        discard_run(workspace.context, RUN)
    lose(finished.root)

    done = recovered(finished.root)

    assert done.branches == []
    assert git(finished.root, "branch", "--list", "orchestrator/*") == ""


def test_a_merge_after_the_last_checkpoint_is_noticed(finished: Scene, git: GitCall) -> None:
    with finished.open() as workspace:
        merge_run(workspace.context, RUN)
    git(finished.root, "branch", "-q", "-D", "orchestrator/run-1")
    lose(finished.root)

    done = recovered(finished.root)

    assert run_of(finished).metadata.progress.merged
    assert done.branches == []


def test_a_result_that_no_ref_keeps_is_told_and_not_published(finished: Scene, git: GitCall) -> None:
    result = git(finished.root, "rev-parse", "orchestrator/run-1")
    stray = git(finished.root, "commit-tree", "HEAD^{tree}", "-m", "nobody keeps this")
    git(finished.root, "branch", "-q", "-D", "orchestrator/run-1")
    forge(finished, git, result, stray)
    lose(finished.root)

    done = recovered(finished.root)

    assert done.branches == []
    assert any("kept by no ref" in problem for problem in done.problems)
    assert git(finished.root, "branch", "--list", "orchestrator/*") == ""


def forge(scene: Scene, git: GitCall, old: str, new: str) -> None:
    """Replaces text in the run.json of the newest checkpoint, as somebody who pushes refs could."""
    ref = "refs/orchestrator/runs/run-1"
    text = git(scene.root, "cat-file", "blob", f"{ref}:run.json").replace(old, new)
    blob = _made(scene, text, "hash-object", "-w", "--stdin")
    listing = (
        f"100644 blob {blob}\trun.json\n040000 tree {git(scene.root, 'rev-parse', ref + ':tree')}\ttree\n"
    )
    tree = _made(scene, listing, "mktree")
    message = git(scene.root, "log", "-1", "--format=%B", ref)
    commit = git(scene.root, "-c", "user.name=orchestrator", "commit-tree", tree, "-m", message)
    git(scene.root, "update-ref", ref, commit)


def _made(scene: Scene, text: str, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=scene.root, input=text.encode(), capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def test_a_damaged_database_is_put_aside_and_rebuilt(finished: Scene) -> None:
    paths = OrchestratorPaths(finished.root)
    for name in ("state.db-wal", "state.db-shm"):
        (paths.orchestrator_dir / name).unlink(missing_ok=True)
    paths.state_file.write_bytes(b"this is no database, whatever its name says" * 50)

    done = recovered(finished.root)

    [place] = done.quarantined
    assert (Path(place) / "state.db").read_bytes().startswith(b"this is no database")
    assert run_of(finished).status is RunStatus.COMPLETED


def test_a_half_damaged_database_is_put_aside_too(finished: Scene) -> None:
    paths = OrchestratorPaths(finished.root)
    connection = sqlite3.connect(paths.state_file)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(paths.state_file.read_bytes())
    for start in range(4096 * 2, len(data) - 4096, 4096 * 3):
        data[start : start + 2000] = b"\xff" * 2000
    paths.state_file.write_bytes(bytes(data))

    done = recovered(finished.root)

    assert len(done.quarantined) == 1
    assert run_of(finished).status is RunStatus.COMPLETED


def test_a_torn_layout_file_is_replaced_with_the_same_identity(finished: Scene) -> None:
    paths = OrchestratorPaths(finished.root)
    repo_id = require_ours(paths).repo_id
    paths.layout_file.write_bytes(b'{"tool": "orch')

    done = recovered(finished.root)

    assert require_ours(paths).repo_id == repo_id
    assert len(done.quarantined) == 1


def test_an_existing_configuration_is_never_overwritten(finished: Scene) -> None:
    lose(finished.root)
    (finished.root / ".orchestrator").mkdir()
    (finished.root / ".orchestrator" / "workflow.yaml").write_text("version: 1\n# mine\n")

    recovered(finished.root)

    assert (finished.root / ".orchestrator" / "workflow.yaml").read_text() == "version: 1\n# mine\n"


def test_a_configuration_in_the_root_is_not_shadowed(finished: Scene) -> None:
    lose(finished.root)
    (finished.root / "workflow.yaml").write_text("version: 1\n")

    recovered(finished.root)

    assert not (finished.root / ".orchestrator" / "workflow.yaml").exists()


def test_after_a_recovery_nothing_is_trusted(finished: Scene) -> None:
    finished.configure(PLAN)
    finished.run(run_id="run-2", command=finished.program("append", APPEND))
    assert front(finished.root, "--yes", command="trust").status == 0
    context = Context(str(finished.root), dict(os.environ))
    assert context.is_trusted()
    lose(finished.root)

    recovered(finished.root)

    again = Context(str(finished.root), dict(os.environ))
    assert not again.is_trusted()
    place = place_key(str(finished.root), again.repository().git_dir_identity)
    assert TrustStore(user_trust_directory()).files_of_place(place) == ()
    assert run_of(finished).metadata.trusted is False
    context.close()
    again.close()


def test_a_sound_repository_keeps_its_approvals(finished: Scene) -> None:
    finished.configure(PLAN)
    assert front(finished.root, "--yes", command="trust").status == 0

    recovered(finished.root)

    again = Context(str(finished.root), dict(os.environ))
    assert again.is_trusted()
    again.close()


def test_a_run_that_was_in_the_middle_goes_on_to_the_undisturbed_result(scene: Scene, git: GitCall) -> None:
    one, two = scene.program("one", APPEND).split()[1], scene.program("two", AFTERWARDS).split()[1]
    scene.configure(TWO_STEPS.replace("ONE", one).replace("TWO", two))
    undisturbed = scene.run(run_id="undisturbed")
    run_id = scene.start(run_id=RUN)
    scene.work(run_id, stop=lambda: _has_checkpoint(scene))
    lose(scene.root)

    done = recovered(scene.root)

    assert done.resumable == [RUN]
    assert "what was done after that checkpoint" in next(run for run in done.runs if run.run_id == RUN).lost
    ended = scene.resume(run_id)
    assert ended.status is RunStatus.COMPLETED
    assert ended.metadata.progress.outcome == undisturbed.metadata.progress.outcome
    tree = git(scene.root, "rev-parse", "orchestrator/run-1^{tree}")
    assert tree == git(scene.root, "rev-parse", "orchestrator/undisturbed^{tree}")


def _has_checkpoint(scene: Scene) -> bool:
    words = ["git", "rev-parse", "-q", "--verify", f"refs/orchestrator/runs/{RUN}"]
    return subprocess.run(words, cwd=scene.root, capture_output=True).returncode == 0


def test_a_live_run_is_not_disturbed(finished: Scene) -> None:
    paths = OrchestratorPaths(finished.root)
    with FileLock(paths.run_lock(RUN), what="run", command="test"), pytest.raises(Locked) as locked:
        recovered(finished.root)

    assert "run-1" in locked.value.message
    assert locked.value.exit_status == 5


def test_a_run_whose_directory_vanished_is_waited_for_by_its_processes(finished: Scene) -> None:
    context = Context(str(finished.root), dict(os.environ))
    environment = {**os.environ, "ORCHESTRATOR_EXECUTION": context.marker() + "execution-x"}
    agent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
    lose(finished.root)
    try:
        with pytest.raises(Locked, match=str(agent.pid)):
            recovered(finished.root)
    finally:
        agent.kill()
        agent.wait()

    assert not (finished.root / ".orchestrator").exists()
    assert recovered(finished.root).runs[0].run_id == RUN


def test_a_foreign_directory_is_refused_and_left_alone(finished: Scene) -> None:
    lose(finished.root)
    place = finished.root / ".orchestrator"
    place.mkdir()
    (place / "somebody-elses.txt").write_text("x")

    with pytest.raises(Refused) as refused:
        recovered(finished.root)

    assert refused.value.code == "foreign-directory"
    assert [path.name for path in place.iterdir()] == ["somebody-elses.txt"]


def test_a_directory_of_another_tool_is_refused(finished: Scene) -> None:
    OrchestratorPaths(finished.root).layout_file.write_text('{"tool": "other"}')

    with pytest.raises(Refused) as refused:
        recovered(finished.root)

    assert refused.value.code == "foreign-directory"


def test_a_link_is_refused(finished: Scene, tmp_path: Path) -> None:
    place = finished.root / ".orchestrator"
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Refused) as refused:
        recovered(finished.root)

    assert refused.value.code == "unsafe-directory"


def test_a_newer_layout_is_refused(finished: Scene) -> None:
    layout = OrchestratorPaths(finished.root).layout_file
    layout.write_text(layout.read_text().replace('"layout_version": 1', '"layout_version": 9'))

    with pytest.raises(Refused) as refused:
        recovered(finished.root)

    assert refused.value.code == "layout-newer"


def test_a_database_of_another_program_is_refused(finished: Scene) -> None:
    state = OrchestratorPaths(finished.root).state_file
    for path in state.parent.glob("state.db*"):
        path.unlink()
    connection = sqlite3.connect(state)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()

    with pytest.raises(Refused) as refused:
        recovered(finished.root)

    assert refused.value.code == "state-foreign"


def test_without_any_checkpoint_there_is_nothing_to_recover(repository: Path) -> None:
    with pytest.raises(Refused) as refused:
        recovered(repository)

    assert refused.value.code == "nothing-to-recover"
    assert not (repository / ".orchestrator").exists()


def test_an_unreadable_checkpoint_is_told_and_the_other_runs_come_back(finished: Scene, git: GitCall) -> None:
    git(finished.root, "update-ref", "refs/orchestrator/runs/run-0", "HEAD")
    lose(finished.root)

    done = recovered(finished.root)

    assert [run.run_id for run in done.runs] == [RUN]
    assert any("run-0" in problem for problem in done.problems)


def test_a_hostile_document_brings_nothing_back_and_harms_nothing(finished: Scene, git: GitCall) -> None:
    forge(finished, git, '"id": "run-1"', '"id": "../../evil"')
    lose(finished.root)

    done = recovered(finished.root)

    assert done.runs == []
    assert done.problems
    assert not (finished.root.parent / "evil").exists()


def test_the_command_says_what_came_back_and_what_is_lost(finished: Scene) -> None:
    lose(finished.root)

    said = front(finished.root, "--recover")

    assert said.status == 0
    assert "run run-1 is back (completed), as of checkpoint" in said.out
    assert "lost: the record of single events" in said.out
    assert json.loads(front(finished.root, "--recover", "--json").out)["runs"] == []


@EVERY
def test_a_recovery_killed_at_any_effect_is_completed_by_the_next(finished: Scene, every: bool) -> None:
    subprocess.run(
        ["git", "update-ref", "-d", "refs/heads/orchestrator/run-1"], cwd=finished.root, check=True
    )
    lose(finished.root)
    effects = _count_effects(finished.root)
    assert effects > 15

    for point in (at - 1 for at in points(effects, every=every, few=4)):
        shutil.rmtree(finished.root / ".orchestrator", ignore_errors=True)
        subprocess.run(
            ["git", "update-ref", "-d", "refs/heads/orchestrator/run-1"], cwd=finished.root, check=True
        )
        _cut_at(finished.root, point)

        recovered(finished.root)

        _assert_whole(finished, point)


def _count_effects(root: Path) -> int:
    seen: list[str] = []
    with observe(seen.append):
        recovered(root)
    return len(seen)


def _cut_at(root: Path, point: int) -> None:
    """Kills a child of ours, which recovers, at one effect."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"effect {point} was not reached"
        return
    reached = [0]

    def kill(effect: str) -> None:
        if reached[0] == point:
            os.kill(os.getpid(), signal.SIGKILL)
        reached[0] += 1

    with observe(kill):
        recovered(root)
    os._exit(0)


def _assert_whole(scene: Scene, point: int) -> None:
    paths = OrchestratorPaths(scene.root)
    context = Context(str(scene.root), dict(os.environ))
    try:
        assert require_ours(paths).repo_id, point
        assert context.runs()[RUN].status is RunStatus.COMPLETED, point
        assert context.state().verify_chain() is None, point
        assert "refs/heads/orchestrator/run-1" in context.refs(), point
        assert paths.checkpoint_manifest(RUN).is_file(), point
        assert paths.config_file.is_file(), point
        litter = [path.name for path in paths.orchestrator_dir.rglob(".tmp-orchestrator-*")]
        assert len(litter) <= 1, (point, litter)
    finally:
        context.close()
