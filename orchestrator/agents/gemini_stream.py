"""Understands `gemini -o stream-json`. Source: gemini 0.61.0."""

from __future__ import annotations

from orchestrator.agents.stream import MAX_ANSWER, Account, count_at, object_at, text_at
from orchestrator.agents.text import plain
from orchestrator.model.agent import AgentEvent, ToolState
from orchestrator.model.json import JsonObject
from orchestrator.model.run import Usage

_WITHHELD = frozenset({"write_file", "replace", "run_shell_command", "web_fetch"})
"""Tools that it takes away from the model instead of asking, where its approval mode does not allow them."""


class GeminiStream:
    """Implements `StreamParser`; the pieces of a message are put together until something else comes."""

    def __init__(self) -> None:
        self.account = Account()
        self._pieces: list[str] = []
        self._size = 0

    def read(self, message: JsonObject) -> list[AgentEvent]:
        """Returns the events of one message."""
        kind = text_at(message, "type")
        if kind == "message":
            return self._message(message)
        events = self.close()
        match kind:
            case "init":
                events += self.account.open(text_at(message, "session_id"), text_at(message, "model"))
            case "tool_use":
                call, tool = text_at(message, "tool_id"), text_at(message, "tool_name")
                events += self.account.begin(call, tool, object_at(message, "parameters"))
            case "tool_result":
                events += self._tool_result(message)
            case "error":
                self.account.trouble = plain(text_at(message, "message"), 500)
            case "result":
                events += self._result(message)
        return events

    def close(self) -> list[AgentEvent]:
        """Returns the message that was being put together."""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return self.account.say(text)

    def _message(self, message: JsonObject) -> list[AgentEvent]:
        if text_at(message, "role") != "assistant":
            return []
        events = [] if message.get("delta") is True else self.close()
        piece = text_at(message, "content")
        self._size += len(piece)
        if self._size <= MAX_ANSWER:
            self._pieces.append(piece)
        return events

    def _tool_result(self, message: JsonObject) -> list[AgentEvent]:
        call = text_at(message, "tool_id")
        if text_at(message, "status") != "error":
            return self.account.end(call, ToolState.COMPLETED, {})
        words = text_at(message, "error", "message") or text_at(message, "output")
        state = ToolState.DENIED if self._is_denial(message, call) else ToolState.FAILED
        return self.account.end(call, state, {"error": words}, what=words)

    def _is_denial(self, message: JsonObject, call: str) -> bool:
        kind = text_at(message, "error", "type")
        is_withheld = kind == "tool_not_registered" and self.account.tool_of(call) in _WITHHELD
        return is_withheld or kind == "policy_violation"

    def _result(self, message: JsonObject) -> list[AgentEvent]:
        self.account.is_complete = True
        if text_at(message, "status") != "success":
            self.account.fail(text_at(message, "error", "message"))
        stats = object_at(message, "stats")
        taken_in, given_out = count_at(stats, "input_tokens"), count_at(stats, "output_tokens")
        cached = count_at(stats, "cached")
        return self.account.spend(Usage(taken_in, given_out, cached_tokens=cached))
