"""Carries out checks, each for itself: none can stop, delay or change the others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Answer, Check
from orchestrator.doctor.isolation import TIME_LIMIT_S, answered
from orchestrator.errors import Refused


def chosen(*, quick: bool = False, only: str | None = None) -> tuple[Check, ...]:
    """Returns the checks to carry out; `only` is the id of one, or the name of a group.

    Raises:
        Refused: `check-unknown`, with the nearest name.
    """
    if only is None:
        return tuple(check for check in CHECKS if check.quick or not quick)
    found = tuple(check for check in CHECKS if only in (check.id, check.group))
    if found:
        return found
    import difflib

    known = sorted({check.id for check in CHECKS} | {check.group for check in CHECKS})
    close = difflib.get_close_matches(only, known, n=1, cutoff=0.4)
    hint = f"Did you mean: orchestrator doctor --only {close[0]}" if close else f"Known: {', '.join(known)}"
    raise Refused(f"There is no check {only!r}.", code="check-unknown", hint=hint)


def examine(
    context: Context, checks: Sequence[Check] = CHECKS, *, time_limit_s: float = TIME_LIMIT_S
) -> tuple[Answer, ...]:
    """Returns the answer of every check, in their order; never raises for what a check meets."""
    return tuple(
        answered(check, partial(check.probe, context), time_limit_s=time_limit_s) for check in checks
    )
