"""Understands `codex exec --json`. Source: codex 0.169.0."""

from __future__ import annotations

from orchestrator.agents.stream import Account, count_at, text_at, value_at
from orchestrator.agents.text import plain
from orchestrator.model.agent import AgentEvent, Said, ToolState
from orchestrator.model.json import JsonObject
from orchestrator.model.run import Usage

_TOOLS = {
    "command_execution": ("shell", ("command", "exit_code")),
    "file_change": ("edit", ("changes",)),
    "mcp_tool_call": ("mcp", ("server", "tool", "arguments", "error")),
    "web_search": ("web_search", ("query",)),
}
_STATES = {"failed": ToolState.FAILED, "declined": ToolState.DENIED}


class CodexStream:
    """Implements `StreamParser`. Codex tells no cost, and its model nowhere."""

    def __init__(self) -> None:
        self.account = Account()

    def read(self, message: JsonObject) -> list[AgentEvent]:
        """Returns the events of one message."""
        account = self.account
        match text_at(message, "type"):
            case "thread.started":
                return account.open(text_at(message, "thread_id"))
            case "item.started":
                return self._begun(message)
            case "item.completed":
                return self._ended(message)
            case "turn.completed":
                account.is_complete = True
                return account.spend(_usage(message))
            case "turn.failed":
                account.is_complete = True
                account.fail(text_at(message, "error", "message"))
            case "error":
                account.trouble = plain(text_at(message, "message"), 500)
        return []

    def close(self) -> list[AgentEvent]:
        """Returns nothing: every message is whole."""
        return []

    def _begun(self, message: JsonObject) -> list[AgentEvent]:
        known = _TOOLS.get(text_at(message, "item", "type"))
        if known is None:
            return []
        return self.account.begin(text_at(message, "item", "id"), known[0], _detail(message, known[1]))

    def _ended(self, message: JsonObject) -> list[AgentEvent]:
        kind = text_at(message, "item", "type")
        if kind == "agent_message":
            return self.account.say(text_at(message, "item", "text"))
        if kind == "error":  # such as an unknown model; it goes on
            return [Said(plain(text_at(message, "item", "message"), 500))]
        known = _TOOLS.get(kind)
        if known is None:
            return []
        state = _STATES.get(text_at(message, "item", "status"), ToolState.COMPLETED)
        return self.account.end(
            text_at(message, "item", "id"),
            state,
            _detail(message, known[1]),
            tool=known[0],
            what=text_at(message, "item", "command"),
        )


def _detail(message: JsonObject, keys: tuple[str, ...]) -> JsonObject:
    found = {key: value_at(message, "item", key) for key in keys}
    return {key: value for key, value in found.items() if value is not None}


def _usage(message: JsonObject) -> Usage:
    return Usage(
        input_tokens=count_at(message, "usage", "input_tokens"),  # what came from its cache is part of it
        output_tokens=count_at(message, "usage", "output_tokens"),
        cached_tokens=count_at(message, "usage", "cached_input_tokens"),
    )
