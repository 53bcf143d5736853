"""Decides what follows from an attempt: a pure function, so that every case can be listed in a table."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model.verdict import Decision, Verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an attempt when it is judged.

    `over` has one sentence for each threshold exceeded, `broken` one for each check that gave no answer;
    `agent_failure` says how the agent failed (it can veto, never approve); `retries` counts the attempts
    already repeated on a verdict; `can_learn` is False when another attempt would do the same again;
    `out_of` names the part of the run's budget that is used up; `hopeless` tells that nothing but a person
    can make another attempt end otherwise, as without a key.
    """

    over: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    agent_failure: str | None = None
    retries: int = 0
    max_retries: int = 0
    can_learn: bool = True
    out_of: str | None = None
    hopeless: bool = False


def reach_verdict(evidence: Evidence) -> Verdict:
    """Returns proceed when nothing objects, else retry, ask (no budget left) or abort, with the reasons."""
    objections = evidence.over + evidence.broken
    if evidence.agent_failure is not None:
        objections = (evidence.agent_failure, *objections)
    if not objections:
        return Verdict(Decision.PROCEED, ("Nothing stands against it.",))
    if evidence.hopeless:
        return Verdict(Decision.ABORT, objections)
    if evidence.out_of is not None:
        return Verdict(Decision.ASK, (*objections, f"The {evidence.out_of} allowed for this run is used up."))
    if not evidence.can_learn:
        reason = "The agent takes no prompt and changed nothing, so another attempt would end the same."
        return Verdict(Decision.ABORT, (*objections, reason))
    if evidence.retries >= evidence.max_retries:
        return Verdict(Decision.ABORT, (*objections, f"No retry is left of {evidence.max_retries}."))
    return Verdict(Decision.RETRY, objections)
