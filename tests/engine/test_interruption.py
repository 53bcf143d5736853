"""Kills and stops: whatever happens, taking the run up again ends in the undisturbed result."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.engine.decisions import cancel_run, discard_run, perform_undo, undo_plan
from orchestrator.engine.local import is_alive, resumable, resumption
from orchestrator.engine.merging import merge_run
from orchestrator.errors import Locked
from orchestrator.fs.effects import observe
from orchestrator.model.ids import RunId
from orchestrator.model.run import ExecutionStatus, RunStatus
from tests.conftest import GitCall
from tests.engine.scene import Scene
from tests.sampling import EVERY, points

PYTHON = sys.executable
CHECKS = f"""
verify:
  test: [{{run: ['{PYTHON}', '-c', "assert open('app.py').read().count('good') == 1"]}}]
"""
AGENT = """
    if "good" not in open("app.py").read():
        open("app.py", "a").write("good\\n")
    open("made.txt", "w").write("made")
"""


def in_child(act: Callable[[], object]) -> int:
    """Runs `act` in a forked child and returns its wait status."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException:
            os._exit(70)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def killed_at(effect: int, act: Callable[[], object]) -> bool:
    """Runs `act` in a child that dies by SIGKILL just before its durable effect number `effect`."""
    counted = [0]

    def count(name: str) -> None:
        counted[0] += 1
        if counted[0] == effect:
            os.kill(os.getpid(), signal.SIGKILL)

    def observed() -> None:
        with observe(count):
            act()

    status = in_child(observed)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)


def leftovers(root: Path) -> list[str]:
    """Returns lock and temporary files of git and ours that nobody owns."""
    found = [*root.glob(".git/**/*.lock"), *root.glob(".git/**/tmp_*"), *root.rglob(".tmp-orchestrator-*")]
    return sorted(str(path.relative_to(root)) for path in found)


def result(git: GitCall, root: Path, branch: str) -> str:
    return git(root, "rev-parse", f"{branch}^{{tree}}")


def effects_of(scene: Scene, act: Callable[[], object]) -> int:
    counted: list[str] = []
    with observe(counted.append):
        act()
    return len(counted)


@EVERY
def test_kill_at_any_durable_effect_of_a_run_ends_in_the_undisturbed_result(
    scene: Scene, git: GitCall, every: bool
) -> None:
    scene.configure(CHECKS)
    agent = scene.program("agent", AGENT)
    count = effects_of(scene, lambda: scene.run(command=agent, run_id="whole"))
    whole = result(git, scene.root, "orchestrator/whole")
    refs = git(scene.root, "for-each-ref", "refs/heads/main", "refs/tags", "refs/stash")

    for effect in points(count, every=every):
        run_id = RunId(f"k{effect}")
        killed_at(effect, lambda name=run_id: scene.run(command=agent, run_id=name))  # type: ignore[misc]
        finish(scene, run_id, agent)
        assert result(git, scene.root, f"orchestrator/{run_id}") == whole, f"effect {effect}"

    assert git(scene.root, "for-each-ref", "refs/heads/main", "refs/tags", "refs/stash") == refs
    assert leftovers(scene.root) == []
    assert scene.worktrees() == []


def finish(scene: Scene, run_id: RunId, agent: str) -> None:
    """Takes a killed run up again, or starts it when it had never been written down."""
    with scene.open() as workspace:
        known = [run.id for run in workspace.state.list_runs()]
    done = scene.resume(run_id) if run_id in known else scene.run(command=agent, run_id=run_id)
    assert done.status is RunStatus.COMPLETED


@EVERY
def test_kill_at_any_durable_effect_of_a_merge_and_its_undo_is_settled(
    scene: Scene, git: GitCall, every: bool
) -> None:
    agent = scene.program("agent", AGENT)
    scene.run(command=agent, run_id="one")
    first = git(scene.root, "rev-parse", "HEAD")

    def merge() -> None:
        with scene.open() as workspace:
            merge_run(workspace.context, RunId("one"))

    def undo() -> None:
        with scene.open() as workspace:
            perform_undo(workspace.context, undo_plan(workspace.context, None))

    def state() -> tuple[str, str, str]:
        tree = git(scene.root, "rev-parse", "HEAD^{tree}")
        return (
            tree,
            git(scene.root, "diff", "HEAD", "--stat"),
            git(scene.root, "ls-files", "--others", "-x", ".orch*"),
        )

    before = state()
    merges = effects_of(scene, merge)
    after = state()
    undos = effects_of(scene, undo)
    assert git(scene.root, "rev-parse", "HEAD") == first

    for effect in points(merges, every=every, few=4):
        killed_at(effect, merge)
        with scene.open():
            pass  # settles
        assert state() in (before, after), f"merge, effect {effect}"
        if state() == before:
            merge()
        assert state() == after
        undo()
    for effect in points(undos, every=every, few=4):
        merge()
        killed_at(effect, undo)
        with scene.open():
            pass
        assert state() in (before, after), f"undo, effect {effect}"
        if state() == after:
            undo()
        assert state() == before
    assert leftovers(scene.root) == []


