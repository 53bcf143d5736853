"""The front of the room: what a command calls, each under the migration's lock, and what it gets to show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import printable
from orchestrator.fs.lock import DirectoryLock
from orchestrator.migrate.actions import Action, Options, Plan, Trouble
from orchestrator.migrate.apply import apply
from orchestrator.migrate.catalogue import Layout, current_version
from orchestrator.migrate.check import check, insist, running
from orchestrator.migrate.finalize import Finalized, finalize
from orchestrator.migrate.plan import plan
from orchestrator.migrate.plan_file import insist_unchanged
from orchestrator.migrate.progress import OnProgress, silent
from orchestrator.migrate.publish import MakeLayout, publish, sweep
from orchestrator.migrate.record import OPEN, Record, State, records
from orchestrator.migrate.rollback import Expendable, Return, nothing_expendable, plan_rollback, rollback
from orchestrator.migrate.sniff import layout_version
from orchestrator.migrate.survey import survey
from orchestrator.model.json import Json, JsonObject
from orchestrator.paths import names


@dataclass(frozen=True, slots=True)
class Migration:
    """What a dry run shows: the plan, every trouble, and an interrupted migration, which comes first."""

    plan: Plan
    troubles: tuple[Trouble, ...]
    interrupted: Record | None = None

    @property
    def pending(self) -> bool:
        """Returns whether `migrate` has anything to do."""
        return self.interrupted is not None or self.plan.pending

    def to_json(self) -> JsonObject:
        """Returns the shape of CONTRACT.md, `migrate --dry-run --json`; secrets by name alone."""
        chosen = self.plan
        return {
            "schema_version": 1,
            "id": chosen.id,
            "pending": self.pending,
            "layouts": chosen.layouts,
            "actions": [_action_json(action) for action in chosen.actions],
            "conflicts": [_action_json(action) for action in chosen.conflicts],
            "bytes_needed": chosen.bytes_needed,
            "same_filesystem": chosen.same_filesystem,
            "troubles": [trouble.model_dump(mode="json") for trouble in self.troubles],
            "warnings": chosen.warnings,
            "interrupted": None if self.interrupted is None else self.interrupted.plan.id,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did, `nothing` where there was nothing to do; `kept` tells what could not go back.

    `earlier` are the upgrades of our own layout that went before in the same call, each a migration of its
    own; `more` says that something is left for another call.
    """

    did: Literal["nothing", "migrated", "resumed", "rolled-back"]
    record: Record | None = None
    plan: Plan | None = None
    kept: tuple[str, ...] = ()
    earlier: tuple[Record, ...] = ()
    more: bool = False


