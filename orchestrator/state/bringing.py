"""Writes a run that comes from a document into the tables, or takes an older one out of them."""

from __future__ import annotations

from orchestrator.state import document
from orchestrator.state.database import Database
from orchestrator.state.document import RunDocument
from orchestrator.state.events import EventLog
from orchestrator.state.executions import Executions
from orchestrator.state.findings import Findings
from orchestrator.state.operations import Operations
from orchestrator.state.pen import Pen
from orchestrator.state.phases import Phases
from orchestrator.state.records import Artifacts, Interventions
from orchestrator.state.runs import Runs

_PARTS = ("findings", "artifacts", "manual_interventions", "executions", "phases")


class Bringing:
    """The tables that a run is written into; the caller has a transaction open."""

    def __init__(self, database: Database, events: EventLog, pen: Pen) -> None:
        self._database = database
        self._runs = Runs(database, events, pen)
        self._phases = Phases(database, events, pen)
        self._executions = Executions(database, events, pen)
        self._findings = Findings(database, events, pen)
        self._artifacts = Artifacts(database, events)
        self._interventions = Interventions(database, events, pen)
        self._operations = Operations(database, events)

    def insert(self, found: RunDocument) -> None:
        """Writes a run with all its parts.

        Raises:
            Refused: `run-exists`, `unsafe-path` or `state-conflict`.
        """
        self._runs.insert(found.run)
        for phase in found.phases:
            self._phases.insert(phase)
        for execution in found.executions:
            self._executions.insert(execution)
        for finding in found.findings:
            self._findings.insert(finding)
        for intervention in found.interventions:
            self._interventions.insert(intervention)
        known = {operation.id for operation in self._operations.of_run(found.run.id)}
        for record in found.operations:
            if record.id not in known:
                self._operations.insert(document.operation(record))
        for artifact in found.artifacts:
            self._artifacts.insert(artifact)

    def take_out(self, found: RunDocument) -> None:
        """Takes the rows of a run out, its events and operations excepted."""
        for table in (*_PARTS, "runs"):
            column = "id" if table == "runs" else "run_id"
            self._database.run(f"DELETE FROM {table} WHERE {column} = ?", (found.run.id,))
