"""How each case must end, and where a real agent lets us see less than that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.agent import Cause, Ending

VIAS = ("headless", "acp")


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
    "limit": End(Ending.DEADLINE),
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

UNUSUAL: Mapping[tuple[str, str, str], End] = {}


def expected(agent: str, via: str, case: str) -> End:
    """Returns how a case must end for this agent, driven this way."""
    return UNUSUAL.get((agent, via, case), USUAL[case])
