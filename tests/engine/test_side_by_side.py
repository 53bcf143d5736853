"""Several runs, copies, moves, and removals of `.orchestrator/`: nobody disturbs anybody, and work stays."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.engine.local import resumable
from orchestrator.errors import OrchestratorError, StateLost
from orchestrator.model.run import RunStatus
from tests.conftest import GitCall
from tests.engine.scene import Scene
from tests.engine.test_interruption import wait_until


def test_eight_runs_at_once_end_well_and_see_nothing_of_each_other(scene: Scene, git: GitCall) -> None:
    agent = scene.program(
        "agent",
        """
        import os
        name = os.path.basename(os.path.dirname(os.getcwd()))
        seen = sorted(os.listdir("."))
        open(f"{name}.txt", "w").write(" ".join(seen))
        """,
    )
    before = users(git, scene.root)
    names = [f"side-{number}" for number in range(8)]
    children = [forked(lambda name=name: scene.run(command=agent, run_id=name)) for name in names]  # type: ignore[misc]

    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    assert statuses == [0] * 8
    for name in names:
        assert git(scene.root, "show", f"orchestrator/{name}:{name}.txt") == ".git README.md app.py"
    assert users(git, scene.root) == before
    assert scene.worktrees() == []


def test_removing_the_state_under_a_live_run_keeps_its_last_tree_and_says_so(
    scene: Scene, git: GitCall, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "trees"
    first, second = scene.program("first", FIRST), scene.program("second", SECOND)
    scene.configure(
        f"""
        worktrees: {{root: {elsewhere}}}
        agents:
          first: {{kind: command, command: {first.split()}}}
          second: {{kind: command, command: {second.split()}}}
        workflows: {{default: [{{agent: first}}, {{agent: second}}]}}
        """
    )
    run_id = scene.start()
    raised: list[BaseException] = []
    worker = threading.Thread(target=lambda: catch(lambda: scene.work(run_id), raised))

    worker.start()
    wait_until((elsewhere / run_id / "main" / "late").exists)
    shutil.rmtree(scene.root / ".orchestrator")
    worker.join()

    assert [type(error) for error in raised] == [StateLost]
    last = f"refs/orchestrator/runs/{run_id}"
    assert git(scene.root, "show", f"{last}:tree/early") == "early"
    assert git(scene.root, "show", f"{last}:tree/late") == "late"
    assert not (scene.root / ".orchestrator" / "state.db").exists()


FIRST = "open('early', 'w').write('early')"
SECOND = "import time; open('late', 'w').write('late'); time.sleep(60)"


def test_a_copied_repository_says_so_and_never_touches_the_original(scene: Scene, git: GitCall) -> None:
    agent = scene.program("agent", SLOW)
    run_id = scene.start(command=agent)
    tree = scene.root / ".orchestrator" / "worktrees" / run_id / "main"
    ended = threading.Event()
    worker = threading.Thread(target=scene.work, args=(run_id, ended.is_set))
    worker.start()
    wait_until((tree / "begun").exists)
    copy = Scene(scene.root.parent / "copy", scene.programs)
    shutil.copytree(scene.root, copy.root, symlinks=True)

    with copy.open() as workspace:
        told = workspace.notices
        idle = [run.id for run in resumable(workspace.context)]
    in_copy = copy.resume(run_id)
    still_working = worker.is_alive()
    ended.set()
    worker.join()
    in_original = scene.resume(run_id)

    assert any(str(scene.root) in sentence for sentence in told)
    assert idle == [run_id]
    assert still_working
    assert (in_copy.status, in_original.status) == (RunStatus.COMPLETED, RunStatus.COMPLETED)
    assert git(copy.root, "show", f"orchestrator/{run_id}:ended") == str(copy.root)
    assert git(scene.root, "show", f"orchestrator/{run_id}:ended") == str(scene.root)


SLOW = """
    import os, time
    if os.path.exists("begun"):
        open("ended", "w").write(os.getcwd().split("/.orchestrator")[0])
    else:
        open("begun", "w")
        time.sleep(60)
