"""A whole migration: files move, then runs and configuration are taken over, and `ops` gets to know of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.frozen import freeze
from orchestrator.config.load import LoadedConfig, load
from orchestrator.config.withheld import make_known, yaml_without_secrets
from orchestrator.discovery import Located
from orchestrator.errors import ConfigInvalid, Refused, StateDamaged
from orchestrator.fs.disk import Disk
from orchestrator.migrate.actions import Options, Plan
from orchestrator.migrate.catalogue import Layout
from orchestrator.migrate.check import insist, running
from orchestrator.migrate.finalize import Finalized
from orchestrator.migrate.migration import Migration, Migrator, Outcome
from orchestrator.migrate.progress import OnProgress, silent
from orchestrator.migrate.record import Record, State, records
from orchestrator.model.record import Operation, OperationKind, OperationStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.repository import Repository
from orchestrator.state.manager import StateManager
from orchestrator.state.ownership import Ownership, read_ownership
from orchestrator.takeover import kept, making, taking_over
from orchestrator.takeover.derived import derived_state
from orchestrator.takeover.original import Problem
from orchestrator.takeover.taking_over import TakeoverReport

FACT = "migration"
"""The key under which an operation of the kind `migrate` names its migration."""

_ENDED = (State.ROLLED_BACK, State.FINALIZED)
_BAD = ("changed", "occupied", "lost")


@dataclass(frozen=True, slots=True)
class Moved:
    """What one call did: with the files, and with the runs of each migration that waited (by its id)."""

    outcome: Outcome
    takeovers: Mapping[str, TakeoverReport]
    kept: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Mover:
    """Migrates one checkout and takes over what that kept; every method may be killed and called again."""

    located: Located
    migrator: Migrator
    disk: Disk
    environment: Mapping[str, str]

    @property
    def paths(self) -> OrchestratorPaths:
        """Returns where `.orchestrator/` lies."""
        return OrchestratorPaths(Path(self.located.home))

    def preview(self, options: Options | None = None) -> tuple[Migration, tuple[Record, ...]]:
        """Returns what would move, and the migrations whose takeover still waits; changes nothing."""
        return self.migrator.preview(options), self.waiting()

    def waiting(self) -> tuple[Record, ...]:
        """Returns the completed migrations whose takeover is not finished, oldest first."""
        return kept.pending(self.paths.base_dir)

    def migrate(self, options: Options | None = None, *, shown: Plan | None = None) -> Moved:
        """Moves what is to move, or finishes what was interrupted, then takes over; raises as `Migrator`."""
        left = self._settle_configuration()
        outcome = self.migrator.migrate(options, shown=shown)
        if outcome.did == "rolled-back":
            self._note_rollback(outcome)
            return Moved(outcome, {}, left)
        return Moved(outcome, self._take_over(), left)

    def resume(self) -> Moved:
        """Finishes an interrupted migration or takeover, and begins none; raises as `Migrator`."""
        left = self._settle_configuration()
        outcome = self.migrator.resume()
        if outcome.did == "rolled-back":
            self._note_rollback(outcome)
            return Moved(outcome, {}, left)
        return Moved(outcome, self._take_over(), left)

    def take_back(self, name: str | None = None, *, force: bool = False) -> Moved:
        """Takes back the configuration that a takeover wrote, then the migration; raises as `Migrator`."""
        insist(running(self.paths.base_dir))
        returns = self.migrator.preview_rollback(name)
        refused = not force and any(one.verdict in _BAD for one in returns)
        left: tuple[Problem, ...] = ()
        if returns and not refused:
            left = self._take_back_configuration(name)
        outcome = self.migrator.take_back(name, force=force)
        self._note_rollback(outcome)
        return Moved(outcome, {}, left)

    def finish(self, name: str | None = None) -> Finalized | None:
        """Ends the possibility of rolling back.

        Raises:
            Refused: `takeover-waiting`, the originals are still needed; and as `Migrator.finish`.
        """
        if self.waiting():
            raise Refused(
                "The runs of a migration are not taken over yet, and its originals hold them.",
                code="takeover-waiting",
                hint="Take them over first: orchestrator migrate",
            )
        return self.migrator.finish(name)

    def rolled_back_next(self, name: str | None = None) -> Record | None:
        """Returns the migration that `take_back` would take back."""
        found = [one for one in records(self.paths.base_dir) if name is None or one.plan.id == name]
        return next((one for one in reversed(found) if one.state not in _ENDED), None)

    def _unrecorded(self, completed: Sequence[Record]) -> bool:
        if not os.path.isfile(self.paths.state_file):
            return True
        try:
            with StateManager.open_read_only(self.paths) as state:
                operations = state.get_operations()
        except (StateDamaged, Refused):
            return True
        return any(recorded(operations, one.plan.id) is None for one in completed)

    def _take_over(self) -> dict[str, TakeoverReport]:
        if self.migrator.is_behind():
            return {}  # the database may still be on its way
        waiting = self.waiting()
        completed = [one for one in records(self.paths.base_dir) if one.state is State.COMPLETED]
        if not waiting:
            self._clear_scratch()
        if not waiting and not (completed and self._unrecorded(completed)):
            return {}
        state, reason = self._state()
        try:
            made = {record.plan.id: self._taken(record, state, reason) for record in waiting}
            if state is not None:
                for one in completed:
                    _record(state, one.plan.id, os.fspath(self.located.checkout))
                _mark_taken_back(state, self.paths.base_dir)
        finally:
            if state is not None:
                state.close()
        return made

    def _taken(self, record: Record, state: StateManager | None, reason: str) -> TakeoverReport:
        head = Repository(self.located, trusted=False).head()
        try:
            report = taking_over.take_over(
                kept.originals_of(record),
                paths=self.paths,
                state=state,
                disk=self.disk,
                journal=kept.journal_of(record),
                base=head.oid,
                branch=head.branch,
                config_json=self._frozen,
                workflow_yaml=self._workflow_yaml,
            )
        except Refused as error:  # the configuration cannot be read: the files have moved, the runs wait
            places = error.problems if isinstance(error, ConfigInvalid) else ()
            return TakeoverReport(deferred=" ".join((error.message, *(f"{place}." for place in places))))
        if report.deferred and reason:
            return TakeoverReport(config=report.config, deferred=reason, problems=report.problems)
        return report

    def _loaded(self) -> LoadedConfig:
        return load(
            repository=Path(self.located.checkout),
            state_root=Path(self.located.home),
            environment=self.environment,
            flags={},
        )

    def _frozen(self) -> str:
        config = self._loaded().config
        return freeze(config, make_known(config, Redactor()))

    def _workflow_yaml(self) -> str | None:
        loaded = self._loaded()
        if loaded.workflow_yaml is None:
            return None
        redactor = make_known(loaded.config, Redactor())
        return yaml_without_secrets(loaded.workflow_yaml.decode("utf-8", "replace"), loaded.config, redactor)

    def _state(self) -> tuple[StateManager | None, str]:
        """Returns the database open for writing, or None and why it cannot be."""
        try:
            return StateManager.open(self.paths, create=True), ""
        except (StateDamaged, Refused) as error:
            return None, error.message

    def _settle_configuration(self) -> tuple[Problem, ...]:
        """Takes back the configuration of a rollback that was interrupted, before that goes on."""
        insist(running(self.paths.base_dir))
        interrupted = self.migrator.interrupted()
        if interrupted is None or interrupted.state is not State.ROLLING_BACK:
            return ()
        return self._take_back_configuration(interrupted.plan.id)

    def _take_back_configuration(self, name: str | None) -> tuple[Problem, ...]:
        self._clear_scratch()
        record = self.rolled_back_next(name)
        if record is None or not os.path.lexists(kept.journal_of(record)):
            return ()
        return taking_over.take_back(kept.journal_of(record), paths=self.paths, disk=self.disk)

    def _clear_scratch(self) -> None:
        if not self.paths.orchestrator_dir.is_symlink() and not self.paths.locks_dir.is_symlink():
            taking_over.clear_scratch(self.paths, self.disk)

    def _note_rollback(self, outcome: Outcome) -> None:
        if outcome.did == "rolled-back" and outcome.plan is not None:
            self._remember(outcome.plan.id)

    def _remember(self, name: str) -> None:
        """Marks the operation of a migration that was taken back; without a database, nobody asks.

        Where the directory is not ours any more, neither is the database in it: opening it would change it.
        """
        ours = read_ownership(os.fspath(self.paths.orchestrator_dir)) is Ownership.OURS
        if not ours or not os.path.isfile(self.paths.state_file):
            return
        state, _ = self._state()
        if state is None:
            return
        with state:
            _mark_undone(state, name)


def mover(
    located: Located,
    environment: Mapping[str, str],
    catalogue: Sequence[Layout],
    *,
    jobs: int = 1,
    progress: OnProgress = silent,
) -> Mover:
    """Returns what migrates a checkout, and takes over what that keeps."""
    home = environment.get("HOME")
    disk = Disk()
    paths = OrchestratorPaths(Path(located.home))
    migrator = Migrator(
        Path(located.home),
        catalogue=catalogue,
        disk=disk,
        make_layout=lambda directory: _made(OrchestratorPaths(directory)),
        home=Path(home) if home else None,
        jobs=jobs,
        progress=progress,
        expendable=lambda: derived_state(paths),
    )
    return Mover(located, migrator, disk, environment)


def _made(paths: OrchestratorPaths) -> None:
    making.make(paths)


def migration_of(operation: Operation) -> str | None:
    """Returns the id of the migration that an operation stands for; None for another kind."""
    name = operation.facts.get(FACT)
    return name if operation.kind is OperationKind.MIGRATE and isinstance(name, str) else None


def recorded(operations: Sequence[Operation], name: str) -> Operation | None:
    """Returns the operation that stands for a migration."""
    return next(
        (one for one in operations if one.kind is OperationKind.MIGRATE and one.facts.get(FACT) == name), None
    )


def _mark_taken_back(state: StateManager, root: Path) -> None:
    """Marks what was taken back while the database was not in its place: it had moved back too."""
    for one in records(root):
        if one.state is State.ROLLED_BACK:
            _mark_undone(state, one.plan.id)


def _mark_undone(state: StateManager, name: str) -> None:
    known = recorded(state.get_operations(), name)
    if known is not None and known.status is OperationStatus.DONE:
        state.update_operation(known.id, OperationStatus.UNDONE)


def _record(state: StateManager, name: str, checkout: str) -> None:
    if recorded(state.get_operations(), name) is not None:
        return
    with state.transaction():
        operation = state.begin_operation(OperationKind.MIGRATE, None, checkout, {FACT: name})
        state.update_operation(operation.id, OperationStatus.DONE)
