"""Where the time of a whole run goes, from the command line to the branch, and that of `init`."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.place import Place, Sizes, program, rooms
from benchmarks.rounds import Action, Result, command, interleave, told
from orchestrator.model.event import EventKind
from orchestrator.model.ids import RunId
from orchestrator.state.manager import StateManager

_AGENT = "cp app.txt new.txt"
_BARE = "cp app.txt new.txt && git add -A && git commit -q -m done"


def run(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures `orchestrator run` with a trivial command, and splits it by what its events say."""
    user = _sample(place, "whole")
    command([program(), "init"], cwd=user, environment=place.environment)()
    bare = _sample(place, "bare")
    numbers = itertools.count(1)
    marks: list[tuple[RunId, datetime, datetime]] = []

    def ours() -> None:
        run_id = RunId(f"bench-{next(numbers)}")
        words = [program(), "run", "copy a file", "--command", _AGENT, "--run-id", run_id, "--quiet"]
        began = datetime.now(UTC)
        command(words, cwd=user, environment=place.environment)()
        marks.append((run_id, began, datetime.now(UTC)))

    actions: dict[str, Action] = {
        "bare": command(["sh", "-c", _BARE], cwd=bare, environment=place.environment),
        "python": command([sys.executable, "-c", "pass"], cwd=user, environment=place.environment),
        "run": ours,
    }
    undone: dict[str, Action] = {"bare": lambda: _undo(place, bare)}
    timings = interleave(actions, rounds, before=undone)
    whole = "`orchestrator run` of a command that adds a file"
    return [
        timings.ratio("run", f"{whole}, to the bare command and `git commit`", of="run", to="bare"),
        timings.share("run", f"{whole}, all of it", of="run"),
        *_phases(user, marks[1:]),
    ]


def init(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures `orchestrator init` in a fresh repository."""
    user = _sample(place, "init")
    undo = command([program(), "deinit", "--yes"], cwd=user, environment=place.environment)
    actions: dict[str, Action] = {
        "python": command([sys.executable, "-c", "pass"], cwd=user, environment=place.environment),
        "init": command([program(), "init"], cwd=user, environment=place.environment),
    }

    def clear() -> None:
        if (user / ".orchestrator").exists():
            undo()

    timings = interleave(actions, rounds, before={"init": clear})
    return [
        timings.ratio("init", "`orchestrator init`, to `python -c pass`", of="init", to="python"),
        timings.share("init", "`orchestrator init`, all of it", of="init"),
    ]


_STAGES = (
    ("start-up, until the run is recorded", EventKind.RUN_STARTED),
    ("preparing, until the step begins", EventKind.STEP_STARTED),
    ("the tree, the supervisor and the agent", EventKind.AGENT_USAGE),
    ("the step's checkpoint", EventKind.CHECKPOINT_CREATED),
    ("the step's end", EventKind.STEP_FINISHED),
    ("verdict and the phase's commit", EventKind.PHASE_FINISHED),
    ("the branch", EventKind.BRANCH_UPDATED),
    ("the seal: last checkpoint, tree removed", EventKind.RUN_FINISHED),
)


def _phases(user: Path, marks: Sequence[tuple[RunId, datetime, datetime]]) -> list[Result]:
    """Returns the median time of each stage of the runs, the last being the way out."""
    split: dict[str, list[float]] = {}
    with StateManager.open_read_only(rooms(user).paths) as state:
        for run_id, began, ended in marks:
            at = began
            first = {event.kind: event.at for event in reversed(state.events(run_id))}
            for words, kind in _STAGES:
                split.setdefault(words, []).append((first[kind] - at).total_seconds() * 1e3)
                at = first[kind]
            split.setdefault("the way out", []).append((ended - at).total_seconds() * 1e3)
    return [told("run", f"… of it: {words}", "ms", values) for words, values in split.items()]


def _sample(place: Place, name: str) -> Path:
    directory = place.repository(name, 20)
    (directory / "app.txt").write_text(f"made {time.time()}\n")
    place.git(directory, "add", "-A")
    place.git(directory, "commit", "-q", "-m", "sample")
    return directory


def _undo(place: Place, bare: Path) -> None:
    if (bare / "new.txt").exists():
        place.git(bare, "reset", "-q", "--hard", "HEAD~1")
