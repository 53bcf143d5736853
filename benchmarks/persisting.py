"""What it costs to save a run elsewhere, whether agents notice, and how fast it comes back."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.place import Place, Sizes, rooms
from benchmarks.rounds import Action, Result, interleave, told
from benchmarks.start_up import write_runs
from orchestrator.engine.keeping import keep_live, open_tree
from orchestrator.engine.persistence import PersistReason
from orchestrator.engine.start import RunRequest, preview, start_run
from orchestrator.engine.work import Work, open_work
from orchestrator.fs.disk import Disk
from orchestrator.model.event import EventKind
from orchestrator.model.run import RunOptions
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.remote import Remote
from orchestrator.sessions.clone import session_of
from orchestrator.sessions.giving_way import Target
from orchestrator.sessions.restore import bring_back, fetch_saved
from orchestrator.sessions.saving import Saver
from orchestrator.sessions.writing import Wish, next_save
from orchestrator.state.layout import create_layout
from orchestrator.workspace import open_workspace

_CPU_GOAL_MS = 30.0
_PAUSE_GOAL_MS = 50.0
_RESTORE_GOAL = 1.3
_LONG_S = 1.5
_AGENT = """
import sys, time
gaps, last, end = [], time.perf_counter(), time.perf_counter() + float(sys.argv[1])
while last < end:
    time.sleep(0.001)
    now = time.perf_counter()
    gaps.append(now - last)
    last = now
print(max(gaps))
"""


def persist(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures saving after a step, beside few and beside many old runs."""
    found: dict[str, list[float]] = {}
    for name, old in (("alone", 0), ("beside", sizes.runs)):
        with _saving(place, f"persist-{name}", old) as (work, saver):
            saver.save(PersistReason.RESUMED)
            found[name] = [_after_a_step(work, saver, number) for number in range(rounds + 1)][1:]
    ratios = [b / a for a, b in zip(found["alone"], found["beside"], strict=True)]
    what = "processor time of saving a run after a step, its push left out"
    return [
        told("persist", what, "ms", found["alone"], goal=_CPU_GOAL_MS),
        told("persist", f"the same beside {sizes.runs:,} old runs", "ms", found["beside"], goal=_CPU_GOAL_MS),
        told("persist", f"beside {sizes.runs:,} old runs, to alone", "x", ratios),
    ]


