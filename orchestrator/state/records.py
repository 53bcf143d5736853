"""Artifacts of a run, and what of it needs a person."""

from __future__ import annotations

from pathlib import PurePosixPath

from orchestrator.errors import Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import InterventionId, PhaseId, RunId, new_id
from orchestrator.model.record import Artifact, InterventionStatus, ManualIntervention
from orchestrator.state import codec, rows
from orchestrator.state.database import Database, Parameters
from orchestrator.state.events import EventLog, illegal
from orchestrator.state.pen import Pen


class Artifacts:
    """The table of artifacts."""

    def __init__(self, database: Database, events: EventLog) -> None:
        self._database = database
        self._events = events

    def add(self, artifact: Artifact) -> None:
        """Adds an artifact, with its event.

        Raises:
            Refused: `unknown-run`, or `unsafe-path` when its path could lead out of the artifacts directory.
        """
        facts = {"name": artifact.name, "path": artifact.path, "type": artifact.type, "hash": artifact.hash}
        self._events.append(artifact.run_id, EventKind.ARTIFACT_ADDED, {**facts, "size": artifact.size_bytes})
        self.insert(artifact)

    def insert(self, artifact: Artifact) -> None:
        """Adds an artifact without an event; raises as `add` does."""
        _check_inside(artifact.path)
        self._database.run(
            "INSERT INTO artifacts VALUES (?, ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, ?)",
            (
                artifact.id,
                artifact.run_id,
                artifact.phase_id,
                codec.bindable(artifact.name),
                codec.bindable(artifact.path),
                artifact.type,
                artifact.size_bytes,
                artifact.hash,
                codec.stamp(artifact.created_at),
            ),
        )

    def of_run(self, run_id: RunId) -> list[Artifact]:
        """Returns the artifacts of a run in the order they were added."""
        found = self._database.all(
            f"SELECT {rows.ARTIFACT} FROM artifacts WHERE run_id = ? ORDER BY rowid", (run_id,)
        )
        return rows.read(self._database, rows.artifact, found)


def _check_inside(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path or "\\" in path or ":" in parts[0]:
        raise Refused(f"{path!r} is no path inside the artifacts directory.", code="unsafe-path")


class Interventions:
    """The table of manual interventions."""

    def __init__(self, database: Database, events: EventLog, pen: Pen) -> None:
        self._database = database
        self._events = events
        self._pen = pen

    def add(
        self, run_id: RunId, phase_id: PhaseId | None, reason: str, action_required: str
    ) -> ManualIntervention:
        """Adds a request to a person, with its event.

        Raises:
            Refused: `unknown-run`.
        """
        made = ManualIntervention(
            InterventionId(new_id("ask")),
            run_id,
            phase_id,
            reason,
            action_required,
            InterventionStatus.OPEN,
            None,
            None,
            codec.now(),
        )
        facts = {"intervention_id": made.id, "phase_id": phase_id, "reason": reason}
        self._events.append(
            run_id, EventKind.INTERVENTION_REQUESTED, {**facts, "action_required": action_required}
        )
        self.insert(made)
        return made

    def insert(self, intervention: ManualIntervention) -> None:
        """Adds a request to a person without an event."""
        note = intervention.note
        self._database.run(
            "INSERT INTO manual_interventions"
            " VALUES (?, ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), ?, CAST(? AS TEXT), ?, ?)",
            (
                intervention.id,
                intervention.run_id,
                intervention.phase_id,
                self._pen.text(intervention.reason),
                self._pen.text(intervention.action_required),
                str(intervention.status),
                self._pen.text_or_none(note),
                codec.stamp_or_none(intervention.resolved_at),
                codec.stamp(intervention.created_at),
            ),
        )

    def resolve(self, intervention_id: InterventionId, note: str) -> ManualIntervention:
        """Records a person's answer, with its event, and returns the answered request.

        Raises:
            Refused: `unknown-intervention`, or `illegal-transition` when it was answered before.
        """
        row = self._database.one("SELECT status FROM manual_interventions WHERE id = ?", (intervention_id,))
        if row is None:
            raise Refused(
                f"There is no intervention {intervention_id!r}.",
                code="unknown-intervention",
                hint="List them with: orchestrator interventions",
            )
        if row[0] != InterventionStatus.OPEN:
            raise illegal(f"Intervention {intervention_id}", row[0], InterventionStatus.RESOLVED)
        self._database.run(
            "UPDATE manual_interventions SET status = 'resolved', note = CAST(? AS TEXT), resolved_at = ?"
            " WHERE id = ?",
            (self._pen.text(note), codec.stamp(codec.now()), intervention_id),
        )
        resolved = self._found("WHERE id = ?", (intervention_id,))[0]
        facts = {"intervention_id": intervention_id, "note": note}
        self._events.append(resolved.run_id, EventKind.INTERVENTION_RESOLVED, facts)
        return resolved

    def of_run(self, run_id: RunId | None, open_only: bool) -> list[ManualIntervention]:
        """Returns the requests of a run (None: of all) in the order they were made."""
        conditions = ["run_id = ?"] * (run_id is not None) + ["status = 'open'"] * open_only
        where = "WHERE " + " AND ".join(conditions) if conditions else ""
        return self._found(where, () if run_id is None else (run_id,))

    def _found(self, where: str, parameters: Parameters) -> list[ManualIntervention]:
        found = self._database.all(
            f"SELECT {rows.INTERVENTION} FROM manual_interventions {where} ORDER BY rowid", parameters
        )
        return rows.read(self._database, rows.intervention, found)
