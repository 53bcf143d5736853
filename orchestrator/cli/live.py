"""Shows a run while it works: NDJSON, one line per change, or a live tree on a terminal."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Protocol

from orchestrator.cli.narration import describe
from orchestrator.cli.screen import SCHEMA_VERSION, Screen, Styled, encode
from orchestrator.cli.status_view import short_branch
from orchestrator.cli.terminal import write
from orchestrator.cli.words import duration
from orchestrator.model.event import Event, EventKind
from orchestrator.model.json import Json
from orchestrator.model.run import Run

HEARTBEAT_S = 30.0


class View(Protocol):
    """Receives the events of a run in their order; closed once, when the run rests."""

    def __enter__(self) -> View:
        """Starts showing."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops showing; the streams are the caller's again."""
        ...

    def event(self, event: Event) -> None:
        """Takes one event."""
        ...


def view_for(screen: Screen) -> View:
    """Returns the view that fits the streams and flags."""
    if screen.as_json:
        return Stream()
    if screen.errors_on_terminal and not screen.quiet and not screen.verbose:
        from orchestrator.cli.live_tree import LiveTree

        return LiveTree()
    return Lines(screen)


class Stream:
    """Prints each event as a line of JSON; keeps `run.finished` for the end, as promised."""

    def __init__(self) -> None:
        self._seq = 0
        self._finished: Event | None = None

    def __enter__(self) -> Stream:
        """Starts showing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Has nothing to give back."""

    def event(self, event: Event) -> None:
        """Prints one event."""
        if event.kind is EventKind.RUN_FINISHED:
            self._finished = event
            return
        self._seq = max(self._seq, event.run_seq)
        write(sys.stdout, encode(as_json(event)) + "\n")

    def finish(self, run: Run | None, exit_status: int, at: str) -> None:
        """Prints the last line, whatever ended the run."""
        progress = run.metadata.progress if run is not None else None
        seq = self._finished.run_seq if self._finished is not None else self._seq + 1
        recorded = as_json(self._finished) if self._finished is not None else {}
        last: dict[str, Json] = {
            **recorded,
            "schema_version": SCHEMA_VERSION,
            "seq": seq,
            "at": recorded.get("at", at),
            "run_id": run.id if run is not None else recorded.get("run_id"),
            "kind": EventKind.RUN_FINISHED,
            "status": run.status if run is not None else recorded.get("status"),
            "branch": short_branch(progress.branch) if progress is not None else None,
            "head": progress.result if progress is not None else None,
            "exit_status": exit_status,
        }
        write(sys.stdout, encode(last) + "\n")


def as_json(event: Event) -> dict[str, Json]:
    """Returns an event as the object of `run --json`; its own fields win over those of its data."""
    return {
        **event.data,
        "schema_version": SCHEMA_VERSION,
        "seq": event.run_seq,
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "run_id": event.run_id,
        "kind": event.kind,
        "trace_id": event.trace_id,
        "duration_ms": event.duration_ms,
    }


class Lines:
    """Prints one line per change, and a heartbeat when nothing has changed for 30 s."""

    def __init__(self, screen: Screen, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._screen = screen
        self._heartbeat_s = heartbeat_s
        self._began = self._changed = time.monotonic()
        self._last = "starting"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Lines:
        """Starts the heartbeat."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the heartbeat."""
        self._over.set()
        self._thread.join()

    def event(self, event: Event) -> None:
        """Prints one event, unless only `-v` wants it."""
        self._changed = time.monotonic()
        if event.kind in QUIET_KINDS and not self._screen.verbose:
            return
        self._last = describe(event)
        self._screen.note(Styled(event.at.strftime("%H:%M:%S "), "dim"), self._last)

    def _beat(self) -> None:
        while not self._over.wait(self._heartbeat_s):
            silent_s = time.monotonic() - self._changed
            if silent_s >= self._heartbeat_s:
                so_far = duration(time.monotonic() - self._began)
                self._screen.note(
                    f"still working, {so_far} in; no change for {duration(silent_s)}: {self._last}"
                )


QUIET_KINDS = frozenset(
    {
        EventKind.RUN_STATUS,
        EventKind.EXECUTION_STARTED,
        EventKind.EXECUTION_FINISHED,
        EventKind.AGENT_USAGE,
        EventKind.AGENT_REQUEST,
        EventKind.STEP_FINISHED,
        EventKind.ARTIFACT_ADDED,
        EventKind.CHECK_STARTED,
    }
)
"""Kinds that repeat what a neighbouring line says, or belong into the log alone."""


__all__ = ["HEARTBEAT_S", "Lines", "Stream", "View", "as_json", "view_for"]
