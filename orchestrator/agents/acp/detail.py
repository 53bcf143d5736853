"""What an event says of the use of a tool: enough for a person, never a whole file."""

from __future__ import annotations

import json
import math
from typing import Any

from orchestrator.agents.text import plain_text
from orchestrator.model.json import Json, JsonObject

_MAX_TEXT = 300
_MAX_ITEMS = 20
_MAX_DEPTH = 4
_MAX_BYTES = 4096


def tool_name(call: dict[str, Any]) -> str:
    """Returns the kind of tool, such as `edit` or `execute`; without one the title."""
    return str(call.get("kind") or "") or _text(call.get("title"), 80) or "tool"


def tool_detail(call: dict[str, Any]) -> JsonObject:
    """Returns title, paths and shortened input of a call as ACP tells it."""
    detail: dict[str, Json] = {}
    if title := _text(call.get("title"), _MAX_TEXT):
        detail["title"] = title
    if paths := tool_paths(call):
        detail["paths"] = [_text(path, _MAX_TEXT) for path in paths[:_MAX_ITEMS]]
    given = call.get("rawInput")
    if isinstance(given, dict) and given:
        shortened = _shortened(given, 0)
        if len(json.dumps(shortened)) <= _MAX_BYTES:
            detail["input"] = shortened
    return detail


def tool_paths(call: dict[str, Any]) -> list[str]:
    """Returns the files that a call names: its locations, then the files of its diffs."""
    named = [entry.get("path") for entry in _dicts(call.get("locations"))]
    named += [entry.get("path") for entry in _dicts(call.get("content")) if entry.get("type") == "diff"]
    return list(dict.fromkeys(path for path in named if isinstance(path, str)))


def tool_words(call: dict[str, Any]) -> str:
    """Returns the first text that a call's result holds."""
    for entry in _dicts(call.get("content")):
        content = entry.get("content")
        if isinstance(content, dict) and content.get("text"):
            return _text(content["text"], _MAX_TEXT)
    return ""


def _dicts(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str):
        return ""
    text = plain_text(value[: limit * 4].encode("utf-8", "replace")).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shortened(value: object, depth: int) -> Json:
    match value:
        case str():
            return _text(value, _MAX_TEXT)
        case bool() | int() | None:
            return value
        case float() if math.isfinite(value):
            return value
        case dict() if depth < _MAX_DEPTH:
            pairs = list(value.items())[:_MAX_ITEMS]
            return {str(name)[:100]: _shortened(entry, depth + 1) for name, entry in pairs}
        case list() if depth < _MAX_DEPTH:
            return [_shortened(entry, depth + 1) for entry in value[:_MAX_ITEMS]]
        case _:
            return "…"
