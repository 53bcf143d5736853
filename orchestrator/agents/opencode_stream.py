"""Understands `opencode run --format json`. Source: opencode 1.18.33."""

from __future__ import annotations

from orchestrator.agents.stream import Account, count_at, money_at, object_at, text_at, total
from orchestrator.model.agent import AgentEvent, ToolState
from orchestrator.model.json import JsonObject
from orchestrator.model.run import Usage

_DENIALS = ("rejected permission", "rule which prevents")


class OpencodeStream:
    """Implements `StreamParser`. Tokens and cost are told step by step, and added up here.

    A cost of zero is what it tells of a model whose price it does not know.
    """

    def __init__(self) -> None:
        self.account = Account()

    def read(self, message: JsonObject) -> list[AgentEvent]:
        """Returns the events of one message."""
        account, part = self.account, object_at(message, "part")
        events = account.open(text_at(message, "sessionID"))
        match text_at(message, "type"):
            case "text":
                events += account.say(text_at(part, "text"))
            case "tool_use":
                events += self._tool(part)
            case "step_finish":
                account.is_complete = text_at(part, "reason") != "tool-calls"
                events += account.spend(_added(account.usage or Usage(), part))
            case "error":
                name, data = text_at(message, "error", "name"), object_at(message, "error", "data")
                account.fail(text_at(data, "message") or name, count_at(data, "statusCode"))
        return events

    def close(self) -> list[AgentEvent]:
        """Returns nothing: every message is whole."""
        return []

    def _tool(self, part: JsonObject) -> list[AgentEvent]:
        state, call, tool = object_at(part, "state"), text_at(part, "callID"), text_at(part, "tool")
        detail = object_at(state, "input")
        if text_at(state, "status") != "error":
            return self.account.end(call, ToolState.COMPLETED, detail, tool=tool)
        error = text_at(state, "error")
        is_denied = any(words in error for words in _DENIALS)
        reached = ToolState.DENIED if is_denied else ToolState.FAILED
        what = text_at(detail, "filePath") or text_at(detail, "command")
        return self.account.end(call, reached, {**detail, "error": error}, tool=tool, what=what)


def _added(before: Usage, part: JsonObject) -> Usage:
    tokens, cost = object_at(part, "tokens"), money_at(part, "cost")
    cached = (count_at(tokens, "cache", "read"), count_at(tokens, "cache", "write"))
    out = (count_at(tokens, "output"), count_at(tokens, "reasoning"))
    return Usage(
        input_tokens=total(before.input_tokens, count_at(tokens, "input"), *cached),
        output_tokens=total(before.output_tokens, *out),
        cost_usd=cost + (before.cost_usd or 0.0) if cost else before.cost_usd,
        cached_tokens=total(before.cached_tokens, cached[0]),
        turns=total(before.turns, 1),
    )
