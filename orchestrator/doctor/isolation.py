"""Carries out one check for itself: it can neither stop, delay nor change another.

Standard library only, for the front door.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, start_new_thread  # `threading` imports functools and collections

from orchestrator.doctor.diagnosis import Answer, Diagnosis, fail, skip
from orchestrator.errors import OrchestratorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.doctor.diagnosis import Check

TIME_LIMIT_S = 20.0


class LookCloser(Exception):
    """What was met can be judged by the full `Context` alone; nothing was said about it yet."""


def answered(check: Check, look: Callable[[], Diagnosis], *, time_limit_s: float = TIME_LIMIT_S) -> Answer:
    """Returns the answer of a check, never raising for what it meets.

    What cannot be looked at is a `skip` with the reason; a check that breaks, or takes longer than
    `time_limit_s`, is a `fail` of its own.

    Raises:
        LookCloser: the check raised it.
    """
    found: list[Diagnosis | LookCloser] = []
    done = allocate_lock()
    done.acquire()

    def carry_out() -> None:
        found.append(_carried_out(check, look))
        done.release()

    # A thread, because nothing else can be left behind: a file system that hangs holds its caller for ever.
    _start(carry_out)
    if not done.acquire(timeout=time_limit_s):
        return Answer(check, _given_up(check, time_limit_s))
    if isinstance(found[0], LookCloser):
        raise found[0]
    return Answer(check, found[0])


def _start(work: Callable[[], None]) -> None:
    threading = sys.modules.get("threading")
    if threading is None:
        start_new_thread(work, ())
    else:  # it costs nothing any more, and what watches threads (coverage, debuggers) knows of its own alone
        threading.Thread(target=work, daemon=True).start()


def _given_up(check: Check, time_limit_s: float) -> Diagnosis:
    return fail(
        f"{check.summary}: no answer within {time_limit_s:g} s.",
        f"See what hangs, then: orchestrator doctor --only {check.id}",
    )


def _carried_out(check: Check, look: Callable[[], Diagnosis]) -> Diagnosis | LookCloser:
    try:
        return look()
    except LookCloser as unusual:
        return unusual
    except OrchestratorError as error:
        return skip(f"Not looked at: {error.message}")
    except OSError as error:
        return skip(f"Not looked at: {error.strerror or error}")
    except Exception as error:  # a check that breaks must not take the others with it
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        return fail(f"{check.summary}: the check itself failed.", "Please report it.", (reason,))
