"""Turns what an agent tells of its turn into events; tolerant of kinds and shapes it does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.agents.acp.detail import OTHER, tool_detail, tool_name, tool_paths, tool_words
from orchestrator.agents.acp.words import Head, Tail
from orchestrator.agents.causes import cause_of
from orchestrator.agents.stream import MAX_ANSWER, MAX_SAID, MAX_WORDS, Account, money_at, object_at, text_at
from orchestrator.agents.text import plain, plain_text
from orchestrator.model.agent import AgentEvent, AskedPermission, Cause, Said, Spent, ToolState, UsedTool
from orchestrator.model.json import Json
from orchestrator.model.run import Usage

_MAX_DENIED = 10
_MAX_OPEN = 1000
_MAX_PATHS = 20
_MAX_PATH = 4096
_ENDS = {"completed": ToolState.COMPLETED, "failed": ToolState.FAILED}

Update = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """What a turn may use at most; None is no limit."""

    turns: int | None = None
    cost_usd: float | None = None


class Narrator:
    """Hears the updates of one session in their order.

    Until `live` is set they are the history of a session that goes on. Text is gathered: `flush` says it,
    which `soon` is asked to call after a moment. ACP does not tell when the agent asks its model again; a
    turn of the model is taken to begin when something follows after all tools of the last one have ended.
    """

    def __init__(
        self,
        tell: Callable[[AgentEvent], None],
        *,
        limits: TurnLimits,
        soon: Callable[[Callable[[], None]], object],
        on_limit: Callable[[], None],
    ) -> None:
        self.live = False
        self.account = Account()
        self.cost_usd: float | None = None
        self.turns = 1
        self._tell = tell
        self._limits = limits
        self._soon = soon
        self._on_limit = on_limit
        self._cost_before = 0.0
        self._between = False
        self._open: dict[str, Update] = {}
        self._refused_calls: set[str] = set()
        self._unsaid = Tail(MAX_SAID)
        self._message = Head(MAX_ANSWER)
        self._message_id: object = None
        self._message_over = False

    @property
    def answer(self) -> str:
        """Returns the agent's last text, whole up to 1 MiB."""
        return str(self._message).strip()

    def update(self, update: Update) -> None:
        """Takes one `session/update`."""
        kind = update.get("sessionUpdate")
        if kind == "usage_update":
            self._cost(update.get("cost"))
        elif not self.live:
            return
        elif kind == "session_info_update":
            self._trouble(update)
        elif kind == "agent_message_chunk":
            self._chunk(update)
        elif kind == "agent_thought_chunk":
            self._begin_turn()
        elif kind in ("tool_call", "tool_call_update"):
            self._call(update, is_new=kind == "tool_call")

    def merged(self, call: Update) -> Update:
        """Returns a call with what was told of it before: updates tell only what is new.

        Its kind stays where it is said to be of another one now (opencode 1.18.33, when it asks).
        """
        before = self._open.get(_id_of(call), {})
        told = {key: value for key, value in call.items() if value is not None}
        if told.get("kind") == OTHER and before.get("kind"):
            told.pop("kind")
        return {**before, **told}

    def asked(self, call: Update, *, granted: bool) -> None:
        """Takes a permission that was asked for, as a whole, and the answer."""
        self.flush()
        self._keep(_id_of(call), call)
        self._tell(AskedPermission(tool_name(call), tool_detail(call), granted))
        if not granted and len(self._refused_calls) < _MAX_OPEN:
            self._refused_calls.add(_id_of(call))
        if not granted and len(self.account.denied) < _MAX_DENIED:
            self.account.denied.append(f"{tool_name(call)}: {_title(call)}")

    def noise(self, line: str) -> None:
        """Takes a line that is no message: a warning that belongs on stderr."""
        if line:
            self.flush()
            self._tell(Said(line))

    def flush(self) -> None:
        """Says what was gathered; of more than 16,000 characters the end."""
        text, self._unsaid = str(self._unsaid).strip(), Tail(MAX_SAID)
        if text:
            self._tell(Said(text))

    def trouble(self, words: str) -> None:
        """Takes an error that need not be the end; it counts until the agent says or does something again."""
        if cause_of(words) is not Cause.OTHER:
            self.account.trouble = plain(words, MAX_WORDS)

    def _trouble(self, update: Update) -> None:
        # codex-acp 2.6.0 tells so that it waits for the network: `_meta.codex.error`
        for facts in object_at(update, "_meta").values():
            words = (text_at(facts, "error", "message"), text_at(facts, "error", "additionalDetails"))
            self.trouble(": ".join(filter(None, words)))

    def _chunk(self, update: Update) -> None:
        content = update.get("content")
        text = content.get("text") if isinstance(content, dict) else None
        if not isinstance(text, str) or not text:
            return
        self._begin_turn()
        if self._message_over or update.get("messageId") != self._message_id:
            self.flush()
            self._message = Head(MAX_ANSWER)
            self._message_over, self._message_id = False, update.get("messageId")
        clean = plain_text(text.encode("utf-8", "replace"))
        self._message.add(clean)
        if not self._unsaid:
            self._soon(self.flush)
        self._unsaid.add(clean)

    def _call(self, update: Update, *, is_new: bool) -> None:
        name = _id_of(update)
        if is_new:
            self._begin_turn()
        merged = self.merged(update)
        end = _ENDS.get(str(update.get("status")))
        if end is not None:
            self._end_call(name, merged, end)
        elif name not in self._open:
            self._tell_tool(merged, ToolState.STARTED, name)
            self._keep(name, merged)
        else:
            self._keep(name, merged)

    def _end_call(self, name: str, call: Update, end: ToolState) -> None:
        was_refused = name in self._refused_calls
        self._refused_calls.discard(name)
        self._open.pop(name, None)
        self._tell_tool(call, ToolState.DENIED if was_refused else end, name)
        self._between = not self._open

    def _tell_tool(self, call: Update, state: ToolState, name: str) -> None:
        self.flush()
        self._message_over = True
        detail = dict(tool_detail(call))
        if state is ToolState.FAILED and (words := tool_words(call)):
            detail["said"] = words
        self._tell(UsedTool(tool_name(call), detail, state, name))

    def _keep(self, name: str, call: Update) -> None:
        # The contents of a call can be megabytes; what an event tells of it is all that is needed again.
        detail = tool_detail(call)
        self._open[name] = {
            "kind": plain(text_at(call, "kind"), 80),
            "title": detail.get("title"),
            "locations": [{"path": plain(path, _MAX_PATH)} for path in tool_paths(call)[:_MAX_PATHS]],
            "rawInput": detail.get("input"),
        }
        if len(self._open) > _MAX_OPEN:
            self._open.pop(next(iter(self._open)))

    def _begin_turn(self) -> None:
        self.account.trouble = ""
        if self._between:
            self._between = False
            self.turns += 1
            self._spent()
            if self._limits.turns is not None and self.turns > self._limits.turns:
                self._reach(f"stopped after {self._limits.turns} turns of its model")

    def _cost(self, cost: Json) -> None:
        total = money_at(cost, "amount") if text_at(cost, "currency").upper() == "USD" else None
        if total is None:
            return
        if not self.live:
            self._cost_before = total
            return
        self.cost_usd = max(0.0, total - self._cost_before)
        self._spent()
        if self._limits.cost_usd is not None and self.cost_usd > self._limits.cost_usd:
            self._reach(f"stopped after spending {self.cost_usd:.4f} USD of {self._limits.cost_usd:g}")

    def _spent(self) -> None:
        self._tell(Spent(Usage(cost_usd=self.cost_usd, turns=self.turns)))

    def _reach(self, limit: str) -> None:
        if not self.account.limit:
            self.account.limit = limit
            self._on_limit()


def _id_of(call: Update) -> str:
    return plain(str(call.get("toolCallId", ""))[:400], 200)


def _title(call: Update) -> str:
    return str(tool_detail(call).get("title") or tool_name(call))
