"""How each case must end, and where a real agent lets us see less than that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.agent import Cause, Ending
from tests.real.agents import Via

VIAS: tuple[Via, ...] = ("headless", "acp")


@dataclass(frozen=True, slots=True)
class End:
    """An ending with its cause; `why` tells what the agent does where that is not the usual one."""

    ending: Ending
    cause: Cause = Cause.OTHER
    why: str = ""


USUAL: Mapping[str, End] = {
    "write": End(Ending.FINISHED),
    "refuse": End(Ending.DENIED),
    "resume": End(Ending.FINISHED),
    "unauthorized": End(Ending.FAILED, Cause.CREDENTIAL),
    "too_many_requests": End(Ending.FAILED, Cause.QUOTA),
    "server_error": End(Ending.FAILED),
    "connection_refused": End(Ending.FAILED, Cause.NETWORK),
    "cancel": End(Ending.CANCELLED),
    "kill": End(Ending.FAILED),
    "limit": End(Ending.LIMIT),
}

SHOWN: Mapping[str, str] = {
    "write": "write",
    "refuse": "refuse",
    "resume": "resume",
    "unauthorized": "401",
    "too_many_requests": "429",
    "server_error": "500",
    "connection_refused": "refused connection",
    "cancel": "cancel during a tool",
    "kill": "kill during a tool",
    "limit": "limit",
}

RUNS: Mapping[str, str] = {
    "thorough": "The workflow `thorough` with codex, copilot, gemini and claude, its owner killed with "
    "SIGKILL while gemini works on the third step, then resumed",
    "budget[codex]": "`run --max-turns 3` with codex, headless, which uses its tools for ever",
    "budget[gemini]": "`run --max-turns 3` with gemini, over ACP, which uses its tools for ever",
}

_RETRIES = "It tries again for ever, so our deadline ends it."
_NO_TURNS = "It can be told no number of turns, so our deadline ends it."
_SILENT = "Its own sandbox refuses, which it tells nobody: the turn is judged by its tree."

UNUSUAL: Mapping[tuple[str, str, str], End] = {
    ("codex", "headless", "connection_refused"): End(Ending.DEADLINE, Cause.NETWORK, _RETRIES),
    ("codex", "acp", "connection_refused"): End(Ending.DEADLINE, Cause.NETWORK, _RETRIES),
    ("opencode", "headless", "connection_refused"): End(Ending.DEADLINE, why=_RETRIES),
    ("opencode", "acp", "connection_refused"): End(Ending.DEADLINE, why=_RETRIES),
    ("codex", "acp", "refuse"): End(Ending.FINISHED, why=_SILENT),
    ("gemini", "acp", "refuse"): End(Ending.FINISHED, why=_SILENT),
    ("codex", "headless", "limit"): End(Ending.DEADLINE, why=_NO_TURNS),
    ("gemini", "headless", "limit"): End(Ending.DEADLINE, why=_NO_TURNS),
    ("copilot", "headless", "limit"): End(Ending.DEADLINE, why=_NO_TURNS),
    ("opencode", "headless", "limit"): End(Ending.DEADLINE, why=_NO_TURNS),
}


def expected(agent: str, via: str, case: str) -> End:
    """Returns how a case must end for this agent, driven this way."""
    return UNUSUAL.get((agent, via, case), USUAL[case])
