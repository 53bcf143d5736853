"""Leaves signs of life in a session while somebody works in it."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

from orchestrator.errors import OrchestratorError
from orchestrator.fs.disk import Disk
from orchestrator.sessions.identity import FRESH_S, Session, beat

INTERVAL_S = FRESH_S / 10


class Heartbeat:
    """A context in which a session beats: at once, then every minute, from a thread of its own.

    A disk that takes no more stops the beat, not the work: locks still tell that the session lives.
    """

    def __init__(self, session: Session | None, *, interval_s: float = INTERVAL_S) -> None:
        self._session = session
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        """Leaves the first sign and begins."""
        if self._session is not None:
            self._beat(self._session)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _go_on(self) -> None:
        while self._session is not None and not self._ended.wait(self._interval_s):
            self._beat(self._session)

    def _beat(self, session: Session) -> None:
        with contextlib.suppress(OrchestratorError, OSError):
            beat(Disk(), session)
