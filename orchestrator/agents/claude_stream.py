"""Understands `claude -p --output-format stream-json --verbose`. Source: claude 2.1.197."""

from __future__ import annotations

from orchestrator.agents.stream import (
    Account,
    count_at,
    money_at,
    object_at,
    objects_at,
    text_at,
    total,
    value_at,
)
from orchestrator.model.agent import AgentEvent, ToolState
from orchestrator.model.json import JsonObject
from orchestrator.model.run import Usage

_LIMITS = {
    "error_max_turns": "it reached its limit of turns",
    "error_max_budget_usd": "it reached its limit of cost",
}


class ClaudeStream:
    """Implements `StreamParser`.

    Totals come from `result` alone: the usage in its messages is that of their beginning. `subtype:success`
    is told of failed calls, too: `is_error` is what counts.
    """

    def __init__(self) -> None:
        self.account = Account()

    def read(self, message: JsonObject) -> list[AgentEvent]:
        """Returns the events of one message."""
        match text_at(message, "type"):
            case "system":
                return self._system(message)
            case "assistant":
                return self._assistant(message)
            case "user":
                return self._results(message)
            case "result":
                return self._result(message)
        return []

    def close(self) -> list[AgentEvent]:
        """Returns nothing: every message is whole."""
        return []

    def _system(self, message: JsonObject) -> list[AgentEvent]:
        if text_at(message, "subtype") == "init":
            return self.account.open(text_at(message, "session_id"), text_at(message, "model"))
        if text_at(message, "subtype") == "api_retry":
            status = count_at(message, "error_status")
            self.account.trouble = " ".join(filter(None, (str(status or ""), text_at(message, "error"))))
        return []

    def _assistant(self, message: JsonObject) -> list[AgentEvent]:
        events: list[AgentEvent] = []
        is_own = not text_at(message, "parent_tool_use_id")  # else it is what a helper of its says to it
        for part in objects_at(message, "message", "content"):
            if text_at(part, "type") == "text" and is_own:
                events += self.account.say(text_at(part, "text"))
            elif text_at(part, "type") == "tool_use":
                name, detail = text_at(part, "name"), object_at(part, "input")
                events += self.account.begin(text_at(part, "id"), name, detail)
        return events

    def _results(self, message: JsonObject) -> list[AgentEvent]:
        events: list[AgentEvent] = []
        for part in objects_at(message, "message", "content"):
            if text_at(part, "type") == "tool_result":
                state = ToolState.FAILED if part.get("is_error") is True else ToolState.COMPLETED
                said = {"error": text_at(part, "content")} if state is ToolState.FAILED else {}
                events += self.account.end(text_at(part, "tool_use_id"), state, said)
        return events

    def _result(self, message: JsonObject) -> list[AgentEvent]:
        account = self.account
        account.is_complete = True
        events = account.open(text_at(message, "session_id"))
        for denial in objects_at(message, "permission_denials"):
            tool, call = text_at(denial, "tool_name"), text_at(denial, "tool_use_id")
            what = object_at(denial, "tool_input")
            place = text_at(what, "file_path") or text_at(what, "command")
            events += account.end(call, ToolState.DENIED, what, tool=tool, what=place)
        subtype, words = text_at(message, "subtype"), text_at(message, "result")
        account.limit = _LIMITS.get(subtype, "")
        if message.get("is_error") is True or subtype != "success":
            errors = value_at(message, "errors")
            listed = "; ".join(str(each) for each in errors) if isinstance(errors, list) else ""
            account.fail(words or listed or subtype, count_at(message, "api_error_status"))
        elif words and words.strip() != account.answer:
            events += account.say(words)
        return [*events, *account.spend(_usage(message))]


def _usage(message: JsonObject) -> Usage:
    models = [each for each in object_at(message, "modelUsage").values() if isinstance(each, dict)]
    one = object_at(message, "usage")
    read = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    read_once = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    taken_in = total(*(count_at(each, key) for each in models for key in read))
    given_out = total(*(count_at(each, "outputTokens") for each in models))
    return Usage(
        input_tokens=taken_in if taken_in else total(*(count_at(one, key) for key in read_once)),
        output_tokens=given_out if taken_in else count_at(one, "output_tokens"),
        cost_usd=money_at(message, "total_cost_usd"),
        cached_tokens=total(*(count_at(each, "cacheReadInputTokens") for each in models))
        if taken_in
        else count_at(one, "cache_read_input_tokens"),
        turns=count_at(message, "num_turns"),
    )
