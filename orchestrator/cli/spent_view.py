"""What agents consumed, step by step, and together. Standard library only, for the front door."""

from __future__ import annotations

from orchestrator.cli.screen import Screen
from orchestrator.cli.table import columns
from orchestrator.cli.terminal import Styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.model.json import Json
    from orchestrator.state.peek import StepUsage

_TITLES = ("PHASE, ATTEMPT.ROUND.STEP", "AGENT", "MODEL", "TURNS", "TOKENS IN", "OUT", "COST")


def show_spent(screen: Screen, steps: list[StepUsage]) -> None:
    """Prints a table of what each step of a run consumed; nothing without any."""
    if not steps:
        return
    rows: list[tuple[str | Styled, ...]] = [_TITLES, *map(_row, steps)]
    if len(steps) > 1:
        rows.append(_together(steps))
    screen.out("")
    for parts in columns(rows):
        screen.out(*parts)


def spent_fields(step: StepUsage) -> dict[str, Json]:
    """Returns what a step consumed for `--json`."""
    return {
        "phase": step["phase"],
        "attempt": step["attempt"],
        "step": step["step"],
        "round": step["round"],
        "agent": step["agent"],
        "model": step["model"],
        "turns": step["turns"],
        "input_tokens": step["input_tokens"],
        "output_tokens": step["output_tokens"],
        "cost_usd": step["cost_usd"],
    }


def _row(step: StepUsage) -> tuple[str | Styled, ...]:
    place = f"{step['phase']} {step['attempt']}.{step['round']}.{step['step']}"
    metered = any(step[name] is not None for name in ("input_tokens", "output_tokens", "cost_usd"))
    return (
        place,
        step["agent"],
        step["model"] or "-",
        _whole(step["turns"]),
        _whole(step["input_tokens"]) if metered else "unmetered",
        _whole(step["output_tokens"]),
        _cost(step["cost_usd"]),
    )


def _together(steps: list[StepUsage]) -> tuple[str | Styled, ...]:
    turns, tokens_in, tokens_out = (
        _sum([step[name] for step in steps]) for name in ("turns", "input_tokens", "output_tokens")
    )
    costs = [step["cost_usd"] for step in steps if step["cost_usd"] is not None]
    cost = _cost(sum(costs) if costs else None)
    return ("together", "", "", _whole(turns), _whole(tokens_in), _whole(tokens_out), cost)


def _sum(values: list[int | None]) -> int | None:
    told = [value for value in values if value is not None]
    return sum(told) if told else None


def _whole(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _cost(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f} USD"
