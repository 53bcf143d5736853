"""A live run and many old ones, with prune killed: the live run goes on, and every old one is whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.config.schema import Session as Limits
from orchestrator.fs.effects import observe
from orchestrator.model.ids import RunId
from orchestrator.model.run import RunStatus
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.repo import archive as archiving
from orchestrator.sessions import freeing
from orchestrator.sessions.budget import next_action
from orchestrator.sessions.pruning import Opened, budgets_of, everything_is_pushed, look
from orchestrator.workspace import Workspace
from tests.cli.conftest import ENTRY
from tests.conftest import GitCall
from tests.engine.scene import Scene
from tests.sessions.making import listing, old_runs
from tests.sessions.pruner import prune_all

CLONE = Path(__file__).parents[2]
MODEL, LIVE = RunId("model"), "live"
WORK = "open('made.txt','w').write('made')"
WAITS = """
    import os, sys, time
    open('half.txt', 'w').write('half')
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.05)
    open('whole.txt', 'w').write('whole')
"""


@dataclass(frozen=True)
class Old:
    """A repository with `model` and old runs, each with commits of its own; `tips` are their refs."""

    scene: Scene
    runs: tuple[str, ...]
    tips: Mapping[str, str]


MakeOld = Callable[[int], Old]


@pytest.fixture
def make_old(repository: Path, tmp_path: Path, git: GitCall) -> MakeOld:
    """Returns a function that makes the repository with that many old runs, without an agent each."""

    def make(number: int) -> Old:
        programs = tmp_path / "programs"
        programs.mkdir()
        scene = Scene(repository, programs)
        scene.configure("")
        assert scene.run(run_id=MODEL, command=scene.program("work", WORK)).status is RunStatus.COMPLETED
        scene.program("waits", WAITS)
        runs = tuple(f"o{at:03}" for at in range(number))
        old_runs(scene.root, git, MODEL, list(runs), outputs=1500)
        tips = dict(_own_commits(scene.root, git, runs))
        git(scene.root, "pack-refs", "--all")
        return Old(scene, runs, tips)

    return make


def _own_commits(root: Path, git: GitCall, runs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Gives each run commits that only its refs reach, and yields refs and commits."""
    for prefix in (names.RUN_REFS, names.RESULT_REFS):
        tip = git(root, "rev-parse", prefix + MODEL)
        head, _, text = git(root, "cat-file", "commit", tip).partition("\n\n")
        tree = head.splitlines()[0]
        author = next(line for line in head.splitlines() if line.startswith("author "))
        for number, run in enumerate(runs):
            who = f"{author.rsplit(' ', 2)[0]} {1_700_000_000 + number} +0000"
            oid = _loose(root, f"{tree}\nparent {tip}\n{who}\ncommitter {who[7:]}\n\n{text}\n".encode())
            (root / ".git" / (prefix + run)).write_text(oid + "\n")
            yield prefix + run, oid


def _loose(root: Path, commit: bytes) -> str:
    data = b"commit %d\0" % len(commit) + commit
    oid = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    place = root / ".git/objects" / oid[:2] / oid[2:]
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(zlib.compress(data, 1))
    return oid


