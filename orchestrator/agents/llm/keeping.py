"""Keeps a conversation as the worker tells it: its owner does, who knows what must not be in it."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.model.json import JsonObject
from orchestrator.redaction.redactor import Redactor


class KeptConversation:
    """Appends messages to a file, one a line, without secrets; readable by its owner alone.

    A kill leaves whole messages and at most one that is torn, which a reader passes over.
    """

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self._path = path
        self._redactor = redactor
        self._disk = Disk()

    def add(self, messages: deque[JsonObject]) -> None:
        """Takes messages out of a queue that another thread fills; durable when it returns.

        Raises:
            DiskFailed: they cannot be written.
        """
        lines = []
        while messages:
            lines.append(json.dumps(self._redactor.json(messages.popleft())) + "\n")
        if lines:
            self._disk.make_dir(self._path.parent)
            self._disk.append(self._path, "".join(lines).encode())
