"""What an agent is asked, and what it reports while it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.model.json import JsonObject
from orchestrator.model.run import Usage


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One turn for an agent.

    `transcript` is the path of the file that receives its raw output; `marker` identifies its processes
    (environment variable ORCHESTRATOR_EXECUTION) so that leftovers can be found after a crash.
    `environment` holds the caller's variables, of which an agent gets those that it is named to get;
    `secrets` are the values that it gets for the names it lists, and are kept nowhere.
    """

    prompt: str
    transcript: str
    marker: str
    timeout_s: float
    idle_timeout_s: float
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    added: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


class Health(StrEnum):
    """What a free, offline look at an agent found."""

    READY = "ready"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """Whether an agent can be started, where it is, and which version it says it is."""

    health: Health
    path: str = ""
    version: str = ""
    detail: str = ""


class Ending(StrEnum):
    """How a turn ended, in order of precedence. Source: facts/agents.md section 5."""

    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    IDLE = "idle"
    FAILED = "failed"
    DENIED = "denied"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Started:
    """The agent's process exists; `process` is (pid, start time in clock ticks)."""

    process: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Said:
    """Text for a person."""

    text: str


@dataclass(frozen=True, slots=True)
class UsedTool:
    """The agent used one of its tools."""

    tool: str
    detail: JsonObject


@dataclass(frozen=True, slots=True)
class Spent:
    """What the turn has consumed so far."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Finished:
    """Always the last event of a turn; `exit_status` is None when the process was killed by us."""

    ending: Ending
    exit_status: int | None
    detail: str
    usage: Usage


AgentEvent = Started | Said | UsedTool | Spent | Finished
