"""How long a person, or a prompt, waits for `doctor`, against an interpreter that does nothing."""

from __future__ import annotations

import sys
from dataclasses import replace

from benchmarks.place import Place, Sizes, program
from benchmarks.rounds import Action, Result, Timings, command, interleave, told
from benchmarks.start_up import write_runs

_FLOOR = "python -c pass"
_GIT = "git rev-parse HEAD"


def quick(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures `doctor --quick` without what one git call takes, where nothing is set up and beside runs."""
    results = []
    for name, runs in (("nothing is set up", 0), (f"{sizes.runs:,} finished runs", sizes.runs)):
        repository = place.repository(f"quick-{runs}", 3)
        if runs:
            write_runs(repository, runs)
        actions: dict[str, Action] = {
            _FLOOR: command([sys.executable, "-c", "pass"], cwd=repository, environment=place.environment),
            _GIT: command(_GIT.split(), cwd=repository, environment=place.environment),
            "quick": command([program(), "doctor", "--quick"], cwd=repository, environment=place.environment),
        }
        results.append(_beyond_git(interleave(actions, rounds), f"`orchestrator doctor --quick`, {name}"))
    return results


def full(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures the whole `doctor`; beside many runs, whose every event it reads, it is only told."""
    results = []
    for runs, goal in ((sizes.few_runs, 100.0), (sizes.runs, None)):
        repository = place.repository(f"full-{runs}", sizes.tree_files)
        write_runs(repository, runs)
        actions: dict[str, Action] = {
            _FLOOR: command([sys.executable, "-c", "pass"], cwd=repository, environment=place.environment),
            "full": command([program(), "doctor"], cwd=repository, environment=place.environment),
        }
        what = f"`orchestrator doctor`, {sizes.tree_files:,} files, {runs:,} finished runs, to `{_FLOOR}`"
        timings = interleave(actions, rounds)
        results.append(timings.ratio("doctor", what, of="full", to=_FLOOR, goal=goal))
    return results


def _beyond_git(timings: Timings, what: str) -> Result:
    walls = zip(timings.wall["quick"], timings.wall[_GIT], timings.wall[_FLOOR], strict=True)
    ratios = [(whole - git) / floor for whole, git, floor in walls]
    named = f"{what}, less one `{_GIT}`, to `{_FLOOR}`"
    return replace(told("doctor-quick", named, "x", ratios, goal=3.5), floor_ms=timings.median_ms(_FLOOR))
