"""How much of a run's budget is left, counted over all its attempts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from orchestrator.config.schema import Config
from orchestrator.engine.work import Work
from orchestrator.model.run import Run, RunProgress, Usage

Number = TypeVar("Number", int, float)

UNLIMITED = float("inf")
MORE = {
    "time": "more time",
    "cost": "more money",
    "tokens": "more tokens",
    "turns": "more turns",
}
"""What a run waits for whose budget is used up, by the part of it; resuming grants as much again."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may use, or what is left of it; infinite where nothing limits it."""

    time_s: float = UNLIMITED
    cost_usd: float = UNLIMITED
    tokens: float = UNLIMITED
    turns: float = UNLIMITED

    def used_up(self) -> str | None:
        """Returns the part of which nothing is left (a key of `MORE`), None while there is some of each."""
        left = {"time": self.time_s, "cost": self.cost_usd, "tokens": self.tokens, "turns": self.turns}
        return next((part for part, rest in left.items() if rest <= 0), None)

    def less(self, usage: Usage) -> Budget:
        """Returns what is left after this; what was not metered takes nothing."""
        return Budget(
            time_s=max(0.0, self.time_s - usage.wall_s),
            cost_usd=max(0.0, self.cost_usd - (usage.cost_usd or 0.0)),
            tokens=max(0.0, self.tokens - (usage.input_tokens or 0) - (usage.output_tokens or 0)),
            turns=max(0.0, self.turns - (usage.turns or 0)),
        )


def remaining(work: Work) -> Budget:
    """Returns what agents may still use in this run."""
    run = work.run
    left = allowed(run, work.config).less(run.metadata.progress.planning)
    for execution in work.context.state.get_executions(work.run_id):
        left = left.less(execution.progress.usage)
    return left


def allowed(run: Run, config: Config) -> Budget:
    """Returns the whole budget of a run: what was typed, else configured, and what was granted since."""
    options, granted, budget = run.metadata.options, run.metadata.progress, config.budget
    return Budget(
        time_s=_sum(options.max_time_s, granted.extra_time_s),
        cost_usd=_sum(_first(options.max_cost_usd, budget.max_cost_usd), granted.extra_cost_usd),
        tokens=_sum(budget.max_tokens, granted.extra_tokens),
        turns=_sum(_first(options.max_turns, budget.max_turns), granted.extra_turns),
    )


def grant_again(run: Run, config: Config) -> RunProgress:
    """Returns the progress of a run that waits for more of its budget, with as much again added to it."""
    progress, options, budget = run.metadata.progress, run.metadata.options, config.budget
    part = next((part for part, wish in MORE.items() if wish == progress.waiting_for), None)
    match part:
        case "time":
            return replace(progress, extra_time_s=progress.extra_time_s + (options.max_time_s or 0.0))
        case "cost":
            cost = _first(options.max_cost_usd, budget.max_cost_usd) or 0.0
            return replace(progress, extra_cost_usd=progress.extra_cost_usd + cost)
        case "tokens":
            return replace(progress, extra_tokens=progress.extra_tokens + (budget.max_tokens or 0))
        case "turns":
            turns = _first(options.max_turns, budget.max_turns) or 0
            return replace(progress, extra_turns=progress.extra_turns + turns)
        case _:
            return progress


def _first(typed: Number | None, configured: Number | None) -> Number | None:
    return configured if typed is None else typed


def _sum(limit: float | None, extra: float) -> float:
    return UNLIMITED if limit is None else limit + extra
