"""When a run's state should be saved elsewhere; who saves it, and where, the engine does not know."""

from __future__ import annotations

from enum import StrEnum


class PersistReason(StrEnum):
    """What has just happened to a run, or is about to.

    `AGENT_STARTS` and `AGENT_ENDED` enclose the time in which an agent changes the tree: only then may it be
    checkpointed from beside the engine, and when the call with `AGENT_ENDED` returns nobody does any more.
    At `INTEGRATES` the result is about to reach the user's branch, at `STOPS` the process is about to end.
    """

    RESUMED = "resumed"
    AGENT_STARTS = "agent starts"
    AGENT_ENDED = "agent ended"
    STEP_ENDED = "step ended"
    PHASE_ENDED = "phase ended"
    INTEGRATES = "about to integrate"
    RESTS = "rests"
    EXPORTED = "exported"
    STOPS = "stopped"
    TIMER = "in between"


def persists_nothing(reason: PersistReason) -> None:
    """Saves nothing: for runs that stay on this machine."""
