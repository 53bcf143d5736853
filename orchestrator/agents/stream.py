"""What a parser of an agent's machine-readable output is, and what all of them need.

A parser is told one JSON object after the other and tells what happened; it judges nothing. What it has
learned of the turn as a whole it writes into its `Account`, from which `outcome` concludes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.agents.text import brief, plain
from orchestrator.model.agent import AgentEvent, Cause, Opened, Said, Spent, ToolState, UsedTool
from orchestrator.model.json import Json, JsonObject
from orchestrator.model.run import Usage

MAX_ANSWER = 1 << 20
MAX_SAID = 16_000
MAX_WORDS = 500
_MAX_CALLS = 1000
_MAX_DENIED = 10
_MAX_COUNT = 2**53


@dataclass(slots=True)
class Account:
    """What an agent has told of its turn so far.

    `is_complete`: it told its proper end. `failure` is the error it ended with, `status` the HTTP status that
    came with it; `trouble` the last error that need not be the end. `limit` names a limit of ours that it
    reached, `denied` the tools that it was not allowed. `usage` None: it has told none; `has_called`: it told
    that its model was called, though not with how many tokens; `turns` are the answers of the model where
    they are told apart from tokens. `cause` is that of the failure, where it is known from more than words.
    """

    agent_session: str = ""
    model: str = ""
    answer: str = ""
    usage: Usage | None = None
    is_complete: bool = False
    failure: str = ""
    status: int | None = None
    trouble: str = ""
    limit: str = ""
    has_called: bool = False
    turns: int | None = None
    cause: Cause = Cause.OTHER
    denied: list[str] = field(default_factory=list)
    _calls: dict[str, str] = field(default_factory=dict)

    def open(self, agent_session: str, model: str = "") -> list[AgentEvent]:
        """Returns `Opened` the first time that the agent's session is known."""
        self.model = self.model or plain(model, 200)
        if self.agent_session or not agent_session:
            return []
        self.agent_session = plain(agent_session, 200)
        return [Opened(self.agent_session, self.model)]

    def say(self, text: str) -> list[AgentEvent]:
        """Returns `Said`, and remembers the text as the answer so far."""
        if not text.strip():
            return []
        self.answer = plain(text, MAX_ANSWER).strip()
        return [Said(plain(text, MAX_SAID).strip())]

    def begin(self, call: str, tool: str, detail: JsonObject) -> list[AgentEvent]:
        """Returns the start of a tool's use, and remembers whose call it is."""
        if len(self._calls) >= _MAX_CALLS:
            self._calls.pop(next(iter(self._calls)))
        self._calls[plain(call, 200)] = plain(tool, 200)
        return [UsedTool(plain(tool, 200), brief(detail), ToolState.STARTED, plain(call, 200))]

    def tool_of(self, call: str) -> str:
        """Returns the tool of a call that has begun, empty when it is not known."""
        return self._calls.get(plain(call, 200), "")

    def end(
        self, call: str, state: ToolState, detail: JsonObject, *, tool: str = "", what: str = ""
    ) -> list[AgentEvent]:
        """Returns the end of a tool's use; a denial is remembered, with `what` was denied."""
        name = self._calls.pop(plain(call, 200), "") or plain(tool, 200) or "tool"
        if state is ToolState.DENIED and len(self.denied) < _MAX_DENIED:
            self.denied.append(f"{name}: {plain(what, 200)}" if what else name)
        return [UsedTool(name, brief(detail), state, plain(call, 200))]

    def spend(self, usage: Usage) -> list[AgentEvent]:
        """Returns `Spent`; zero tokens at no cost are no usage at all."""
        if not (usage.input_tokens or usage.output_tokens or usage.cost_usd):
            return []
        self.usage = usage
        return [Spent(usage, self.model)]

    def fail(self, words: str, status: int | None = None, cause: Cause = Cause.OTHER) -> None:
        """Remembers the error that the turn ended with."""
        self.failure = " ".join(plain(words, MAX_WORDS).split()) or "it told no reason"
        self.status = status if status is not None else self.status
        self.cause = cause


class StreamParser(Protocol):
    """Understands the output of one agent; made anew for each turn."""

    @property
    def account(self) -> Account:
        """Returns what it has learned of the turn as a whole."""
        ...

    def read(self, message: JsonObject) -> Sequence[AgentEvent]:
        """Returns the events that one JSON object tells; what it does not know it passes over."""
        ...

    def close(self) -> Sequence[AgentEvent]:
        """Returns what it still held back when the stream ended."""
        ...


def value_at(message: Json, *path: str) -> Json:
    """Returns the value at a path of keys, None where there is none."""
    for key in path:
        if not isinstance(message, dict):
            return None
        message = message.get(key)
    return message


def text_at(message: Json, *path: str) -> str:
    """Returns the text at a path of keys, empty where there is none."""
    value = value_at(message, *path)
    return value if isinstance(value, str) else ""


def object_at(message: Json, *path: str) -> JsonObject:
    """Returns the object at a path of keys, empty where there is none."""
    value = value_at(message, *path)
    return value if isinstance(value, dict) else {}


def objects_at(message: Json, *path: str) -> list[JsonObject]:
    """Returns the objects in the list at a path of keys."""
    value = value_at(message, *path)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def count_at(message: Json, *path: str) -> int | None:
    """Returns the number of things at a path of keys, None where there is no sensible one."""
    value = value_at(message, *path)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # mypy does not see through `is_number` that it is one.
    return int(value) if is_number and 0 <= value < _MAX_COUNT else None  # type: ignore[operator, arg-type]


def money_at(message: Json, *path: str) -> float | None:
    """Returns the amount of money at a path of keys, None where there is no sensible one."""
    value = value_at(message, *path)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # mypy does not see through `is_number` that it is one.
    return float(value) if is_number and 0 <= value < 1e9 else None  # type: ignore[operator, arg-type]


def total(*counts: int | None) -> int | None:
    """Returns the sum of what was counted, None where nothing was."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
