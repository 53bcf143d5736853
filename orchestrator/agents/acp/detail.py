"""What an event says of the use of a tool: enough for a person, never a whole file."""

from __future__ import annotations

from typing import Any

from orchestrator.agents.stream import object_at, objects_at, text_at
from orchestrator.agents.text import brief, plain
from orchestrator.model.json import Json, JsonObject

OTHER = "other"
"""The kind of a call that is of no other kind."""
_MAX_TEXT = 300
_MAX_PATHS = 20


def tool_name(call: dict[str, Any]) -> str:
    """Returns the kind of tool, such as `edit` or `execute`; without one the title."""
    return plain(text_at(call, "kind"), 80) or plain(text_at(call, "title"), 80) or "tool"


def tool_detail(call: dict[str, Any]) -> JsonObject:
    """Returns title, paths and shortened input of a call as ACP tells it."""
    detail: dict[str, Json] = {}
    if title := plain(text_at(call, "title"), _MAX_TEXT).strip():
        detail["title"] = title
    if paths := tool_paths(call):
        detail["paths"] = [plain(path, _MAX_TEXT) for path in paths[:_MAX_PATHS]]
    if given := brief(object_at(call, "rawInput")):
        detail["input"] = given
    return detail


def tool_paths(call: dict[str, Any]) -> list[str]:
    """Returns the files that a call names: its locations, then the files of its diffs."""
    named = [text_at(place, "path") for place in objects_at(call, "locations")]
    named += [text_at(part, "path") for part in objects_at(call, "content") if part.get("type") == "diff"]
    return list(dict.fromkeys(filter(None, named)))


def tool_words(call: dict[str, Any]) -> str:
    """Returns the first text that a call's result holds."""
    texts = (text_at(part, "content", "text") for part in objects_at(call, "content"))
    return plain(next(filter(None, texts), ""), _MAX_TEXT).strip()