"""


def test_a_moved_repository_repairs_itself_and_its_run_goes_on(scene: Scene, git: GitCall) -> None:
    agent = scene.program("agent", SLOW)
    run_id = scene.start(command=agent)
    tree = scene.root / ".orchestrator" / "worktrees" / run_id / "main"
    scene.work(run_id, stop=(tree / "begun").exists)
    moved = Scene(scene.root.parent / "moved", scene.programs)

    scene.root.rename(moved.root)
    with moved.open() as workspace:
        told = workspace.notices
    done = moved.resume(run_id)

    assert told == ()
    assert done.status is RunStatus.COMPLETED
    assert git(moved.root, "show", f"orchestrator/{run_id}:ended") == str(moved.root)


@pytest.mark.parametrize("wrecked", ["worktree", "git-directory"])
def test_a_wrecked_tree_is_made_anew_from_its_checkpoint(scene: Scene, git: GitCall, wrecked: str) -> None:
    agent = scene.program("agent", SLOW)
    run_id = scene.start(command=agent)
    tree = scene.root / ".orchestrator" / "worktrees" / run_id / "main"
    scene.work(run_id, stop=(tree / "begun").exists)

    shutil.rmtree(tree if wrecked == "worktree" else tree / ".git")
    done = scene.resume(run_id)

    assert done.status is RunStatus.COMPLETED
    assert git(scene.root, "ls-tree", "--name-only", f"orchestrator/{run_id}").split() == [
        "README.md",
        "app.py",
        "begun",
        "ended",
    ]


def test_a_hostile_agent_reaches_nothing_of_the_users_and_loses_nothing(scene: Scene, git: GitCall) -> None:
    bare = scene.root.parent / "bare.git"
    git(scene.root.parent, "init", "-q", "--bare", str(bare))
    git(scene.root, "remote", "add", "origin", str(bare))
    git(scene.root, "push", "-q", "origin", "main")
    (scene.root / "stashed").write_text("mine")
    git(scene.root, "add", "stashed")
    git(scene.root, "stash", "-q")
    git(scene.root, "branch", "precious")
    before, remote = users(git, scene.root), git(bare, "for-each-ref")

    run = scene.run(command=scene.program("agent", HOSTILE), run_id="hostile")

    assert users(git, scene.root) == before
    assert git(bare, "for-each-ref") == remote
    assert run.status is RunStatus.COMPLETED
    kept = "refs/orchestrator/runs/hostile"
    assert git(scene.root, "show", f"{kept}:tree/nested/inner.txt") == "inner"
    reachable = git(scene.root, "log", "--format=%s", kept).splitlines()
    assert {"on a branch of mine", "reset away"} <= set(reachable)
    contents = git(scene.root, "log", "--format=", "-p", "-m", kept)
    assert "+stashed by the agent" in contents


HOSTILE = """
    import os, subprocess
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=False)
    open("app.py", "a").write("stashed by the agent\\n")
    git("stash")
    git("config", "core.hooksPath", "/tmp")
    git("config", "user.name", "intruder")
    git("branch", "-D", "precious")
    git("branch", "-D", "main")
    git("checkout", "-b", "mine")
    open("b", "w").write("b")
    git("add", "b"); git("commit", "-m", "on a branch of mine")
    git("checkout", "--detach")
    open("c", "w").write("c")
    git("add", "c"); git("commit", "-m", "reset away")
    git("reset", "--hard", "HEAD~1")
    git("push", "--force", "origin", "HEAD:main")
    git("push", "--force", "--all", "origin")
    git("gc", "--prune=now", "--quiet")
    os.mkdir("nested")
    subprocess.run(["git", "init", "-q"], cwd="nested", check=True)
    open("nested/inner.txt", "w").write("inner")
    open("staged", "w").write("staged then deleted")
    git("add", "staged")
    os.remove("staged")
    open(".git/info/exclude", "a").write("*\\n")
"""


def users(git: GitCall, root: Path) -> tuple[str, ...]:
    """Returns everything of the user's that no run may change."""
    return (
        git(root, "for-each-ref", "refs/heads/main", "refs/heads/precious"),
        git(root, "for-each-ref", "refs/tags", "refs/remotes", "refs/stash"),
        git(root, "rev-parse", "--symbolic-full-name", "HEAD"),
        git(root, "stash", "list"),
        (root / ".git" / "config").read_text(),
        (root / ".git" / "index").read_bytes().hex(),
        " ".join(sorted(os.listdir(root / ".git" / "hooks"))),
        git(root, "status", "--porcelain", "--ignored", "--", ".", ":(exclude).orchestrator"),
    )


def forked(act: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException:
            os._exit(70)
        os._exit(0)
    return child


def catch(act: Callable[[], object], raised: list[BaseException]) -> None:
    try:
        act()
    except OrchestratorError as error:
        raised.append(error)
