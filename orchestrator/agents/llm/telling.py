"""What the worker says: one JSON object a line, on what was its standard output when it began."""

from __future__ import annotations

import json
import os
import threading
import time

from orchestrator.model.json import Json, JsonObject
from orchestrator.model.run import Usage

_BEAT_S = 1.0
_MAX_DETAIL = 2000


class Teller:
    """Tells what happens, each fact at once; from any thread.

    The kinds are `opened`, `message`, `said`, `tool`, `permission`, `spent`, `request`, `wrote`, `beat`,
    `limit`, `error` and `done`; `stream.WorkerStream` reads them.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._beat_at = 0.0

    def opened(self, session: str, model: str) -> None:
        """Tells the id of the conversation, and the model."""
        self._tell("opened", session=session, model=model)

    def message(self, message: JsonObject) -> None:
        """Tells a message of the conversation, whole, so that it can be kept."""
        self._tell("message", message=message)

    def said(self, text: str) -> None:
        """Tells what the model says."""
        self._tell("said", text=text)

    def tool(self, call: str, name: str, state: str, detail: JsonObject) -> None:
        """Tells how far the use of a tool has come."""
        self._tell("tool", call=call, tool=name, state=state, detail=_brief(detail))

    def permission(self, name: str, detail: JsonObject, *, granted: bool) -> None:
        """Tells that a tool needed permission, and whether there was one."""
        self._tell("permission", tool=name, detail=_brief(detail), granted=granted)

    def spent(self, usage: Usage) -> None:
        """Tells what the turn has consumed so far."""
        self._tell(
            "spent",
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            cost_usd=usage.cost_usd,
            turns=usage.turns,
        )

    def request(self, host: str, method: str, status: int | None, size_bytes: int) -> None:
        """Tells of a request over the network; a status of None: there was no answer."""
        self._tell("request", host=host, method=method, status=status, size_bytes=size_bytes)

    def wrote(self, path: str, sha256: str, size_bytes: int) -> None:
        """Tells of a file that was taken from an answer."""
        self._tell("wrote", path=path, sha256=sha256, size_bytes=size_bytes)

    def beat(self) -> None:
        """Tells that something is going on, at most once a second."""
        with self._lock:
            if time.monotonic() < self._beat_at:
                return
            self._beat_at = time.monotonic() + _BEAT_S
        self._tell("beat")

    def limit(self, words: str) -> None:
        """Tells that a limit of ours was reached."""
        self._tell("limit", message=words)

    def error(self, words: str, status: int | None = None) -> None:
        """Tells why the turn failed; `status` is that of the provider's answer."""
        self._tell("error", message=words, status=status)

    def done(self, *, cached: bool = False) -> None:
        """Tells the proper end; `cached`: the answer was known, no model was asked."""
        self._tell("done", cached=cached)

    def _tell(self, kind: str, **facts: Json) -> None:
        line = memoryview(json.dumps({"type": kind, **facts}).encode() + b"\n")
        with self._lock:
            while line:
                line = line[os.write(self._descriptor, line) :]


def _brief(detail: JsonObject) -> JsonObject:
    return {
        name: value[:_MAX_DETAIL] + "…" if isinstance(value, str) and len(value) > _MAX_DETAIL else value
        for name, value in detail.items()
    }
