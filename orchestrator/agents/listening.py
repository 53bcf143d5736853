"""Hears what a program prints: for people, or for machines."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from orchestrator.agents.lines import Lines, Overlong
from orchestrator.agents.stream import MAX_ANSWER, Account, StreamParser
from orchestrator.agents.text import LineReader, ending, plain_text, shown
from orchestrator.model.agent import AgentEvent, Said
from orchestrator.model.json import JsonObject

_MAX_SAID = 4000
_MAX_LINES = 100
_MAX_ERRORS = 20


class Ear(Protocol):
    """What a turn hears its program by; `lines` may be asked from another thread."""

    @property
    def account(self) -> Account:
        """Returns what is known of the turn as a whole."""
        ...

    @property
    def last_line(self) -> str:
        """Returns the last line for people, of stderr where there is one."""
        ...

    @property
    def errors(self) -> str:
        """Returns the last lines of stderr."""
        ...

    def heard(self, data: bytes) -> Sequence[AgentEvent]:
        """Takes stdout as it was printed, and returns the events that it tells."""
        ...

    def printed(self, data: bytes) -> None:
        """Takes stdout without secrets."""
        ...

    def complained(self, data: bytes) -> None:
        """Takes stderr without secrets."""
        ...

    def lines(self) -> str:
        """Returns the newest lines for people since it was last asked."""
        ...

    def finish(self) -> Sequence[AgentEvent]:
        """Returns what was held back when everything had been printed."""
        ...


class _Newest:
    """The newest lines: an agent may print faster than its lines can be recorded."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._lock = threading.Lock()
        self.last = ""

    def add(self, lines: Sequence[str]) -> None:
        with self._lock:
            self._lines.extend(lines)
            self.last = lines[-1] if lines else self.last

    def take(self) -> str:
        with self._lock:
            text = "\n".join(self._lines)
            self._lines.clear()
        return ending(text, _MAX_SAID)


class PeopleEar:
    """Everything is for people, and what was printed last is the answer; implements `Ear`."""

    def __init__(self) -> None:
        self.account = Account()
        self._newest = _Newest()
        self._output, self._errors = LineReader(), _Errors(self._newest)
        self._end = bytearray()

    @property
    def last_line(self) -> str:
        """Returns the last line of stderr, else of stdout."""
        return self._errors.last or self._output.last

    @property
    def errors(self) -> str:
        """Returns the last lines of stderr."""
        return self._errors.text

    def heard(self, data: bytes) -> Sequence[AgentEvent]:
        """Returns nothing: it tells no events."""
        return ()

    def printed(self, data: bytes) -> None:
        """Keeps lines for people, and the end of everything as the answer."""
        self._newest.add(self._output.feed(data))
        self._end += data
        if len(self._end) > 2 * MAX_ANSWER:
            del self._end[:-MAX_ANSWER]

    def complained(self, data: bytes) -> None:
        """Keeps lines for people."""
        self._errors.feed(data)

    def lines(self) -> str:
        """Returns the newest lines since it was last asked."""
        return self._newest.take()

    def finish(self) -> Sequence[AgentEvent]:
        """Settles the answer."""
        self._newest.add(self._output.finish())
        self._errors.finish()
        self.account.answer = plain_text(bytes(self._end[-MAX_ANSWER:])).strip()
        return ()


class StreamEar:
    """Lines of JSON are for a parser, everything else is for people; implements `Ear`.

    It never breaks: what is no JSON object is shown, what is longer than 16 MiB is told and dropped.
    """

    def __init__(self, parser: StreamParser) -> None:
        self._parser = parser
        self._cutter = Lines()
        self._newest = _Newest()
        self._errors = _Errors(self._newest)

    @property
    def account(self) -> Account:
        """Returns what the parser has learned."""
        return self._parser.account

    @property
    def last_line(self) -> str:
        """Returns the last line of stderr, else the last that was no JSON."""
        return self._errors.last or self._newest.last

    @property
    def errors(self) -> str:
        """Returns the last lines of stderr."""
        return self._errors.text

    def heard(self, data: bytes) -> Sequence[AgentEvent]:
        """Returns the events that the lines completed by `data` tell."""
        return self._understood(self._cutter.feed(data))

    def printed(self, data: bytes) -> None:
        """Passes over: it was heard already."""

    def complained(self, data: bytes) -> None:
        """Keeps lines for people."""
        self._errors.feed(data)

    def lines(self) -> str:
        """Returns the newest lines since it was last asked."""
        return self._newest.take()

    def finish(self) -> Sequence[AgentEvent]:
        """Returns the events of a last line without an end."""
        self._errors.finish()
        return (*self._understood(self._cutter.finish()), *self._parser.close())

    def _understood(self, lines: Sequence[bytes | Overlong]) -> list[AgentEvent]:
        events: list[AgentEvent] = []
        for line in lines:
            if isinstance(line, Overlong):
                events.append(Said(f"(a line of {line.size_bytes:,} bytes was too long to be read)"))
                continue
            message = _decoded(line)
            if message is not None:
                events += self._parser.read(message)
            elif shown(line):
                self._newest.add([shown(line)])
        return events


class _Errors:
    """Reads stderr: its lines are for people, the last of them explain a failure."""

    def __init__(self, newest: _Newest) -> None:
        self._newest = newest
        self._reader = LineReader()
        self._kept: deque[str] = deque(maxlen=_MAX_ERRORS)

    @property
    def last(self) -> str:
        return self._reader.last

    @property
    def text(self) -> str:
        return "\n".join(self._kept)

    def feed(self, data: bytes) -> None:
        self._add(self._reader.feed(data))

    def finish(self) -> None:
        self._add(self._reader.finish())

    def _add(self, lines: list[str]) -> None:
        self._newest.add(lines)
        self._kept.extend(lines)


def _decoded(line: bytes) -> JsonObject | None:
    """Returns the JSON object in a line, None where there is none."""
    if not line.lstrip(b" \t\r").startswith(b"{"):
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested beyond reason
        return None
    return message if isinstance(message, dict) else None
