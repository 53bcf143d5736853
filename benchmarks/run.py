"""Runs the benchmarks and prints a table: `make bench`, or `python benchmarks/run.py --only status`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    agents,
    checkpointing,
    health,
    isolation,
    migrating,
    persisting,
    recording,
    redaction,
    start_up,
    whole_run,
)
from benchmarks.machine import describe, load
from benchmarks.place import Place, Sizes, enter, make_place
from benchmarks.rounds import SPEEDS, Result

Benchmark = Callable[[Place, Sizes, int], list[Result]]

BENCHMARKS: dict[str, tuple[Benchmark, int]] = {
    "status": (start_up.status, 41),
    "help": (start_up.help, 15),
    "doctor-quick": (health.quick, 41),
    "doctor": (health.full, 11),
    "which": (start_up.which, 41),
    "step": (recording.step, 300),
    "checkpoint": (checkpointing.checkpoint, 15),
    "tree": (isolation.tree, 11),
    "migrate": (migrating.migrate, 7),
    "carry": (migrating.carry, 7),
    "run": (whole_run.run, 11),
    "init": (whole_run.init, 11),
    "redaction": (redaction.redaction, 15),
    "persist": (persisting.persist, 15),
    "pause": (persisting.pause, 7),
    "restore": (persisting.restore, 11),
    "held": (agents.held, 5),
    "events": (agents.events, 7),
}
"""Each benchmark with its usual number of rounds."""


def main(argv: Sequence[str] | None = None, sizes: Sizes | None = None) -> int:
    """Runs what was asked for and returns 0, or 1 when a goal was missed."""
    options = _parse(argv)
    results: list[Result] = []
    began = load()
    for name in options.only or BENCHMARKS:
        if not options.json:
            print(f"{name} …", file=sys.stderr, flush=True)
        results += measure(name, options.rounds, sizes)
    if options.json:
        print(json.dumps(_as_json(results, began), indent=1))
    else:
        print(_as_table(results, began))
    return 1 if any(result.met is False for result in results) else 0


def measure(name: str, rounds: int | None = None, sizes: Sizes | None = None) -> list[Result]:
    """Runs one benchmark in a temporary directory, in an environment of its own, and returns its results."""
    benchmark, usual = BENCHMARKS[name]
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-", ignore_cleanup_errors=True) as directory:
        place = make_place(Path(directory).resolve())
        try:
            enter(place)
            return benchmark(place, sizes or Sizes(), rounds or usual)
        finally:
            os.environ.clear()
            os.environ.update(kept)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(BENCHMARKS), help="this one alone; may be repeated"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each (default: what each needs)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args(argv)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def _as_json(results: Sequence[Result], began: str) -> dict[str, object]:
    rows = [{**dataclasses.asdict(result), "met": result.met} for result in results]
    return {"machine": describe(), "load": [began, load()], "results": rows}


def _as_table(results: Sequence[Result], began: str) -> str:
    lines = [f"{key}: {value}" for key, value in describe().items()]
    lines += [f"load average: {began} before, {load()} after", ""]
    lines += ["| benchmark | what | goal | measured | quartiles | floor ms | rounds | met |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    lines += [_row(result) for result in results]
    return "\n".join(lines)


def _row(result: Result) -> str:
    unit, limit = f" {result.unit}", "≥" if result.unit in SPEEDS else "≤"
    goal = "" if result.goal is None else f"{limit} {result.goal:g}{unit}"
    met = {True: "yes", False: "**no**", None: ""}[result.met]
    spread = f"{result.low:.2f} to {result.high:.2f}"
    return (
        f"| {result.name} | {result.what} | {goal} | {result.value:.2f}{unit} | {spread}"
        f" | {result.floor_ms:.1f} | {result.rounds} | {met} |"
    )


if __name__ == "__main__":
    sys.exit(main())
