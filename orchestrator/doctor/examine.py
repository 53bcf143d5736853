"""Carries out checks, each for itself: none can stop, delay or change the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, Status, fail, skip
from orchestrator.errors import OrchestratorError, Refused

TIME_LIMIT_S = 20.0

_ORDER = (Status.SKIP, Status.OK, Status.WARN, Status.FAIL)


@dataclass(frozen=True, slots=True)
class Answer:
    """A check and what it found."""

    check: Check
    diagnosis: Diagnosis


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
    """Returns the answer of every check, in their order; never raises for what a check meets.

    What cannot be looked at is a `skip` with the reason; a check that breaks, or takes longer than
    `time_limit_s`, is a `fail` of its own.
    """
    return tuple(Answer(check, _limited(context, check, time_limit_s)) for check in checks)


def worst(answers: Sequence[Answer]) -> Status:
    """Returns the worst status: `fail`, `warn` or `ok`; skipped checks do not count."""
    found = max((answer.diagnosis.status for answer in answers), key=_ORDER.index, default=Status.OK)
    return Status.OK if found is Status.SKIP else found


def _limited(context: Context, check: Check, time_limit_s: float) -> Diagnosis:
    answers: list[Diagnosis] = []
    # A thread, because nothing else can be left behind: a file system that hangs holds its caller for ever.
    thread = threading.Thread(target=lambda: answers.append(_carried_out(context, check)), daemon=True)
    thread.start()
    thread.join(time_limit_s)
    if answers:
        return answers[0]
    return fail(
        f"{check.summary}: no answer within {time_limit_s:g} s.",
        f"See what hangs, then: orchestrator doctor --only {check.id}",
    )


def _carried_out(context: Context, check: Check) -> Diagnosis:
    try:
        return check.probe(context)
    except OrchestratorError as error:
        return skip(f"Not looked at: {error.message}")
    except OSError as error:
        return skip(f"Not looked at: {error.strerror or error}")
    except Exception as error:  # a check that breaks must not take the others with it
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        return fail(f"{check.summary}: the check itself failed.", "Please report it.", (reason,))
