"""Reads a conversation that was kept, and makes it fit for the model."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    ToolReturnPart,
)

from orchestrator.errors import Refused
from orchestrator.model.json import JsonObject

_LEFT_OUT = "(left out: the conversation has become too long; use the tool again if you need this)"
_CHARACTERS_PER_TOKEN = 3.5
_SHARE = 0.75


def kept(path: Path, session: str) -> list[ModelMessage]:
    """Returns a conversation as far as it is whole: calls of tools that were never answered are cut.

    Raises:
        Refused: `session-lost`, it is not there or cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line end is torn, or nothing
        messages = ModelMessagesTypeAdapter.validate_python([json.loads(line) for line in lines])
    except (OSError, ValueError, ValidationError) as error:
        raise _lost(session) from error
    while messages and isinstance(messages[-1], ModelResponse) and messages[-1].tool_calls:
        messages.pop()
    if not messages:
        raise _lost(session)
    return messages


def told(message: ModelMessage) -> JsonObject:
    """Returns a message as it is told and kept."""
    (dumped,) = ModelMessagesTypeAdapter.dump_python([message], mode="json")
    assert isinstance(dumped, dict)
    return dumped


def _lost(session: str) -> Refused:
    return Refused(
        f"The session {session} does not exist any more.",
        code="session-lost",
        hint="Begin a new one: the work that was done is in the tree.",
    )


def within(messages: list[ModelMessage], context_window: int | None) -> list[ModelMessage]:
    """Returns a conversation that the model can take in: of the oldest tools' results only a note is left.

    The first message, which holds the task, and the newest results stay as they are. `context_window` is in
    tokens, of which a character is taken for a part.
    """
    if context_window is None:
        return messages
    over = sum(map(_size, messages)) - int(context_window * _SHARE * _CHARACTERS_PER_TOKEN)
    kept: list[ModelMessage] = []
    for at, message in enumerate(messages):
        if over > 0 and 0 < at < len(messages) - 1 and isinstance(message, ModelRequest):
            shorter = _without_results(message)
            over -= _size(message) - _size(shorter)
            message = shorter
        kept.append(message)
    return kept


def _without_results(message: ModelRequest) -> ModelRequest:
    parts = [
        ToolReturnPart(part.tool_name, _LEFT_OUT, part.tool_call_id)
        if isinstance(part, ToolReturnPart) and len(str(part.content)) > len(_LEFT_OUT)
        else part
        for part in message.parts
    ]
    return ModelRequest(parts)


def _size(message: ModelMessage) -> int:
    return sum(
        len(str(getattr(part, "content", None) or getattr(part, "args", ""))) for part in message.parts
    )
