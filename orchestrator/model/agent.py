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
    `continues` is the agent's own session to go on with (empty: a new one; one that the agent does not know
    any more is told by a failed turn). `max_turns` and `max_cost_usd` are handed to agents that can keep such
    limits themselves; the engine watches over them in any case. `home` is the directory for the agent's own
    state when it is contained (empty: the user's places).
    """

    prompt: str
    transcript: str
    marker: str
    timeout_s: float
    idle_timeout_s: float
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    added: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    continues: str = ""
    max_turns: int | None = None
    max_cost_usd: float | None = None
    home: str = ""


class Health(StrEnum):
    """What a free, offline look at an agent found."""

    READY = "ready"
    MISSING = "missing"
    BROKEN = "broken"


class Login(StrEnum):
    """How an agent would prove to its service who asks, as far as variables and files tell."""

    KEY = "key"
    LOGIN = "login"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """Whether an agent can be started, where it is, and which version it says it is.

    `range` are the versions that we have tried (PEP 440), `tested` whether it is one of them; None where
    there is no such range, or its version cannot be read. `log_in` is the command that logs in.
    """

    health: Health
    path: str = ""
    version: str = ""
    detail: str = ""
    tested: bool | None = None
    range: str = ""
    login: Login = Login.UNKNOWN
    log_in: str = ""


class Ending(StrEnum):
    """How a turn ended, in order of precedence. Source: facts/agents.md section 5.

    The first five are our doing, or limits that we handed to the agent.
    """

    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    IDLE = "idle"
    STUCK = "stuck"
    LIMIT = "limit"
    FAILED = "failed"
    DENIED = "denied"
    FINISHED = "finished"


class Cause(StrEnum):
    """Why a turn failed, where what follows differs; `other` says nothing more than that it failed."""

    OTHER = "other"
    CREDENTIAL = "credential"
    QUOTA = "quota"
    NETWORK = "network"
    SESSION_LOST = "session lost"
    PROTOCOL = "protocol"


class ToolState(StrEnum):
    """How far the use of a tool has come; an agent that tells one thing only tells `completed`."""

    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Started:
    """The agent's process exists; `process` is (pid, start time in clock ticks), (0, 0) if it needs none."""

    process: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Opened:
    """The agent told the id of its own session, by which a later turn can go on with it, and its model."""

    agent_session: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """Text for a person."""

    text: str


@dataclass(frozen=True, slots=True)
class UsedTool:
    """The agent used one of its tools; `call` tells its uses apart where the agent numbers them."""

    tool: str
    detail: JsonObject
    state: ToolState = ToolState.COMPLETED
    call: str = ""


@dataclass(frozen=True, slots=True)
class AskedPermission:
    """The agent asked whether it may use a tool, and was answered."""

    tool: str
    detail: JsonObject
    granted: bool


@dataclass(frozen=True, slots=True)
class Spent:
    """What the turn has consumed so far, in all its calls; `model` is empty where the agent does not say."""

    usage: Usage
    model: str = ""


@dataclass(frozen=True, slots=True)
class Requested:
    """We ourselves asked a host over the network; `status` is None where no answer came.

    `size_bytes` is what went out and what came in; what it was is told nowhere.
    """

    host: str
    method: str
    status: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that was taken from an answer and written into the tree; `path` is relative to its root."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Always the last event of a turn; `exit_status` is None when the process was killed by us.

    `usage` is the whole turn's. `answer` is the agent's last text, whole up to 1 MiB. `cause` is told when
    the turn failed. `agent_session` is empty when it has none. `wrote` are the files that we took from the
    answer of an agent which cannot write them itself.
    """

    ending: Ending
    exit_status: int | None
    detail: str
    usage: Usage
    answer: str = ""
    cause: Cause = Cause.OTHER
    agent_session: str = ""
    model: str = ""
    wrote: tuple[WrittenFile, ...] = ()


AgentEvent = Started | Opened | Said | UsedTool | AskedPermission | Spent | Requested | Finished
