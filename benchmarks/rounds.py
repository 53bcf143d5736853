"""Times things in turns, so that a busy machine hits all of them alike, and compares them round by round."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Unit = Literal["x", "ms", "MB/s", "MiB", "ms/s", "events/s"]
SPEEDS = frozenset({"MB/s", "events/s"})
"""Units of which more is better."""
Action = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Result:
    """One number against its goal.

    `value` is a ratio (`x`), milliseconds, or a speed, whose goal is the least; `low` and `high` are the
    quartiles over the rounds; `goal` is None for what is only told. `floor_ms` is the median of what it was
    measured against.
    """

    name: str
    what: str
    unit: Unit
    value: float
    low: float
    high: float
    floor_ms: float
    rounds: int
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        """Returns whether the goal was reached, None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.unit in SPEEDS else self.value <= self.goal


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall seconds of several actions, by name, one for each round; `cpu` is that of their children."""

    wall: Mapping[str, tuple[float, ...]]
    cpu: Mapping[str, tuple[float, ...]]

    def median_ms(self, name: str) -> float:
        """Returns the median wall time of one action."""
        return statistics.median(self.wall[name]) * 1e3

    def ratio(self, name: str, what: str, *, of: str, to: str, goal: float | None = None) -> Result:
        """Returns the median of the per-round ratios of one action to another."""
        ratios = [a / b for a, b in zip(self.wall[of], self.wall[to], strict=True)]
        return self._result(name, what, "x", ratios, to, goal)

    def cpu_ratio(self, name: str, what: str, *, of: str, to: str) -> Result:
        """Returns the same of processor time: hardly moved by what else the machine does."""
        ratios = [a / max(b, 1e-6) for a, b in zip(self.cpu[of], self.cpu[to], strict=True)]
        return self._result(name, what, "x", ratios, to, None)

    def difference(
        self, name: str, what: str, *, of: str, to: str, goal: float | None = None, each: int = 1
    ) -> Result:
        """Returns the median of the per-round differences in milliseconds, for one of `each` repetitions."""
        gaps = [(a - b) * 1e3 / each for a, b in zip(self.wall[of], self.wall[to], strict=True)]
        return self._result(name, what, "ms", gaps, to, goal)

    def share(self, name: str, what: str, *, of: str) -> Result:
        """Returns the median wall milliseconds of one action, with no goal."""
        return self._result(name, what, "ms", [s * 1e3 for s in self.wall[of]], of, None)

    def speed(self, name: str, what: str, *, of: str, size_bytes: int, goal: float | None = None) -> Result:
        """Returns the median of the per-round speeds of one action that gets through `size_bytes`."""
        speeds = [size_bytes / 1e6 / seconds for seconds in self.wall[of]]
        return self._result(name, what, "MB/s", speeds, of, goal)

    def _result(
        self, name: str, what: str, unit: Unit, values: Sequence[float], floor: str, goal: float | None
    ) -> Result:
        return replace(told(name, what, unit, values, goal=goal), floor_ms=self.median_ms(floor))


def interleave(
    actions: Mapping[str, Action], rounds: int, *, before: Mapping[str, Action] | None = None
) -> Timings:
    """Runs every action once per round (A B A B), after one round that does not count.

    `before` holds what is done, untimed, before an action. Every other round goes backwards, so that what one
    action leaves in the caches serves each of its neighbours in turn.
    """
    wall: dict[str, list[float]] = {name: [] for name in actions}
    cpu: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        order = list(actions)
        for name in reversed(order) if number % 2 else order:
            (before or {}).get(name, _nothing)()
            used, started = _children_s(), time.perf_counter()
            actions[name]()
            if number:
                wall[name].append(time.perf_counter() - started)
                cpu[name].append(_children_s() - used)
    return Timings({n: tuple(v) for n, v in wall.items()}, {n: tuple(v) for n, v in cpu.items()})


def told(name: str, what: str, unit: Unit, values: Sequence[float], *, goal: float | None = None) -> Result:
    """Returns the median of values that were measured in some other way."""
    low, high = _quartiles(values)
    middle = statistics.median(values)
    return Result(name, what, unit, middle, low, high, middle, len(values), goal)


def command(argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Action:
    """Returns an action that runs a program to its end, output thrown away.

    Raises:
        RuntimeError: when it is run and ends badly.
    """

    def run() -> None:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace")
            raise RuntimeError(f"{' '.join(argv)}: exit status {done.returncode}\n{said}")

    return run


def _nothing() -> None:
    """Prepares nothing."""


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4)
    return low, high
