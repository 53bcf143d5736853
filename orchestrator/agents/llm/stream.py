"""Understands what the worker tells."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from orchestrator.agents.stream import Account, count_at, money_at, object_at, text_at
from orchestrator.agents.text import brief, plain
from orchestrator.model.agent import AgentEvent, AskedPermission, Requested, ToolState, WrittenFile
from orchestrator.model.json import JsonObject
from orchestrator.model.run import Usage


class WorkerStream:
    """Implements `StreamParser`.

    `wrote` are the files that were taken from an answer; `messages` those of the conversation that nobody
    has kept yet.
    """

    def __init__(self) -> None:
        self.account = Account()
        self.wrote: list[WrittenFile] = []
        self.messages: deque[JsonObject] = deque()

    def read(self, message: JsonObject) -> list[AgentEvent]:
        """Returns the events of one message."""
        account = self.account
        match text_at(message, "type"):
            case "opened":
                return account.open(text_at(message, "session"), text_at(message, "model"))
            case "said":
                return account.say(text_at(message, "text"))
            case "tool":
                return self._tool(message)
            case "permission":
                asked, detail = plain(text_at(message, "tool"), 200), brief(object_at(message, "detail"))
                return [AskedPermission(asked, detail, message.get("granted") is True)]
            case "spent":
                return account.spend(_usage(message))
            case "request":
                return [_requested(message)]
            case kind:
                self._note(kind, message)
                return []

    def _note(self, kind: str, message: JsonObject) -> None:
        account = self.account
        match kind:
            case "message":
                self.messages.append(object_at(message, "message"))
            case "wrote":
                path, sha256 = text_at(message, "path"), text_at(message, "sha256")
                self.wrote.append(WrittenFile(path, sha256, count_at(message, "size_bytes") or 0))
            case "limit":
                account.limit = text_at(message, "message")
            case "error":
                account.fail(text_at(message, "message"), count_at(message, "status"))
            case "done":
                account.is_complete = True
                account.has_called = account.has_called or message.get("cached") is True

    def close(self) -> list[AgentEvent]:
        """Returns nothing: every message is whole."""
        return []

    def _tool(self, message: JsonObject) -> list[AgentEvent]:
        call, tool, detail = text_at(message, "call"), text_at(message, "tool"), object_at(message, "detail")
        state = ToolState(text_at(message, "state"))
        if state is ToolState.STARTED:
            return self.account.begin(call, tool, detail)
        what = text_at(detail, "path") or text_at(detail, "command")
        return self.account.end(call, state, detail, tool=tool, what=what)


def _usage(message: JsonObject) -> Usage:
    return replace(
        Usage(),
        input_tokens=count_at(message, "input_tokens"),
        output_tokens=count_at(message, "output_tokens"),
        cached_tokens=count_at(message, "cached_tokens"),
        cost_usd=money_at(message, "cost_usd"),
        turns=count_at(message, "turns"),
    )


def _requested(message: JsonObject) -> Requested:
    return Requested(
        plain(text_at(message, "host"), 255),
        plain(text_at(message, "method"), 20),
        count_at(message, "status"),
        count_at(message, "size_bytes") or 0,
    )
