"""What an isolated tree costs against `git worktree add`, and what the user's git feels of it."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

from benchmarks.place import Place, Rooms, Sizes, rooms
from benchmarks.rounds import Action, Result, command, interleave
from orchestrator.model.ids import ObjectId, RunId, new_run_id

_STATUS = ("git", "status", "--porcelain")
_KEPT_TREES = 3


def tree(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures making a tree; each is removed before the next, untimed."""
    user = place.repository("trees", sizes.tree_files)
    opened = rooms(user)
    base = opened.repository.resolve("HEAD")
    linked = place.root / "linked"
    numbers = count(1)
    actions: dict[str, Action] = {
        "worktree add": command(
            ("git", "worktree", "add", "-q", "--detach", str(linked), "HEAD"),
            cwd=user,
            environment=place.environment,
        ),
        "tree": lambda: _create(opened, base, next(numbers)),
    }
    clearing: dict[str, Action] = {
        "worktree add": lambda: _clear(place, opened, linked),
        "tree": lambda: _clear(place, opened, linked),
    }
    timings = interleave(actions, rounds, before=clearing)
    _clear(place, opened, linked)
    what = f"an isolated tree of {sizes.tree_files:,} files, to `git worktree add`"
    return [
        timings.ratio("tree", what, of="tree", to="worktree add", goal=1.1),
        timings.cpu_ratio("tree", f"{what} (processor time of children)", of="tree", to="worktree add"),
        _next_status(place, opened, sizes, rounds),
    ]


def _next_status(place: Place, opened: Rooms, sizes: Sizes, rounds: int) -> Result:
    """Measures the user's `git status` right after a tree and a checkpoint, here and in another repository.

    So both times the same work has just been done by the machine, and only one time for this repository: the
    ratio tells what it left in the user's index, refs and objects.
    """
    user = opened.repository.checkout
    other = rooms(place.repository("other", sizes.tree_files))
    status = command(_STATUS, cwd=user, environment=place.environment)
    for _ in range(_KEPT_TREES):
        _work(opened)
    timings = interleave(
        {"elsewhere": status, "here": status},
        rounds,
        before={"elsewhere": lambda: _work(other), "here": lambda: _work(opened)},
    )
    what = "the user's next `git status` after a tree and a checkpoint, to the same in another repository"
    return timings.ratio("tree", f"{what} ({sizes.tree_files:,} files)", of="here", to="elsewhere", goal=1.05)


def _work(opened: Rooms) -> None:
    run_id = new_run_id()
    made = opened.trees.create(run_id, "main", opened.repository.resolve("HEAD"))
    (made.path / "new.txt").write_text(run_id)
    opened.checkpoints.take(made, run_id=run_id, document={"run": {"id": run_id}}, label="a new file")


def _create(opened: Rooms, base: ObjectId, number: int) -> None:
    opened.trees.create(RunId(f"tree-{number}"), "main", base)


def _clear(place: Place, opened: Rooms, linked: Path) -> None:
    shutil.rmtree(opened.trees.root, ignore_errors=True)
    shutil.rmtree(linked, ignore_errors=True)
    place.git(opened.repository.checkout, "worktree", "prune")
