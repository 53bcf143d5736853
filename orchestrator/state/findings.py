"""Findings: what checks complained about, and when it was gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from orchestrator.errors import Refused
from orchestrator.model.event import EventKind
from orchestrator.model.finding import REVIEW, Finding, RecordedFinding, Severity
from orchestrator.model.ids import ExecutionId, FindingId, PhaseId, RunId, new_id
from orchestrator.model.run import Execution
from orchestrator.state import codec, rows
from orchestrator.state.database import Database
from orchestrator.state.events import EventLog
from orchestrator.state.pen import Pen

OF_REVIEWERS = f"rule GLOB '{REVIEW}*'"
_CURRENT = (
    f"resolved = 0 AND ({OF_REVIEWERS} OR execution_id = (SELECT executions.id FROM findings JOIN executions"
    f" ON executions.id = findings.execution_id WHERE findings.run_id = ? AND resolved = 0"
    f" AND NOT {OF_REVIEWERS} ORDER BY executions.rowid DESC LIMIT 1))"
)
"""Unresolved; of checks, of the last execution that has any: an older one of the same kind was found again
there. What reviewers found stays as it is until a later review no longer has it."""


class Findings:
    """The table of findings."""

    def __init__(self, database: Database, events: EventLog, pen: Pen) -> None:
        self._database = database
        self._events = events
        self._pen = pen

    def add(self, execution: Execution, finding: Finding, is_new: bool) -> RecordedFinding:
        """Adds a finding of an execution, with its event.

        Raises:
            Refused: `state-conflict` when there is no such execution.
        """
        finding_id = FindingId(new_id("finding"))
        recorded = RecordedFinding(
            finding_id, execution.run_id, execution.id, finding, is_new, False, None, codec.now()
        )
        self.insert(recorded)
        self._events.append(
            execution.run_id,
            EventKind.FINDING_ADDED,
            {**told(recorded.id, execution.phase_id, finding), "is_new": is_new},
        )
        return recorded

    def insert(self, recorded: RecordedFinding) -> None:
        """Adds a finding without an event."""
        finding = self._pen.finding(recorded.finding)
        self._database.run(
            "INSERT INTO findings VALUES (?, ?, ?, ?, ?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT),"
            " CAST(? AS TEXT), ?, ?, ?, ?, ?)",
            (
                recorded.id,
                recorded.execution_id,
                recorded.run_id,
                str(finding.severity),
                str(finding.category),
                self._pen.text(finding.message),
                self._pen.text(finding.location),
                self._pen.text(finding.rule),
                self._pen.text(finding.context),
                finding.identity,
                int(recorded.is_new),
                int(recorded.resolved),
                codec.stamp_or_none(recorded.resolved_at),
                codec.stamp(recorded.created_at),
            ),
        )

    def resolve_absent(self, execution: Execution, identities: Collection[str], *, own: bool) -> int:
        """Resolves what checks complained about before this execution, or in it, and no longer do.

        Returns how many; each has its event.

        Raises:
            Refused: `unknown-execution`.
        """
        found = self._database.one("SELECT rowid FROM executions WHERE id = ?", (execution.id,))
        if found is None:
            raise Refused(f"There is no execution {execution.id!r}.", code="unknown-execution")
        earlier = self._database.all(
            "SELECT identity, executions.phase_id, findings.id, findings.run_id, execution_id, severity,"
            " category, message, location, rule, context, is_new, resolved, resolved_at, findings.created_at"
            " FROM findings JOIN executions ON executions.id = findings.execution_id"
            f" WHERE findings.run_id = ? AND resolved = 0 AND NOT {OF_REVIEWERS} AND executions.rowid < ?"
            " ORDER BY findings.rowid",
            (execution.run_id, found[0] + own),
        )
        kept, stamp = frozenset(identities), codec.stamp(codec.now())
        gone = [row for row in earlier if row[0] not in kept]
        for row, recorded in zip(
            gone, rows.read(self._database, rows.finding, [row[2:] for row in gone]), strict=True
        ):
            self.resolve(execution, PhaseId(row[1]), recorded, stamp)
        return len(gone)

    def resolve(self, execution: Execution, phase_id: PhaseId, recorded: RecordedFinding, stamp: str) -> None:
        """Records that an execution no longer has a finding, with its event."""
        self._database.run(
            "UPDATE findings SET resolved = 1, resolved_at = ? WHERE id = ?", (stamp, recorded.id)
        )
        self._events.append(
            execution.run_id,
            EventKind.FINDING_RESOLVED,
            {**told(recorded.id, phase_id, recorded.finding), "resolved_by": execution.id},
        )

    def of_run(
        self, run_id: RunId, execution_id: ExecutionId | None, unresolved_only: bool
    ) -> list[RecordedFinding]:
        """Returns findings in the order they were added; see `StateManager.get_findings`."""
        where, parameters = "run_id = ?", [str(run_id)]
        if execution_id is not None:
            where, parameters = where + " AND execution_id = ?", [*parameters, execution_id]
            where += " AND resolved = 0" * unresolved_only
        elif unresolved_only:
            where, parameters = f"{where} AND {_CURRENT}", [*parameters, run_id]
        found = self._database.all(
            f"SELECT {rows.FINDING} FROM findings WHERE {where} ORDER BY rowid", parameters
        )
        return rows.read(self._database, rows.finding, found)

    def summary(self, run_id: RunId) -> dict[str, dict[str, int]]:
        """Returns how many findings stand unresolved, as `{"all": {severity: n}, "new": {severity: n}}`."""
        counts = {scope: {str(severity): 0 for severity in Severity} for scope in ("all", "new")}
        found: Iterable[tuple[str, int, int]] = self._database.all(
            "SELECT severity, count(*), sum(is_new) FROM findings"
            f" WHERE run_id = ? AND {_CURRENT} GROUP BY severity",
            (run_id, run_id),
        )
        for severity, all_of_them, new in found:
            counts["all"][severity] = all_of_them
            counts["new"][severity] = new
        return counts


def told(finding_id: FindingId, phase_id: PhaseId, finding: Finding) -> dict[str, str]:
    """Returns what an event says of a finding."""
    return {
        "finding_id": finding_id,
        "phase_id": phase_id,
        "severity": str(finding.severity),
        "category": str(finding.category),
        "message": finding.message,
        "location": finding.location,
        "rule": finding.rule,
    }
