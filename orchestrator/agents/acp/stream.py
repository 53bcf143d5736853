"""The messages of one agent: cut from its raw stdout, sorted, and sent to its stdin.

It has the shape of the SDK's message transport. Updates go straight to the narrator: the SDK would make a
task and a validated model of each, which is slow, without a bound, and loses kinds that it does not know.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from orchestrator.agents.lines import MAX_LINE_BYTES, Lines, Overlong
from orchestrator.agents.text import plain_text
from orchestrator.process.wire import Wire

_INBOX_BYTES = 4 << 20
MAX_UNREAD_BYTES = 16 << 20
_MAX_NOISE_LINES = 1000
_SHOWN = 200
_TURNS = 64
_METHOD_NOT_FOUND = -32601

Message = dict[str, Any]


class AgentStream:
    """Reads and writes JSON-RPC messages, one a line; `problem` tells why it had to stop listening."""

    def __init__(self, on_update: Callable[[Message], None], on_noise: Callable[[str], None]) -> None:
        self.wire = Wire(self.arrived)
        self.problem = ""
        self.over = asyncio.Event()
        self._on_update = on_update
        self._on_noise = on_noise
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._ended = False
        self._arrival = asyncio.Event()
        self._reader = Lines()
        self._lines: deque[bytes] = deque()
        self._noise = 0
        self._taken = 0
        self._reader_waits = False

    def arrived(self, data: bytes) -> None:
        """Takes what the agent printed, from the thread that supervises it; empty bytes are the end."""
        with self._lock:
            if data and not self.problem:
                self._inbox.append(data)
                self._inbox_bytes += len(data)
                self._balance()
            self._ended = self._ended or not data
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._arrival.set)

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Names the loop that reads from now on; None before it closes."""
        with self._lock:
            self._loop = loop
            self._arrival.set()

    def hold(self, held: bool) -> None:
        """Lets the agent wait for whoever takes the events of the turn, or go on."""
        with self._lock:
            self._reader_waits = held
            self._balance()

    def _balance(self) -> None:
        """Holds the agent's output while somebody waits or much of it is unread; with the lock taken."""
        limit = _INBOX_BYTES // 2 if self.wire.is_held else _INBOX_BYTES
        held = (self._reader_waits or self._inbox_bytes > limit) and not self.problem
        if held is not self.wire.is_held:
            self.wire.hold(held)

    async def send(self, message: Message) -> None:
        """Sends one message; an agent that reads nothing of many is not listened to any more."""
        if self.wire.waiting_bytes > MAX_UNREAD_BYTES:
            self._stop_listening("it does not read what it is sent")
            return
        self.wire.send(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def receive(self) -> Message | None:
        """Returns the next message that is for the SDK, None when no more will come."""
        message = None
        try:
            message = await self._next()
        finally:
            if message is None:  # or an error, after which nobody reads any more
                self.over.set()
        return message

    async def close(self) -> None:
        """Ends the agent's stdin."""
        self.wire.close()

    async def _next(self) -> Message | None:
        while (line := await self._line()) is not None:
            message = self._parsed(line)
            if message is not None and await self._is_for_sdk(message):
                await asyncio.sleep(0)  # the SDK makes a task of each request: let them run
                return message
        return None

    async def _line(self) -> bytes | None:
        self._taken += 1
        if self._taken % _TURNS == 0:
            await asyncio.sleep(0)  # a flood must not keep a cancel waiting
        while not self._lines:
            chunk = self._take()
            if chunk is None:
                await self._arrival.wait()
            elif chunk:
                self._cut(chunk)
            else:
                return next((line for line in self._reader.finish() if isinstance(line, bytes)), None)
        return self._lines.popleft()

    def _take(self) -> bytes | None:
        """Returns a piece of the inbox, empty bytes at the end, None when there is nothing yet."""
        with self._lock:
            if not self._inbox:
                if not self._ended:
                    self._arrival.clear()
                return b"" if self._ended else None
            chunk = self._inbox.popleft()
            self._inbox_bytes -= len(chunk)
            self._balance()
            return chunk

    def _cut(self, chunk: bytes) -> None:
        lines = self._reader.feed(chunk)
        self._lines.extend(line for line in lines if isinstance(line, bytes))
        if self._reader.is_overlong or any(isinstance(line, Overlong) for line in lines):
            self._stop_listening(f"it sent a message of more than {MAX_LINE_BYTES >> 20} MiB")

    def _stop_listening(self, problem: str) -> None:
        with self._lock:
            self.problem = self.problem or problem
            self._ended = True
            self._inbox.clear()
            self._inbox_bytes = 0
            self._arrival.set()
            self._balance()  # what it still prints is dropped
        self._reader = Lines()
        self._lines.clear()

    def _parsed(self, line: bytes) -> Message | None:
        if not line.strip():
            return None
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict) and ("method" in message or _is_answer(message)):
            return message
        self._noise += 1
        shown = plain_text(line[:4096]).strip()[:_SHOWN]
        self._on_noise(shown)
        if self._noise > _MAX_NOISE_LINES:
            self._stop_listening(f"what it prints is not ACP, such as: {shown}")
        return None

    async def _is_for_sdk(self, message: Message) -> bool:
        method, params = message.get("method"), message.get("params")
        if method is None:
            return True
        if "id" not in message:
            update = params.get("update") if isinstance(params, dict) else None
            if method == "session/update" and isinstance(update, dict):
                self._on_update(update)
            return False
        if method == "session/request_permission":
            return True
        error = {"code": _METHOD_NOT_FOUND, "message": "Method not found", "data": {"method": method}}
        await self.send({"jsonrpc": "2.0", "id": message["id"], "error": error})
        return False


def _is_answer(message: Message) -> bool:
    error = message.get("error")
    return isinstance(message.get("id"), int | str) and isinstance(error, dict | None)
