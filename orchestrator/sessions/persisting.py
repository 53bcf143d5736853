"""Saves a run while it is worked on: at each step's end, on a pause, on SIGTERM, and every so often.

The engine calls; a thread beside it looks after the time in which an agent works. Agents are never held up:
their tree is read while they write it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from orchestrator.engine.context import EngineContext
from orchestrator.engine.keeping import keep_live
from orchestrator.engine.persistence import PersistReason
from orchestrator.engine.work import open_work
from orchestrator.errors import OrchestratorError, TakenOver
from orchestrator.model.ids import RunId
from orchestrator.sessions.saving import STOP_S

Tell = Callable[[str], None]
Save = Callable[[PersistReason], bool]
"""Saves the run and returns whether everything is safe now; raises TakenOver."""
PATIENCE_S = 180.0
"""How long a save that hangs is waited for; its own limits end it before."""


class Persister:
    """Saves one run as long as it is open; to be used as a context manager around the work on it."""

    def __init__(
        self, context: EngineContext, run_id: RunId, save: Save, tell: Tell, *, every_s: float
    ) -> None:
        self._context = context
        self._run_id = run_id
        self._save_run = save
        self._tell = tell
        self._every_s = every_s
        self._saving = threading.Lock()
        self._tree = threading.Lock()
        self._is_live = False
        self._told = ""
        self._patience_s = PATIENCE_S
        self._lost: TakenOver | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="persist", daemon=True)

    @property
    def context(self) -> EngineContext:
        """Returns the context with which the engine calls this."""
        return replace(self._context, persist=self)

    def is_lost(self) -> bool:
        """Returns whether the run went on elsewhere, so that the work here must stop."""
        return self._lost is not None

    def __call__(self, reason: PersistReason) -> None:
        """Does what follows from `reason`.

        Raises:
            TakenOver: the run went on elsewhere.
        """
        if reason in (PersistReason.AGENT_STARTS, PersistReason.AGENT_ENDED):
            with self._tree:  # a checkpoint that is being taken is waited for
                self._is_live = reason is PersistReason.AGENT_STARTS
            return
        self._save(reason)
        if self._lost is not None:
            raise self._lost

    def __enter__(self) -> Persister:
        """Starts to look after the time."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it; a save that is under way is waited for, but not long when the process must end."""
        self._over.set()
        self._thread.join(self._patience_s)

    def _save(self, reason: PersistReason) -> None:
        self._patience_s = STOP_S if reason is PersistReason.STOPS else PATIENCE_S
        if not self._saving.acquire(timeout=self._patience_s):
            return  # another save hangs; it told so
        try:
            if self._lost is None:
                self._save_run(reason)
        except TakenOver as error:
            self._lost = error
        finally:
            self._saving.release()

    def _watch(self) -> None:
        while not self._over.wait(self._every_s) and self._lost is None:
            try:
                if self._keep_tree():
                    self._told = ""
                    self._save(PersistReason.TIMER)
            except OrchestratorError as error:  # the next time may do better, and the step's end will
                self._tell_once(error)

    def _tell_once(self, error: OrchestratorError) -> None:
        """Says what stands in the way, once until a tree could be saved again: the time comes quickly."""
        if error.code != self._told:
            self._told = error.code
            self._tell(f"The tree could not be saved while the agent works: {error.message}")

    def _keep_tree(self) -> bool:
        with self._tree:
            if not self._is_live:
                return False
            keep_live(open_work(self._context, self._run_id, lambda: False))
        return True
