"""Saves a run as a bundle in a directory that outlives the machine, where no remote takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.engine.context import EngineContext
from orchestrator.engine.persistence import PersistReason
from orchestrator.errors import OrchestratorError
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.sessions.bundle import write_bundle
from orchestrator.sessions.saved import read_saved
from orchestrator.sessions.segments import Save, chain_ref, read_save
from orchestrator.sessions.writing import Wish, next_save

SUFFIX = ".orchestrator-bundle"


@dataclass(slots=True)
class Shelf:
    """One run's file in the directory, replaced as a whole each time; the caller holds the run's lock."""

    context: EngineContext
    run_id: RunId
    wish: Wish
    directory: Path
    tell: Callable[[str], None]
    newest: Save | None = None
    _shelved: ObjectId | None = None
    _told: set[str] = field(default_factory=set)

    @property
    def file(self) -> Path:
        """Returns the file that `bundle import` takes elsewhere."""
        return self.directory / f"{self.run_id}{SUFFIX}"

    def save(self, reason: PersistReason) -> bool:
        """Writes the file anew when anything is new; returns whether it holds everything now.

        What stands in the way is told once; the run goes on, and the next call tries again.
        """
        try:
            return self._save(reason)
        except OrchestratorError as error:
            if error.code not in self._told:
                self._told.add(error.code)
                self.tell(f"Run {self.run_id} is not kept in {self.directory}: {error.message}")
            return False

    def _save(self, reason: PersistReason) -> bool:
        git, session = self.context.repository.git, self.wish.session
        if self.newest is None:
            tip = self.context.repository.read_ref(chain_ref(session, self.run_id))
            self.newest = read_save(git, tip, session=session, run_id=self.run_id) if tip else None
        made = next_save(self.context, self.run_id, self.wish, newest=self.newest, reason=reason)
        self.newest = made or self.newest
        if self.newest is None:
            return False
        if self.newest.commit == self._shelved and self.file.exists():
            return True
        Disk().make_dir(self.directory)
        saved = read_saved(git, self.newest.commit, session=session, run_id=self.run_id)
        write_bundle(self.context, saved, self.file)
        self._shelved = self.newest.commit
        return True
