"""Runs: how they are made, change and are found again."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.errors import Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.json import Json, JsonObject
from orchestrator.model.run import (
    ENDED_RUN,
    RUN_TRANSITIONS,
    Run,
    RunProgress,
    RunStatus,
)
from orchestrator.state import codec, rows
from orchestrator.state.database import Database
from orchestrator.state.events import EventLog, illegal, unknown_run
from orchestrator.state.pen import Pen

_NO_PROGRESS = RunProgress()


class Runs:
    """The table of runs."""

    def __init__(self, database: Database, events: EventLog, pen: Pen) -> None:
        self._database = database
        self._events = events
        self._pen = pen

    def insert(self, run: Run) -> None:
        """Adds a run without an event.

        Raises:
            Refused: `run-exists`.
        """
        if self.is_known(run.id):
            raise Refused(
                f"There is a run {run.id} already.", code="run-exists", hint="Choose another --run-id."
            )
        fixed = replace(run.metadata, progress=_NO_PROGRESS)
        self._database.run(
            "INSERT INTO runs VALUES (?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run.id,
                self._pen.text(run.task),
                str(run.status),
                codec.stamp(run.created_at),
                codec.stamp_or_none(run.started_at),
                codec.stamp_or_none(run.completed_at),
                self._pen.metadata(fixed),
                self._pen.run_progress(run.metadata.progress),
                run.metadata.origin.base,
                run.metadata.trace_id,
                int(run.metadata.progress.cancel_requested),
            ),
        )

    def is_known(self, run_id: RunId) -> bool:
        """Returns whether there is a run of that id."""
        return self._database.one("SELECT 1 FROM runs WHERE id = ?", (run_id,)) is not None

    def started(self, run: Run) -> None:
        """Records that a run was made."""
        options, origin = run.metadata.options, run.metadata.origin
        self._events.append(
            run.id,
            EventKind.RUN_STARTED,
            {"task": run.task, "base": origin.base, "workflow": options.workflow, "agent": options.agent},
        )

    def change_status(
        self, run_id: RunId, status: RunStatus, progress: RunProgress | None, data: JsonObject
    ) -> None:
        """Changes the status, the times that go with it, and optionally the progress, with its event.

        Raises:
            Refused: `unknown-run` or `illegal-transition`.
        """
        row = self._database.one("SELECT status, started_at, progress FROM runs WHERE id = ?", (run_id,))
        if row is None:
            raise unknown_run(run_id)
        old = RunStatus(row[0])
        if status not in RUN_TRANSITIONS[old]:
            raise illegal(f"Run {run_id}", old, status)
        stamp, ended = codec.stamp(codec.now()), status in ENDED_RUN
        text = row[2] if progress is None else self._pen.run_progress(progress)
        self._database.run(
            "UPDATE runs SET status = ?, started_at = ?, completed_at = ?, progress = ?,"
            " cancel_requested = cancel_requested AND ? WHERE id = ?",
            (str(status), row[1] or stamp, stamp if ended else None, text, not ended, run_id),
        )
        reached = codec.load(RunProgress, text) if progress is None else progress
        kind = EventKind.RUN_WAITING if status is RunStatus.WAITING else EventKind.RUN_STATUS
        self._events.append(run_id, kind, {**_facts(status, reached), **data})

    def set_progress(self, run_id: RunId, progress: RunProgress) -> None:
        """Replaces the progress; `cancel_requested` in it is left to `request_cancel`.

        Raises:
            Refused: `unknown-run`.
        """
        text = self._pen.run_progress(progress)
        if not self._database.run("UPDATE runs SET progress = ? WHERE id = ?", (text, run_id)):
            raise unknown_run(run_id)

    def get(self, run_id: RunId) -> Run:
        """Returns a run.

        Raises:
            Refused: `unknown-run`.
        """
        row = self._database.one(f"SELECT {rows.RUN} FROM runs WHERE id = ?", (run_id,))
        if row is None:
            raise unknown_run(run_id)
        return rows.read(self._database, rows.run, [row])[0]

    def listed(self, status: RunStatus | None, limit: int | None) -> list[Run]:
        """Returns runs, newest first."""
        where, parameters = ("WHERE status = ?", [str(status)]) if status else ("", [])
        found = self._database.all(
            f"SELECT {rows.RUN} FROM runs {where} ORDER BY created_at DESC, id DESC LIMIT ?",
            [*parameters, -1 if limit is None else limit],
        )
        return rows.read(self._database, rows.run, found)

    def not_ended(self) -> list[Run]:
        """Returns the runs that have not ended, oldest first."""
        open_ones = [str(status) for status in RunStatus if status not in ENDED_RUN]
        marks = ", ".join("?" * len(open_ones))
        found = self._database.all(
            f"SELECT {rows.RUN} FROM runs WHERE status IN ({marks}) ORDER BY created_at, id", open_ones
        )
        return rows.read(self._database, rows.run, found)

    def request_cancel(self, run_id: RunId) -> None:
        """Asks the owner of a run to stop; asking again changes nothing.

        Raises:
            Refused: `unknown-run`, or `illegal-transition` when the run has ended.
        """
        row = self._database.one("SELECT status, cancel_requested FROM runs WHERE id = ?", (run_id,))
        if row is None:
            raise unknown_run(run_id)
        if RunStatus(row[0]) in ENDED_RUN:
            raise illegal(f"Run {run_id}", row[0], RunStatus.CANCELLED)
        if not row[1]:
            self._database.run("UPDATE runs SET cancel_requested = 1 WHERE id = ?", (run_id,))
            self._events.append(run_id, EventKind.RUN_CANCEL_REQUESTED, {})

    def withdraw_cancel(self, run_id: RunId) -> None:
        """Takes back a request that no owner has answered: somebody resumes the run instead."""
        self._database.run("UPDATE runs SET cancel_requested = 0 WHERE id = ?", (run_id,))

    def cancel_requested(self, run_id: RunId) -> bool:
        """Returns whether somebody asked the owner to stop."""
        row = self._database.one("SELECT cancel_requested FROM runs WHERE id = ?", (run_id,))
        if row is None:
            raise unknown_run(run_id)
        return bool(row[0])


def _facts(status: RunStatus, progress: RunProgress) -> dict[str, Json]:
    facts: dict[str, Json] = {"status": str(status), "branch": progress.branch, "head": progress.result}
    if status is RunStatus.WAITING:
        facts["waiting_for"] = progress.waiting_for
        facts["wake_at"] = codec.stamp_or_none(progress.wake_at)
    if progress.error is not None:
        facts["error"] = progress.error
    return facts