def pause(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures the longest time for which an agent stands still while its tree is saved again and again."""
    quiet, saved = [], []
    with _saving(place, "pause", 0, files=sizes.tree_files) as (work, saver):
        saver.save(PersistReason.RESUMED)
        for number in range(rounds):
            quiet.append(_longest_gap(lambda: None))
            saved.append(_longest_gap(lambda number=number: _save_live(work, saver, number)))  # type: ignore[misc]
    gaps = [max(0.0, b - a) * 1e3 for a, b in zip(quiet, saved, strict=True)]
    what = (
        f"longest standstill of an agent while a tree of {sizes.tree_files:,} files is saved, minus without"
    )
    alone_ms = statistics.median(quiet) * 1e3
    return [
        replace(told("pause", what, "ms", gaps, goal=_PAUSE_GOAL_MS), floor_ms=alone_ms),
        told("pause", "the same, with it", "ms", [each * 1e3 for each in saved]),
    ]


def restore(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures bringing a run back with its tree, against git fetching the same and checking it out.

    In a small repository, where what git does for every process counts, and in one with more files and a
    history, where the files themselves do.
    """
    small = _restored(place, "restore", sizes.tree_files, 1, rounds)
    return [small, _restored(place, "restore-large", sizes.restored_files, sizes.restored_commits, rounds)]


def _restored(place: Place, name: str, files: int, commits: int, rounds: int) -> Result:
    with _saving(place, name, 0, files=files, commits=commits) as (work, saver):
        saver.save(PersistReason.RESUMED)
        _change(work, 1)
        keep_live(work)
        saver.save(PersistReason.STEP_ENDED)
    remote = place.root / f"{name}-remote.git"
    clones = {
        who: [_clone(place, remote, f"{name}-{who}-{number}") for number in range(rounds + 1)]
        for who in ("git", "ours")
    }
    (ref,) = place.git(
        remote, "for-each-ref", "--format=%(refname)", "refs/orchestrator/sessions"
    ).splitlines()
    actions: dict[str, Action] = {
        "git": lambda: _fetch_and_check_out(place, clones["git"].pop(), remote, ref),
        "ours": lambda: _bring_back(clones["ours"].pop(), remote),
    }
    timings = interleave(actions, rounds)
    history = f" and {commits:,} commits behind it" if commits > 1 else ""
    what = f"a run with a tree of {files:,} files{history} brought back, to `git fetch` and a checkout of it"
    return timings.ratio("restore", what, of="ours", to="git", goal=_RESTORE_GOAL)


@contextmanager
def _saving(
    place: Place, name: str, old: int, files: int = 40, commits: int = 1
) -> Iterator[tuple[Work, Saver]]:
    """Yields a run with a tree, in a repository beside `old` finished runs, and what saves it at a remote."""
    repository = place.repository(name, files, commits)
    remote = place.root / f"{name}-remote.git"
    place.git(place.root, "clone", "-q", "--bare", str(repository), str(remote))
    place.git(repository, "remote", "add", "origin", str(remote))
    place.git(repository, "fetch", "-q", "origin")
    create_layout(rooms(repository).paths, Disk(), private=False, workflow_yaml=None)
    if old:
        write_runs(repository, old)
        head = place.git(repository, "rev-parse", "HEAD")
        refs = "".join(f"create refs/orchestrator/runs/r-{n:06d} {head}\n" for n in range(old))
        place.git(repository, "update-ref", "--stdin", input=refs.encode())
    with open_workspace(str(repository), environment=dict(os.environ), writes=True) as workspace:
        request = RunRequest(
            task="nothing",
            run_id=None,
            plan=None,
            base=None,
            include_changes=False,
            options=RunOptions(command=("true",)),
            config=workspace.loaded.config,
            workflow_yaml=None,
            trusted=True,
        )
        run = start_run(workspace.context, request, preview(workspace.context, request))
        work = open_work(workspace.context, run.id, lambda: False)
        open_tree(work)
        context = workspace.context
        wish = Wish(session_of(context.paths), 2**40, "origin")
        saver = Saver(
            context, run.id, Remote(context.repository, str(remote), name="origin"), wish, ("ref",), _ignore
        )
        yield work, saver


def _ignore(sentence: str) -> None:
    raise RuntimeError(sentence)


def _change(work: Work, number: int) -> None:
    tree = work.context.trees.open(work.run_id, "main")
    (tree.path / "new.txt").write_text(f"{number}\n" * 100)


def _after_a_step(work: Work, saver: Saver, number: int) -> float:
    """Does what a step leaves, then returns the milliseconds of processor time that saving it takes."""
    _change(work, number)
    keep_live(work)
    for _ in range(8):
        work.context.state.record_event(work.run_id, EventKind.AGENT_SAID, {"text": "a line of output " * 4})
    before = _cpu_s()
    made = next_save(
        work.context, work.run_id, saver.wish, newest=saver.newest, reason=PersistReason.STEP_ENDED
    )
    spent = _cpu_s() - before
    saver.newest = made or saver.newest
    saver.save(PersistReason.STEP_ENDED)
    return spent * 1e3


def _cpu_s() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _longest_gap(meanwhile: Action) -> float:
    """Returns the longest standstill, in seconds, of a program that does nothing but look at the clock."""
    agent = subprocess.Popen([sys.executable, "-c", _AGENT, str(_LONG_S)], stdout=subprocess.PIPE, text=True)
    time.sleep(_LONG_S / 4)
    meanwhile()
    out, _ = agent.communicate()
    return float(out)


def _save_live(work: Work, saver: Saver, number: int) -> None:
    _change(work, number)
    keep_live(work)
    saver.save(PersistReason.TIMER)


def _clone(place: Place, remote: Path, name: str) -> Path:
    """Returns a clone whose own files nobody looks at: they are not checked out."""
    directory = place.root / f"{name}-clone"
    place.git(place.root, "clone", "-q", "--no-checkout", str(remote), str(directory))
    return directory


def _fetch_and_check_out(place: Place, clone: Path, remote: Path, ref: str) -> None:
    place.git(clone, "fetch", "-q", "--no-tags", str(remote), f"{ref}:refs/saved")
    checkpoint = place.git(clone, "rev-parse", "refs/saved^2")
    tree = place.git(clone, "commit-tree", f"{checkpoint}:tree", "-m", "tree")
    place.git(clone, "worktree", "add", "-q", "--detach", str(clone.parent / f"{clone.name}-tree"), tree)


def _bring_back(clone: Path, remote: Path) -> None:
    found = rooms(clone)
    target = Target(found.repository.located, found.paths, found.repository, Redactor())
    saved, _ = fetch_saved(target, Remote(found.repository, str(remote), name="origin"))
    (run_id,) = bring_back(target, saved).runs
    with open_workspace(
        str(clone), environment=dict(os.environ), writes=True, run_id=run_id, trust_now=True
    ) as workspace:
        open_tree(open_work(workspace.context, run_id, lambda: False))
