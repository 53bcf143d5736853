"""The record of what happened: appended only, numbered without gaps, each event chained to the one before."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from orchestrator.errors import Refused
from orchestrator.model.event import Event, EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.json import JsonObject
from orchestrator.state import codec, rows
from orchestrator.state.database import Database
from orchestrator.state.pen import Pen

FIRST_HASH = "0" * 64


class EventLog:
    """Appends events inside the transaction that is open, and tells subscribers once they are durable."""

    def __init__(self, database: Database, pen: Pen) -> None:
        self._database = database
        self._pen = pen
        self._own_trace_id = os.urandom(16).hex()
        self._trace_ids: dict[str, str] = {}
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, callback: Callable[[Event], None]) -> None:
        """Calls `callback` with each event written here, in order, after its commit."""
        self._subscribers.append(callback)

    def append(
        self,
        run_id: RunId | None,
        kind: EventKind,
        data: JsonObject,
        *,
        duration_ms: float | None = None,
        trace_id: str | None = None,
        at: datetime | None = None,
    ) -> Event:
        """Appends an event; it becomes durable with the transaction that is open. `at` None: it happens now.

        Raises:
            Refused: `unknown-run`.
        """
        trace = trace_id or self._trace_id(run_id)
        (seq, before), run_seq = self._tip(), self._next_run_seq(run_id)
        clean, at = self._pen.clean(data), at or codec.now()
        duration = None if duration_ms is None else float(duration_ms)
        row = _row(before, (seq, run_seq, run_id, codec.stamp(at), kind.value), clean, trace, duration)
        event = Event(seq, run_seq, at, run_id, kind, clean, trace, duration, str(row[-1]))
        self._write([row], [event])
        return event

    def append_all(self, run_id: RunId | None, told: Sequence[tuple[EventKind, JsonObject]]) -> None:
        """Appends several events of one run in order, as `append` does each, in fewer steps.

        Raises:
            Refused: `unknown-run`.
        """
        if not told:
            return
        trace, (seq, before), run_seq = self._trace_id(run_id), self._tip(), self._next_run_seq(run_id)
        at = codec.now()
        stamped, written, events = codec.stamp(at), list[tuple[codec.Column, ...]](), list[Event]()
        cleaned = self._pen.clean_all([data for _, data in told])
        for number, ((kind, _), clean) in enumerate(zip(told, cleaned, strict=True)):
            place = (seq + number, run_seq + number, run_id, stamped, kind.value)
            row = _row(before, place, clean, trace, None)
            before = str(row[-1])
            written.append(row)
            if self._subscribers:
                events.append(Event(place[0], place[1], at, run_id, kind, clean, trace, None, before))
        self._write(written, events)

    def _write(self, written: Sequence[tuple[codec.Column, ...]], events: Sequence[Event]) -> None:
        self._database.run_many("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", written)
        if self._subscribers:
            for event in events:
                self._database.after_commit(partial(self._tell, event))

    def of_run(self, run_id: RunId | None, after_run_seq: int) -> list[Event]:
        """Returns the events of a run (None: those of no run) after one of them, in order."""
        found = self._database.all(
            f"SELECT {rows.EVENT} FROM events WHERE run_id IS ? AND run_seq > ? ORDER BY run_seq",
            (run_id, after_run_seq),
        )
        return rows.read(self._database, rows.event, found)

    def first_broken(self) -> int | None:
        """Returns the number of the first event that was changed, removed or put in, None without any."""
        with self._database.reading():
            expected, before = 1, FIRST_HASH
            for row in self._database.each(f"SELECT {rows.EVENT} FROM events ORDER BY seq"):
                if row[0] != expected or row[8] != chained(before, row[:8]):
                    return expected
                expected, before = expected + 1, row[8]
            given = self._database.one("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
            return expected if given is not None and given[0] != expected - 1 else None

    def _tell(self, event: Event) -> None:
        for callback in self._subscribers:
            callback(event)

    def _tip(self) -> tuple[int, str]:
        row = self._database.one("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
        return (1, FIRST_HASH) if row is None else (row[0] + 1, row[1])

    def _next_run_seq(self, run_id: RunId | None) -> int:
        row = self._database.one("SELECT max(run_seq) FROM events WHERE run_id IS ?", (run_id,))
        return 1 if row is None or row[0] is None else int(row[0]) + 1

    def _trace_id(self, run_id: RunId | None) -> str:
        if run_id is None:
            return self._own_trace_id
        known = self._trace_ids.get(run_id)
        if known is None:
            row = self._database.one("SELECT trace_id FROM runs WHERE id = ?", (run_id,))
            if row is None:
                raise unknown_run(run_id)
            known = str(row[0])
            self._database.after_commit(partial(self._trace_ids.__setitem__, run_id, known))
        return known


def _row(
    before: str,
    place: tuple[int, int, RunId | None, str, str],
    data: JsonObject,
    trace: str,
    duration: float | None,
) -> tuple[codec.Column, ...]:
    """Returns the columns of an event; `place` is its first five, the hash comes last."""
    content = (*place, codec.dump_object(data), trace, duration)
    return (*content, chained(before, content))


def chained(before: str, content: tuple[codec.Column, ...]) -> str:
    """Returns the hash of an event: SHA-256 over the hash before it and its columns as a JSON list."""
    return hashlib.sha256((before + json.dumps(content)).encode()).hexdigest()


def unknown_run(run_id: str) -> Refused:
    """Returns the error for a run id that names no run."""
    return Refused(
        f"There is no run {run_id!r}.", code="unknown-run", hint="List them with: orchestrator status"
    )


def illegal(what: str, old: str, new: str) -> Refused:
    """Returns the error for a change of status that the model does not know."""
    return Refused(
        f"{what} is {old} and cannot become {new}.",
        code="illegal-transition",
        hint="Look at it with: orchestrator status",
    )
