"""How a turn of a program ended, from all that is known of it: what the agent said is the least of it.

Source: facts/agents.md section 5: killed by us > failed > denied > finished, which the tree and the checks
judge further.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.agents.causes import cause_of
from orchestrator.agents.stream import MAX_WORDS, Account
from orchestrator.model.agent import Cause, Ending
from orchestrator.process.command import Ended

_LOST = re.compile(
    r"(no|unknown|invalid|cannot find|not find|unable to find)\b.{0,40}"
    r"\b(session|conversation|rollout|thread)"
    r"|\b(session|conversation|rollout|thread)\b.{0,80}(not found|does not exist|no longer|not exist)",
    re.IGNORECASE,
)
_BY_STATUS = {401: Cause.CREDENTIAL, 402: Cause.QUOTA, 429: Cause.QUOTA}
_OURS = {"cancelled": Ending.CANCELLED, "deadline": Ending.DEADLINE, "idle": Ending.IDLE}
_STOPPED = {
    Ending.CANCELLED: "stopped on request",
    Ending.DEADLINE: "stopped because its time was over",
    Ending.IDLE: "stopped because it was silent for too long",
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an exit status of a tool means; `is_limit`: a limit was reached, which is no failure."""

    words: str
    cause: Cause = Cause.OTHER
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What is known of a tool beforehand.

    `meanings` by exit status. `denials` is a pattern for what it tells of a denial on stderr alone; its group
    is what was denied. `tells_end`: its stream has a proper end, without which a turn is no success.
    `is_metered`: it tells its usage after every turn that reached a model.
    """

    meanings: Mapping[int, Meaning] = field(default_factory=dict)
    denials: str = ""
    tells_end: bool = False
    is_metered: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when everything has ended.

    `account` is what its stream told, `last_line` the last that it printed for people and `errors` the end of
    its stderr; `continued` is the session that it was asked to go on with.
    """

    ended: Ended
    account: Account
    last_line: str = ""
    errors: str = ""
    continued: str = ""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """An ending, its reason, and the cause where it is a failure."""

    ending: Ending
    detail: str = ""
    cause: Cause = Cause.OTHER


def conclude(facts: Facts, rules: Rules) -> Conclusion:
    """Returns the first that holds: killed by us, limit, failed, denied, finished."""
    found = _killed(facts) or _limited(facts, rules) or _failed(facts, rules) or _denied(facts, rules)
    return found or _doubtful(facts, rules) or Conclusion(Ending.FINISHED)


def _killed(facts: Facts) -> Conclusion | None:
    """A status of 0 after our own signal is no success either (gemini 0.61.0)."""
    ending = _OURS.get(facts.ended.cause)
    if ending is None:
        return None
    trouble = facts.account.trouble if ending is not Ending.CANCELLED else ""
    words = facts.ended.detail or _STOPPED[ending]
    return Conclusion(ending, f"{words}: {trouble}" if trouble else words, cause_of(trouble))


def _limited(facts: Facts, rules: Rules) -> Conclusion | None:
    meaning = rules.meanings.get(facts.ended.exit_status or 0)
    by_status = meaning.words if meaning is not None and meaning.is_limit else ""
    words = facts.account.limit or by_status
    return Conclusion(Ending.LIMIT, words) if words else None


def _failed(facts: Facts, rules: Rules) -> Conclusion | None:
    ended, account = facts.ended, facts.account
    if ended.cause == "not-started":
        return Conclusion(Ending.FAILED, ended.detail or "it could not be started")
    if ended.exit_status == 0 and not account.failure:
        return None
    said = account.failure or account.trouble or facts.last_line[:MAX_WORDS]
    if ended.exit_status == 0:
        return Conclusion(Ending.FAILED, said, _cause(facts, Cause.OTHER))
    meaning = rules.meanings.get(ended.exit_status or 0)
    how = f"exit status {ended.exit_status}" if ended.exit_status else f"killed by signal {ended.signal}"
    how += f" ({meaning.words})" if meaning else ""
    known = meaning.cause if meaning else Cause.OTHER
    return Conclusion(Ending.FAILED, f"{how}: {said}" if said else how, _cause(facts, known))


def _cause(facts: Facts, known: Cause) -> Cause:
    words = " ".join((facts.account.failure, facts.account.trouble, facts.errors))
    if facts.account.cause is not Cause.OTHER:
        return facts.account.cause
    if facts.continued and _LOST.search(words):
        return Cause.SESSION_LOST
    by_status = _BY_STATUS.get(facts.account.status or 0, Cause.OTHER)
    return next((cause for cause in (known, by_status) if cause is not Cause.OTHER), cause_of(words))


def _denied(facts: Facts, rules: Rules) -> Conclusion | None:
    complained = re.findall(rules.denials, facts.errors) if rules.denials else ()
    denied = (*facts.account.denied, *complained)
    if not denied:
        return None
    return Conclusion(Ending.DENIED, f"it was not allowed {', '.join(denied)}"[:MAX_WORDS])


def _doubtful(facts: Facts, rules: Rules) -> Conclusion | None:
    """Returns why a turn that ended as if all were well was no success."""
    account = facts.account
    if facts.continued and account.agent_session not in ("", facts.continued):
        words = "it began a session of its own instead of going on with the one it was asked to"
        return Conclusion(Ending.FAILED, words, Cause.SESSION_LOST)
    if rules.tells_end and not account.is_complete:
        said = f": {facts.last_line[:MAX_WORDS]}" if facts.last_line else ""
        return Conclusion(Ending.FAILED, f"it ended without telling its result{said}", Cause.PROTOCOL)
    if rules.is_metered and account.usage is None and not account.has_called:
        said = f": {' '.join(account.answer.split())[:MAX_WORDS]}" if account.answer else ""
        words = "it ended as if all were well, but used no tokens, so its model was not reached"
        return Conclusion(Ending.FAILED, words + said, cause_of(account.answer))
    return None
