"""What reviewers found: merged by place and message, with everyone who said it, and gone when it is."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.model.event import EventKind
from orchestrator.model.finding import Finding, RecordedFinding, Severity, review_rule
from orchestrator.model.run import Execution
from orchestrator.state import codec, rows
from orchestrator.state.database import Database
from orchestrator.state.events import EventLog
from orchestrator.state.findings import OF_REVIEWERS, Findings, told
from orchestrator.state.pen import Pen

_WORST_FIRST = tuple(Severity)


class Reviews:
    """Those rows of the table of findings that agents made."""

    def __init__(self, database: Database, events: EventLog, pen: Pen, findings: Findings) -> None:
        self._database = database
        self._events = events
        self._pen = pen
        self._findings = findings

    def record(self, execution: Execution, found: tuple[Finding, ...], *, of_same_tree: bool) -> None:
        """Records what one reviewer found; see `StateManager.record_review`."""
        still_open = self._open(execution)
        for finding in map(self._pen.finding, found):
            known = _known(still_open, finding, of_same_tree=of_same_tree)
            if known is None:
                self._findings.add(execution, finding, True)
                continue
            self._merge(execution, known, finding)
            if not of_same_tree:
                still_open.remove(known)
        if not of_same_tree:
            stamp = codec.stamp(codec.now())
            for gone in still_open:
                self._findings.resolve(execution, execution.phase_id, gone, stamp)

    def _open(self, execution: Execution) -> list[RecordedFinding]:
        columns = ", ".join(f"findings.{name.strip()}" for name in rows.FINDING.split(","))
        found = self._database.all(
            f"SELECT {columns} FROM findings JOIN executions ON executions.id = findings.execution_id"
            f" WHERE findings.run_id = ? AND executions.phase_id = ? AND resolved = 0 AND {OF_REVIEWERS}"
            " ORDER BY findings.rowid",
            (execution.run_id, execution.phase_id),
        )
        return rows.read(self._database, rows.finding, found)

    def _merge(self, execution: Execution, known: RecordedFinding, finding: Finding) -> None:
        before = known.finding
        merged = replace(
            before,
            severity=min(before.severity, finding.severity, key=_WORST_FIRST.index),
            rule=review_rule((*before.sources, *finding.sources)),
            location=finding.location,
        )
        if merged == before:
            return
        self._database.run(
            "UPDATE findings SET severity = ?, rule = CAST(? AS TEXT), location = CAST(? AS TEXT)"
            " WHERE id = ?",
            (str(merged.severity), self._pen.text(merged.rule), self._pen.text(merged.location), known.id),
        )
        self._events.append(
            execution.run_id, EventKind.FINDING_MERGED, told(known.id, execution.phase_id, merged)
        )


def _known(
    still_open: list[RecordedFinding], finding: Finding, *, of_same_tree: bool
) -> RecordedFinding | None:
    """Returns the open finding that says the same; in another tree its line may have moved."""
    same = next((each for each in still_open if each.finding.claim == finding.claim), None)
    if same is None and not of_same_tree:
        same = next((each for each in still_open if each.finding.identity == finding.identity), None)
    return same
