"""Keeps a conversation with a model, without secrets, so that a later turn can go on with it."""

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
from orchestrator.fs.disk import Disk
from orchestrator.redaction.redactor import Redactor

_SCHEMA_VERSION = 1
_LEFT_OUT = "(left out: the conversation has become too long; use the tool again if you need this)"
_CHARACTERS_PER_TOKEN = 3.5
_SHARE = 0.75


class ConversationFile:
    """One conversation on disk: replaced as a whole after every step, readable by its owner alone."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self._path = path
        self._redactor = redactor
        self._disk = Disk()

    def load(self, session: str) -> list[ModelMessage]:
        """Returns the conversation as far as it is whole: calls of tools that were never answered are cut.

        Raises:
            Refused: `session-lost`, it is not there or cannot be read.
        """
        try:
            data = json.loads(self._path.read_bytes())
            if data["schema_version"] != _SCHEMA_VERSION:
                raise ValueError(f"its format is {data['schema_version']!r}")
            messages = ModelMessagesTypeAdapter.validate_python(data["messages"])
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise Refused(
                f"The session {session} does not exist any more.",
                code="session-lost",
                hint="Begin a new one: the work that was done is in the tree.",
            ) from error
        while messages and isinstance(messages[-1], ModelResponse) and messages[-1].tool_calls:
            messages.pop()
        return messages

    def save(self, messages: list[ModelMessage]) -> None:
        """Keeps the conversation; durable when it returns.

        Raises:
            DiskFailed: it cannot be written.
        """
        dumped = ModelMessagesTypeAdapter.dump_python(messages, mode="json")
        clean = self._redactor.json({"schema_version": _SCHEMA_VERSION, "messages": dumped})
        self._disk.make_dir(self._path.parent)
        self._disk.write(self._path, json.dumps(clean).encode() + b"\n")


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