class Migrator:
    """Migrates one checkout. `make_layout` makes our own `.orchestrator/` in a directory that has none.

    `expendable` names what a rollback need not leave of a database that came after the files had moved.
    """

    def __init__(
        self,
        root: Path,
        *,
        catalogue: Sequence[Layout],
        disk: Disk,
        make_layout: MakeLayout | None = None,
        home: Path | None = None,
        jobs: int = 1,
        progress: OnProgress = silent,
        expendable: Expendable = nothing_expendable,
    ) -> None:
        self._root = root
        self._catalogue = tuple(catalogue)
        self._disk = disk
        self._make_layout = make_layout
        self._home = home
        self._jobs = jobs
        self._progress = progress
        self._expendable = expendable

    def preview(self, options: Options | None = None) -> Migration:
        """Returns what `migrate` would do; takes no lock, changes nothing.

        Raises:
            Refused: git does not trust the repository, or it is broken. Failed: `record-damaged`.
        """
        chosen = self._plan(options)
        return Migration(chosen, check(chosen, self._root, self._disk), self.interrupted())

    def is_behind(self) -> bool:
        """Returns whether our own layout is of an earlier version than that at which the catalogue ends."""
        directory = self._root / names.DIRECTORY
        version = None if directory.is_symlink() else layout_version(os.fspath(directory))
        return version is not None and version < current_version(self._catalogue)

    def interrupted(self) -> Record | None:
        """Returns the migration that was begun and neither completed nor taken back; there is at most one."""
        return next((record for record in records(self._root) if record.state in OPEN), None)

    def migrate(self, options: Options | None = None, *, shown: Plan | None = None) -> Outcome:
        """Finishes an interrupted migration, or else plans, checks and carries out a new one.

        With `shown` exactly that plan is carried out, with its options. Otherwise upgrades of our own layout
        are done one after another up to the present version; what else there is waits for another call.

        Raises:
            MigrationRefused, MigrationConflict, Locked: nothing was changed. Refused: `tree-changed`.
            Failed, DiskFailed: call again, or `take_back`.
        """
        with self._lock("orchestrator migrate"):
            insist(running(self._root))
            sweep(self._root, self._disk)
            open_record = self.interrupted()
            if open_record is not None:
                return self._resume(open_record)
            chosen = self._plan(shown.options if shown is not None else options)
            if shown is not None:
                insist_unchanged(shown, chosen)
            if _is_nothing(chosen):
                return Outcome("nothing", plan=chosen)
            done = [self._carry_out(chosen)]
            left = chosen if chosen.upgrade is None else self._plan(options)
            while shown is None and left is not chosen and left.upgrade is not None:
                done.append(self._carry_out(left))
                left = self._plan(options)
            more = left is not chosen and left.pending
            return Outcome("migrated", done[-1], done[-1].plan, earlier=tuple(done[:-1]), more=more)

    def resume(self) -> Outcome:
        """Finishes an interrupted migration in the direction in which it was going; raises as `migrate`."""
        with self._lock("orchestrator migrate --resume"):
            insist(running(self._root))
            sweep(self._root, self._disk)
            open_record = self.interrupted()
            return Outcome("nothing") if open_record is None else self._resume(open_record)

    def preview_rollback(self, name: str | None = None) -> tuple[Return, ...]:
        """Returns what `take_back` would do; takes no lock, changes nothing."""
        record = self._newest(name)
        return () if record is None else plan_rollback(record, self._expendable)

    def take_back(self, name: str | None = None, *, force: bool = False) -> Outcome:
        """Takes a migration back, the newest without a name; says so where there is none.

        Raises:
            Refused: `migration-unknown`, `migration-finalized`. MigrationConflict: `changed-since`.
            Locked: a run is alive, or another migration. Failed, DiskFailed: call again.
        """
        with self._lock("orchestrator migrate --rollback"):
            insist(running(self._root))
            sweep(self._root, self._disk)
            record = self._newest(name)
            if record is None:
                return Outcome("nothing")
            return self._roll_back(record, force=force)

    def finish(self, name: str | None = None) -> Finalized | None:
        """Finalizes a migration, the newest completed one without a name; None where there is none."""
        with self._lock("orchestrator migrate --finalize"):
            sweep(self._root, self._disk)
            found = [one for one in records(self._root, self._disk) if _fits(one, name, _FINISHABLE)]
            if name is not None and not found:
                raise _unknown(name)
            return finalize(found[-1], self._disk) if found else None

    def _plan(self, options: Options | None) -> Plan:
        return plan(survey(self._root, self._catalogue, self._home), options)

    def _carry_out(self, chosen: Plan) -> Record:
        insist(check(chosen, self._root, self._disk))
        record = publish(chosen, self._root, self._disk, self._make_layout)
        apply(record, self._disk, jobs=self._jobs, progress=self._progress)
        return record

    def _resume(self, record: Record) -> Outcome:
        if record.state is State.ROLLING_BACK:
            return self._roll_back(record)
        if record.state is State.FINALIZING:
            finalize(record, self._disk)
        else:
            apply(record, self._disk, jobs=self._jobs, progress=self._progress)
        return Outcome("resumed", record, record.plan)

    def _roll_back(self, record: Record, *, force: bool = False) -> Outcome:
        kept = rollback(
            record,
            self._disk,
            force=force,
            jobs=self._jobs,
            progress=self._progress,
            expendable=self._expendable,
        )
        return Outcome("rolled-back", record, record.plan, kept)

    def _newest(self, name: str | None) -> Record | None:
        found = records(self._root, self._disk)
        if name is not None:
            named = [record for record in found if record.plan.id == name]
            if not named:
                raise _unknown(name)
            return _insisted_on_newest(named[-1], found)
        living = [one for one in found if one.state not in (State.ROLLED_BACK, State.FINALIZED)]
        unswept = [one for one in found if one.state is State.ROLLED_BACK and one.plan.place == "absent"]
        newest = next(reversed(living or unswept), None)
        return None if newest is None else _insisted_on_newest(newest, found)

    def _lock(self, command: str) -> DirectoryLock:
        # The checkout's own directory: there is nothing to make, and nothing to leave behind.
        inside = self._root / names.DIRECTORY
        if inside.is_symlink() or (inside / names.LOCKS).is_symlink():
            raise Refused(
                f"{inside} is, or holds, a link in the place of a directory of ours.",
                code="unsafe-directory",
                hint="Move it away, then: orchestrator migrate",
            )
        record = inside / names.LOCKS / "migrate"
        return DirectoryLock(self._root, record, "The migration of this checkout", command)


_FINISHABLE = (State.COMPLETED, State.FINALIZING)


def _is_nothing(chosen: Plan) -> bool:
    if chosen.pending or chosen.place == "older":
        return False
    return not chosen.troubles or not any(action.target for action in chosen.actions)


def _insisted_on_newest(record: Record, known: Sequence[Record]) -> Record:
    """Returns the record, unless it is an upgrade of our own layout on which a later migration stands."""
    ended = (State.ROLLED_BACK, State.FINALIZED)
    later = [one for one in known if one.begun_at > record.begun_at and one.state is not State.ROLLED_BACK]
    if record.plan.upgrade is None or record.state in ended or not later:
        return record
    newest = printable(later[-1].plan.id)
    first = f"Take that one back first: orchestrator migrate --rollback {newest}"
    raise Refused(
        f"The migration {newest} came after {printable(record.plan.id)} and stands on it.",
        code="migration-superseded",
        hint="It was finalized, so both stay." if later[-1].state is State.FINALIZED else first,
    )


def _fits(record: Record, name: str | None, states: tuple[State, ...]) -> bool:
    return record.plan.id == name if name is not None else record.state in states


def _unknown(name: str) -> Refused:
    return Refused(
        f"There is no migration {printable(name)} here.",
        code="migration-unknown",
        hint="Look at the names in .orchestrator/migrations",
    )


def _action_json(action: Action) -> dict[str, Json]:
    return {
        "source": printable(action.source),
        "target": None if action.target is None else printable(action.target),
        "action": action.action,
        "kind": action.kind,
        "layout": action.layout,
        "how": action.how,
        "files": action.files,
        "bytes": action.bytes,
        "allocated_bytes": action.allocated_bytes,
        "mode": action.mode,
        "tracked": action.tracked,
        "sensitive": action.sensitive,
        "reason": action.reason,
    }