@contextmanager
def live_run(place: Path, programs: Path) -> Iterator[None]:
    """Has a run at work meanwhile; at the end it goes on and must complete with all it wrote."""
    go = place.with_name(place.name + ".go")
    command = f"{sys.executable} {programs / 'waits.py'} {go}"
    tree = place / ".orchestrator/worktrees" / LIVE / "main"
    words = [sys.executable, "-c", ENTRY, "run", "x", "--command", command, "--run-id", LIVE, "--trust"]
    with subprocess.Popen(
        words, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as run:
        try:
            while not (tree / "half.txt").exists():
                assert run.poll() is None, run.communicate()
            yield
            assert run.poll() is None, run.communicate()
            assert (tree / "half.txt").read_text() == "half"
        finally:
            go.touch()
            told, _ = run.communicate()
    assert run.returncode == 0, told


def killed_at(place: Path, number: int) -> bool:
    """Starts prune and kills it before an effect; returns whether it came that far."""
    words = [sys.executable, "-m", "tests.sessions.pruner", str(place), str(number)]
    done = subprocess.run(words, cwd=CLONE, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def check_whole(old: Old, root: Path, workspace: Workspace, git: GitCall, *, restored: Sequence[str]) -> None:
    """Demands budgets that are met, and every old run in the archive, down to its last commit."""
    runs = {str(run.id) for run in workspace.state.list_runs()}
    assert runs == {MODEL, LIVE}
    left = look([Opened(None, workspace.context)], everything_is_pushed)
    assert next_action(left, budgets_of(Limits()), datetime.now(UTC)) is None
    found = {each.run_id: each for each in archiving.read_all(workspace.repository)}
    assert set(found) == set(old.runs)
    named = {name: oid for each in found.values() for name, oid in each.refs.items()}
    assert {name: named[name] for name in old.tips} == dict(old.tips)
    listed = git(root, "for-each-ref", "--format=%(refname)", "refs/orchestrator/").splitlines()
    archives = [ref for ref in listed if ref.startswith(names.ARCHIVE_REFS)]
    assert not set(old.tips) & set(listed)
    assert set(old.tips.values()) <= set(git(root, "rev-list", *archives).splitlines())
    for run_id in restored:
        freeing.restore(workspace.context, found[RunId(run_id)])
        assert workspace.state.get_run(RunId(run_id)).status is RunStatus.COMPLETED
        assert workspace.context.checkpoints.list_checkpoints(RunId(run_id))
        for prefix in (names.RUN_REFS, names.RESULT_REFS):
            assert git(root, "rev-parse", prefix + run_id) == old.tips[prefix + run_id]
        assert git(root, "show", f"{names.RESULT_REFS}{run_id}:made.txt") == "made"
    assert workspace.state.problems() == ()
    assert workspace.state.verify_chain() is None
    git(root, "fsck", "--connectivity-only", "--no-dangling")


def kill_once(old: Old, place: Path, number: int, git: GitCall) -> bool:
    """Kills prune before one effect beside a live run, prunes again, and looks at everything."""
    shutil.copytree(old.scene.root, place, symlinks=True)
    with live_run(place, old.scene.programs):
        seen = listing(place / ".orchestrator/artifacts" / LIVE)
        was_killed = killed_at(place, number)
        with Scene(place, old.scene.programs).open() as workspace:
            assert prune_all(workspace).problems == []
            assert listing(place / ".orchestrator/artifacts" / LIVE) == seen
            sample = (old.runs[0], old.runs[len(old.runs) // 2], old.runs[-1])
            check_whole(old, place, workspace, git, restored=sample)
    assert git(place, "show", f"orchestrator/{LIVE}:whole.txt") == "whole"
    shutil.rmtree(place)
    return was_killed


def effects_of(old: Old, place: Path) -> list[str]:
    """Returns what prune announces when nothing disturbs it."""
    shutil.copytree(old.scene.root, place, symlinks=True)
    effects: list[str] = []
    with Scene(place, old.scene.programs).open() as workspace, observe(effects.append):
        prune_all(workspace)
    shutil.rmtree(place)
    return effects


def is_whole_on_disk(old: Old, root: Path) -> str:
    """Returns what a power cut at this very moment would lose; empty when nothing.

    Read from outside: the database by a connection of its own, the refs by git.
    """
    with sqlite3.connect(f"file:{OrchestratorPaths(root).state_file}?mode=ro", uri=True) as database:
        rows = {str(row[0]) for row in database.execute("select id from runs")}
    database.close()
    words = ["git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/orchestrator/"]
    told = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout
    refs = dict(line.split() for line in told.splitlines())
    archives = tuple(ref for ref in refs if ref.startswith(names.ARCHIVE_REFS))
    key = tuple(refs[ref] for ref in archives)
    reached, listed = _archive_at(os.fspath(root), key)
    for name, oid in old.tips.items():
        run = name.rsplit("/", 1)[1]
        if refs.get(name) != oid and oid not in reached:
            return f"{name} is out of reach"
        if run not in rows and (run not in listed or oid not in reached):
            return f"{run} is in neither state nor archive"
    return "" if MODEL in rows and names.RUN_REFS + MODEL in refs else "model is gone"


_SEEN: dict[tuple[str, ...], tuple[frozenset[str], frozenset[str]]] = {}


def _archive_at(root: str, tips: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the commits and the runs that archives at these commits hold; looked up once for each."""
    if tips and tips not in _SEEN:
        words = ["git", "rev-list", *tips]
        commits = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout.split()
        listed: set[str] = set()
        for tip in tips:
            words = ["git", "ls-tree", "--name-only", f"{tip}:runs"]
            told = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout
            listed |= {name.removesuffix(".json") for name in told.split()}
        _SEEN[tips] = frozenset(commits), frozenset(listed)
    return _SEEN.get(tips, (frozenset(), frozenset()))


def test_prune_killed_beside_a_live_run_loses_nothing(
    make_old: MakeOld, git: GitCall, tmp_path: Path
) -> None:
    old = make_old(3)
    effects = effects_of(old, tmp_path / "counted")

    forgotten = max(at for at, effect in enumerate(effects) if effect == "database commit")
    assert kill_once(old, tmp_path / "cut", forgotten, git)


@pytest.mark.long
def test_prune_killed_at_every_effect_beside_a_live_run_loses_nothing(
    make_old: MakeOld, git: GitCall, tmp_path: Path
) -> None:
    old, number = make_old(3), 0

    while kill_once(old, tmp_path / f"cut{number}", number, git):
        number += 1

    assert number > 50


@pytest.mark.long
def test_no_effect_of_pruning_500_runs_leaves_one_that_is_neither_here_nor_archived(
    make_old: MakeOld, git: GitCall
) -> None:
    old = make_old(500)
    lost: dict[str, str] = {}
    count = [0]

    def look_at(effect: str) -> None:
        count[0] += 1
        if found := is_whole_on_disk(old, old.scene.root):
            lost.setdefault(effect, found)

    with live_run(old.scene.root, old.scene.programs):
        with old.scene.open() as workspace, observe(look_at):
            assert prune_all(workspace).problems == []
        with old.scene.open() as workspace:
            check_whole(old, old.scene.root, workspace, git, restored=old.runs[::50])

    assert lost == {}
    assert count[0] > 4000


@pytest.mark.long
def test_prune_of_500_runs_is_killed_again_and_again_and_ends(
    make_old: MakeOld, git: GitCall, tmp_path: Path
) -> None:
    old = make_old(500)
    total = len(effects_of(old, tmp_path / "counted")) - 20  # beside a live run nothing is compacted

    for number in range(0, total, total // 11):
        assert kill_once(old, tmp_path / f"cut{number}", number, git), number
