"""Understands `copilot -p --output-format json`. Source: copilot 1.0.102."""

from __future__ import annotations

from orchestrator.agents.stream import Account, count_at, object_at, text_at, total
from orchestrator.agents.text import plain
from orchestrator.model.agent import AgentEvent, ToolState
from orchestrator.model.json import JsonObject
from orchestrator.model.run import Usage

_DENIALS = frozenset({"denied", "rejected"})


class CopilotStream:
    """Implements `StreamParser`. Tokens are told only where the version tells them call by call."""

    def __init__(self) -> None:
        self.account = Account()

    def read(self, message: JsonObject) -> list[AgentEvent]:
        """Returns the events of one message."""
        data = object_at(message, "data")
        match text_at(message, "type"):
            case "session.start":
                return self.account.open(text_at(data, "sessionId"), text_at(data, "selectedModel"))
            case "assistant.message":
                return self.account.say(text_at(data, "content"))
            case "assistant.turn_end":
                self.account.turns = total(self.account.turns, 1)
            case "assistant.usage":
                return self._usage(data)
            case "tool.execution_start":
                call, tool = text_at(data, "toolCallId"), text_at(data, "toolName")
                return self.account.begin(call, tool, object_at(data, "arguments"))
            case "tool.execution_complete":
                return self._tool_result(data)
            case "session.error":
                self.account.fail(text_at(data, "message"), count_at(data, "statusCode"))
            case "result":
                return self._result(message)
        return []

    def close(self) -> list[AgentEvent]:
        """Returns nothing: every message is whole."""
        return []

    def _tool_result(self, data: JsonObject) -> list[AgentEvent]:
        call, tool = text_at(data, "toolCallId"), text_at(data, "toolName")
        if data.get("success") is not False:
            return self.account.end(call, ToolState.COMPLETED, {}, tool=tool)
        is_denied = text_at(data, "error", "code") in _DENIALS
        state = ToolState.DENIED if is_denied else ToolState.FAILED
        words = text_at(data, "error", "message")
        return self.account.end(call, state, {"error": words}, tool=tool, what=words)

    def _usage(self, data: JsonObject) -> list[AgentEvent]:
        before = self.account.usage or Usage()
        self.account.model = plain(text_at(data, "model"), 200) or self.account.model
        return self.account.spend(
            Usage(
                input_tokens=total(before.input_tokens, count_at(data, "inputTokens")),
                output_tokens=total(before.output_tokens, count_at(data, "outputTokens")),
                cached_tokens=total(before.cached_tokens, count_at(data, "cacheReadTokens")),
            )
        )

    def _result(self, message: JsonObject) -> list[AgentEvent]:
        account = self.account
        account.is_complete = True
        account.has_called = bool(count_at(message, "usage", "totalApiDurationMs"))
        if count_at(message, "exitCode") and not account.failure:
            account.fail(f"it told the exit status {count_at(message, 'exitCode')}")
        return account.open(text_at(message, "sessionId"))
