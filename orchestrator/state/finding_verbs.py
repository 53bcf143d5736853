"""The verbs of the state that are about findings; `StateManager` has them with all others."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from orchestrator.model.finding import Finding, RecordedFinding
from orchestrator.model.ids import ExecutionId, RunId
from orchestrator.model.run import Execution
from orchestrator.state.database import Database
from orchestrator.state.findings import Findings
from orchestrator.state.reviews import Reviews


class FindingVerbs:
    """Writes and reads findings; each verb that writes is one transaction with its events."""

    _database: Database
    _findings: Findings
    _reviews: Reviews

    def add_finding(self, execution: Execution, finding: Finding, *, is_new: bool) -> RecordedFinding:
        """Adds what a check complains about.

        Raises:
            Refused: `state-conflict` when there is no such execution.
        """
        with self._database.transaction():
            return self._findings.add(execution, finding, is_new)

    def add_findings(
        self, execution: Execution, findings: Iterable[tuple[Finding, bool]]
    ) -> list[RecordedFinding]:
        """Adds findings, each with whether it is new, in one transaction.

        Raises:
            Refused: `state-conflict` when there is no such execution.
        """
        with self._database.transaction():
            return [self._findings.add(execution, finding, is_new) for finding, is_new in findings]

    def resolve_findings_absent_from(
        self, execution: Execution, identities: Collection[str], *, own: bool = False
    ) -> int:
        """Resolves what checks complained about in earlier executions of the run and no longer do.

        With `own` what they complained about in this execution is resolved too, in an earlier round of it.
        Returns how many were resolved.

        Raises:
            Refused: `unknown-execution`.
        """
        with self._database.transaction():
            return self._findings.resolve_absent(execution, identities, own=own)

    def record_review(self, execution: Execution, findings: Iterable[Finding], *, of_same_tree: bool) -> None:
        """Records what a reviewer found (`Finding.sources`), in one transaction.

        What is known already gets one more source, and the worse severity. When the reviewer looked at
        another tree than the one before (`of_same_tree` is False), what earlier reviews of the phase found
        and this one does not repeat is resolved.

        Raises:
            Refused: `state-conflict` when there is no such execution.
        """
        with self._database.transaction():
            self._reviews.record(execution, tuple(findings), of_same_tree=of_same_tree)

    def get_findings(
        self, run_id: RunId, *, execution_id: ExecutionId | None = None, unresolved_only: bool = False
    ) -> list[RecordedFinding]:
        """Returns findings in the order they were added.

        `unresolved_only` without an execution gives, of what checks complain about, those of the last
        execution that has any: what an older one complained about and is not resolved was found again there.
        """
        return self._findings.of_run(run_id, execution_id, unresolved_only)

    def get_findings_summary(self, run_id: RunId) -> dict[str, dict[str, int]]:
        """Returns how many findings stand unresolved, as `{"all": {severity: n}, "new": {severity: n}}`."""
        return self._findings.summary(run_id)
