"""What a checkpoint of a large repository costs, against the `git status` that nobody can do without."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from benchmarks.place import Place, Rooms, Sizes, rooms, settle
from benchmarks.rounds import Action, Result, Timings, command, interleave
from orchestrator.model.ids import RunId
from orchestrator.repo.trees import IsolatedTree

_STATUS = ("git", "status", "--porcelain")
_CHANGED = "part0/area0/file1.txt"
_RUN = RunId("bench")


def checkpoint(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures a checkpoint with one changed file, the fetch into the user's repository included.

    Then, whether the user's own `git status` is any slower for all the trees and checkpoints there are now.
    """
    user = place.repository("large", sizes.large_files)
    opened = rooms(user)
    status = command(_STATUS, cwd=user, environment=place.environment)
    first = interleave({"alone": status}, rounds)
    tree = opened.trees.create(_RUN, "main", opened.repository.resolve("HEAD"))
    if sizes.large_files > sizes.tree_files:
        settle(place, tree.path)
    edits = count(1)
    actions: dict[str, Action] = {
        "status": command(_STATUS, cwd=tree.path, environment=place.environment),
        "checkpoint": lambda: _take(opened, tree),
        "again": status,
    }
    changes: dict[str, Action] = {"checkpoint": lambda: _edit(tree.path, next(edits))}
    timings = interleave(actions, rounds, before=changes)
    what = f"a checkpoint with one changed file of {sizes.large_files:,}, to `git status` there"
    return [
        timings.ratio("checkpoint", what, of="checkpoint", to="status", goal=2.5),
        timings.cpu_ratio("checkpoint", f"{what} (processor time of children)", of="checkpoint", to="status"),
        _beside(first, timings, sizes.large_files),
    ]


def _beside(before: Timings, after: Timings, files: int) -> Result:
    both = Timings(
        {"before": before.wall["alone"], "after": after.wall["again"]},
        {"before": before.cpu["alone"], "after": after.cpu["again"]},
    )
    what = f"the user's `git status` beside a tree and its checkpoints, to before ({files:,} files)"
    return both.ratio("checkpoint", what, of="after", to="before")


def _edit(tree: Path, number: int) -> None:
    (tree / _CHANGED).write_text(f"changed {number}\n")


def _take(opened: Rooms, tree: IsolatedTree) -> None:
    opened.checkpoints.take(tree, run_id=_RUN, document={"run": {"id": _RUN}}, label="one file changed")
