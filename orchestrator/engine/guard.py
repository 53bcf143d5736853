"""Watches over what of the user's repository must stay as it is while a run is worked on."""

from __future__ import annotations

from orchestrator.engine.context import EngineContext
from orchestrator.model.event import EventKind
from orchestrator.model.ids import RunId
from orchestrator.repo.fingerprint import differences


class Guard:
    """Remembers the user's HEAD, refs, index, configuration, hooks and stash as they are when it is made."""

    def __init__(self, context: EngineContext, run_id: RunId) -> None:
        self._context = context
        self._run_id = run_id
        self._before = context.repository.fingerprint()

    def report(self) -> None:
        """Records what is no longer as it was, and takes it as it is from now on."""
        now = self._context.repository.fingerprint()
        changed, self._before = differences(self._before, now), now
        if changed:
            self._context.state.record_event(
                self._run_id, EventKind.FINGERPRINT_CHANGED, {"differences": list(changed)}
            )

    def accept(self) -> None:
        """Takes everything as it is now, after a change that the user asked for."""
        self._before = self._context.repository.fingerprint()