def test_a_stop_keeps_what_the_agent_had_done_and_the_next_attempt_goes_on_in_it(
    scene: Scene, git: GitCall
) -> None:
    agent = scene.program(
        "agent",
        """
        import os, time
        if os.path.exists("begun"):
            open("ended", "w")
        else:
            open("begun", "w")
            time.sleep(60)
        """,
    )
    run_id = scene.start(command=agent)
    begun = scene.root / ".orchestrator" / "worktrees" / run_id / "main" / "begun"

    stopped = scene.work(run_id, stop=begun.exists)
    with scene.open() as workspace:
        plan = resumption(workspace.context, stopped)
        [waiting] = resumable(workspace.context)
        executions = workspace.state.get_executions(run_id)
    done = scene.resume(run_id)

    assert stopped.status is RunStatus.EXECUTING
    assert [e.status for e in executions] == [ExecutionStatus.INTERRUPTED]
    assert (waiting.id, plan.reason) == (run_id, "it was interrupted")
    assert done.status is RunStatus.COMPLETED
    assert git(scene.root, "ls-tree", "--name-only", f"orchestrator/{run_id}").splitlines() == [
        "README.md",
        "app.py",
        "begun",
        "ended",
    ]


def test_an_agent_dies_with_its_killed_owner_and_the_run_goes_on(scene: Scene, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    agent = scene.program(
        "agent",
        f"""
        import os, subprocess, time
        if os.path.exists({str(pid_file)!r}):
            open("ended", "w")
        else:
            child = subprocess.Popen(["sleep", "61"], start_new_session=True)
            open({str(pid_file)!r}, "w").write(str(os.getpid()) + " " + str(child.pid))
            time.sleep(60)
        """,
    )
    run_id = scene.start(command=agent)

    owner = os.fork()
    if owner == 0:
        scene.work(run_id)
        os._exit(0)
    wait_until(lambda: pid_file.exists() and len(pid_file.read_text().split()) == 2)
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    done = scene.resume(run_id)

    assert done.status is RunStatus.COMPLETED
    pids = [int(word) for word in pid_file.read_text().split()]
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_a_run_that_is_worked_on_is_not_taken_up_a_second_time(scene: Scene) -> None:
    agent = scene.program("agent", "import time; time.sleep(60)")
    run_id = scene.start(command=agent)
    ended = threading.Event()
    worker = threading.Thread(target=scene.work, args=(run_id, ended.is_set))

    worker.start()
    try:
        with scene.open() as workspace:
            wait_until(lambda: is_alive(workspace.context, run_id) is not None)
            assert resumable(workspace.context) == ()
        with pytest.raises(Locked) as refused:
            scene.work(run_id)
    finally:
        ended.set()
        worker.join()

    assert str(os.getpid()) in refused.value.holder


def test_cancel_ends_a_living_run_and_its_undo_makes_it_resumable(scene: Scene) -> None:
    agent = scene.program("agent", "import os, time; os.path.exists('b') or (open('b', 'w'), time.sleep(60))")
    run_id = scene.start(command=agent)
    worker = threading.Thread(target=scene.work, args=(run_id,))
    begun = scene.root / ".orchestrator" / "worktrees" / run_id / "main" / "b"

    worker.start()
    wait_until(begun.exists)
    with scene.open() as workspace:
        cancel_run(workspace.context, run_id)
    worker.join()
    with scene.open() as workspace:
        cancelled = workspace.state.get_run(run_id)
        perform_undo(workspace.context, undo_plan(workspace.context, None))
    done = scene.resume(run_id)

    assert cancelled.status is RunStatus.CANCELLED
    assert done.status is RunStatus.COMPLETED


def test_cancel_of_an_idle_run_happens_at_once(scene: Scene) -> None:
    run_id = scene.start(command="true")

    with scene.open() as workspace:
        cancelled = cancel_run(workspace.context, run_id)

    assert cancelled.status is RunStatus.CANCELLED


def test_discard_drops_the_branch_and_undo_brings_it_back(scene: Scene, git: GitCall) -> None:
    scene.run(command=scene.program("agent", AGENT), run_id="gone")
    tip = git(scene.root, "rev-parse", "orchestrator/gone")

    with scene.open() as workspace:
        discard_run(workspace.context, RunId("gone"))
        assert git(scene.root, "branch", "--list", "orchestrator/*") == ""
        perform_undo(workspace.context, undo_plan(workspace.context, None))

    assert git(scene.root, "rev-parse", "orchestrator/gone") == tip


def test_undo_of_undo_merges_again(scene: Scene, git: GitCall) -> None:
    scene.run(command=scene.program("agent", AGENT), run_id="again")

    with scene.open() as workspace:
        merged = merge_run(workspace.context, RunId("again")).commit
        perform_undo(workspace.context, undo_plan(workspace.context, None))
        undone = workspace.state.get_run(RunId("again")).metadata.progress.merged
        perform_undo(workspace.context, undo_plan(workspace.context, None))
        redone = workspace.state.get_run(RunId("again")).metadata.progress.merged

    assert (undone, redone) == (False, True)
    assert git(scene.root, "rev-parse", "HEAD") == merged


def wait_until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("restarted", [True, False])
def test_files_that_a_power_cut_emptied_come_back_and_those_the_agent_emptied_do_not(
    scene: Scene, git: GitCall, restarted: bool
) -> None:
    agent = scene.program("agent", BEGIN_THEN_SLEEP)
    run_id = scene.start(command=agent)
    tree = scene.root / ".orchestrator" / "worktrees" / run_id / "main"
    scene.work(run_id, stop=(tree / ".git" / "begun").exists)
    (tree / "app.py").write_bytes(b"")
    receipt = tree.parent / ".main" / "ready.json"
    if restarted:
        receipt.write_text(re.sub(r'"boot": "[^"]*"', '"boot": "an earlier one"', receipt.read_text()))
        (tree / ".git" / "index").write_bytes(b"")

    scene.program("agent", "open('seen', 'w').write(open('app.py').read() + '|' + open('README.md').read())")
    done = scene.resume(run_id)

    assert done.status is RunStatus.COMPLETED
    assert git(scene.root, "show", f"orchestrator/{run_id}:seen") == ("print(1)\n|" if restarted else "|")


BEGIN_THEN_SLEEP = """
    import time
    open("README.md", "w")
    open(".git/begun", "w")
    time.sleep(60)
"""


def test_a_discarded_failed_run_is_not_offered_again_until_its_discard_is_undone(scene: Scene) -> None:
    run = scene.run(command=scene.program("agent", "open('x', 'a').write('x'); raise SystemExit(1)"))

    with scene.open() as workspace:
        discard_run(workspace.context, run.id)
        offered = resumable(workspace.context)
        perform_undo(workspace.context, undo_plan(workspace.context, None))
        offered_again = resumable(workspace.context)

    assert run.status is RunStatus.FAILED
    assert offered == ()
    assert [each.id for each in offered_again] == [run.id]


def test_a_merge_that_is_in_effect_again_is_listed_as_done(scene: Scene) -> None:
    scene.run(command=scene.program("agent", AGENT), run_id="again")

    with scene.open() as workspace:
        merge_run(workspace.context, RunId("again"))
        statuses = []
        for _ in range(2):
            perform_undo(workspace.context, undo_plan(workspace.context, None))
            [merge] = [o for o in workspace.state.get_operations() if o.kind == "merge"]
            statuses.append(merge.status)

    assert statuses == ["undone", "done"]


def test_a_failed_run_is_described_as_failed_by_its_last_checkpoint(scene: Scene) -> None:
    run = scene.run(command=scene.program("agent", "open('x', 'a').write('x'); raise SystemExit(1)"))

    with scene.open() as workspace:
        [newest, *_] = workspace.context.checkpoints.list_checkpoints(run.id)
        document = workspace.context.checkpoints.read_document(newest.commit)
        events = [event.kind for event in workspace.state.events(run.id)]

    assert newest.label == "rests: abort"
    assert document["run"]["status"] == "failed"  # type: ignore[index, call-overload]  # a JSON object
    assert events[-1] == "run.finished"
