"""How a turn ended, from all that is known of it: what the agent said is the least of it.

Source: facts/agents.md section 5: killed by us > failed > denied > finished, which the tree and the checks
judge further. No usage where an agent always tells it means that its model was never reached (HTTP 429 with
codex-acp 2.6.0 and copilot 1.0.102 ends as `end_turn` with the error as text).
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.agents.acp.failure import cause_of
from orchestrator.agents.acp.told import Told
from orchestrator.model.agent import Cause, Ending
from orchestrator.process.command import Ended

_STOPS = {
    "refusal": "the model refused to go on",
    "max_tokens": "its answer was cut off at the token limit of its model",
    "cancelled": "it ended the turn as cancelled, which nobody had asked for",
}
_KILLED = {"deadline": Ending.DEADLINE, "idle": Ending.IDLE}
_MAX_WORDS = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when everything has ended.

    `cancelled`: we asked for the end before the agent had come to its own. `limit` tells which limit it
    reached, `refused` what it was not allowed; `last_error` is the last line on its stderr.
    """

    told: Told
    ended: Ended
    cancelled: bool
    limit: str
    refused: str
    answer: str
    last_error: str
    always_metered: bool


@dataclass(frozen=True, slots=True)
class Conclusion:
    """An ending, its reason, and the cause where it is a failure."""

    ending: Ending
    detail: str = ""
    cause: Cause = Cause.OTHER


def conclude(facts: Facts) -> Conclusion:
    """Returns the first that holds: killed by us, failed, denied, finished."""
    return _killed(facts) or _failed(facts) or _denied(facts) or _unmetered(facts) or _finished()


def _killed(facts: Facts) -> Conclusion | None:
    if facts.cancelled:
        return Conclusion(Ending.CANCELLED, "stopped on request")
    if facts.limit:
        return Conclusion(Ending.LIMIT, facts.limit)
    ending = _KILLED.get(facts.ended.cause)
    if ending is not None and not (facts.told.stop or facts.told.problem):
        return Conclusion(ending, facts.ended.detail)
    return None


def _failed(facts: Facts) -> Conclusion | None:
    told = facts.told
    if told.problem and not told.lost:
        return Conclusion(Ending.FAILED, told.problem, told.cause)
    if not told.stop:
        return _lost(facts)
    if told.stop == "max_turn_requests":
        return Conclusion(Ending.LIMIT, "it reached its own limit of requests to its model")
    if told.stop in _STOPS and not (told.stop == "cancelled" and facts.refused):
        return Conclusion(Ending.FAILED, _STOPS[told.stop])
    return None


def _lost(facts: Facts) -> Conclusion:
    ended, said = facts.ended, facts.last_error[:_MAX_WORDS]
    if ended.cause == "not-started":
        return Conclusion(Ending.FAILED, ended.detail or "it could not be started")
    how = "its output ended"
    if ended.exit_status is not None:
        how = f"exit status {ended.exit_status}"
    elif ended.cause == "exited":
        how = f"killed by signal {ended.signal}"
    cause = cause_of(said)
    if cause is Cause.OTHER and ended.cause == "exited" and ended.exit_status == 0:
        cause = Cause.PROTOCOL
    return Conclusion(Ending.FAILED, f"{how} before the turn was over" + (f": {said}" if said else ""), cause)


def _denied(facts: Facts) -> Conclusion | None:
    if not facts.refused:
        return None
    return Conclusion(Ending.DENIED, f"it was not allowed: {facts.refused}"[:_MAX_WORDS])


def _unmetered(facts: Facts) -> Conclusion | None:
    if facts.told.metered or not facts.always_metered:
        return None
    said = f": {facts.answer[:_MAX_WORDS]}" if facts.answer else ""
    sentence = "it ended as if all were well, but used no tokens, so its model was not reached"
    return Conclusion(Ending.FAILED, sentence + said, cause_of(facts.answer))


def _finished() -> Conclusion:
    return Conclusion(Ending.FINISHED)
