"""Known secrets in what an agent left: recorded as findings, and held against the result."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.engine.work import Work
from orchestrator.model.finding import Category, Finding, Severity
from orchestrator.model.ids import ObjectId
from orchestrator.model.record import Checkpoint, Leak
from orchestrator.model.run import Execution

IN_FILES = "secret-in-files"
IN_HISTORY = "secret-in-history"


@dataclass(frozen=True, slots=True)
class Held:
    """New findings of an attempt, the identities of all that still stand, and the thresholds they exceed."""

    findings: tuple[Finding, ...]
    identities: frozenset[str]
    over: tuple[str, ...]


def record_leaks(work: Work, checkpoint: Checkpoint) -> None:
    """Records what a checkpoint holds of known secrets as findings of the attempt that left it."""
    executions = work.context.state.get_executions(work.run_id)
    if not checkpoint.leaks or not executions:
        return
    latest = executions[-1]
    known = _identities(work, latest)
    findings = [_finding(leak) for leak in checkpoint.leaks]
    fresh = [(finding, True) for finding in findings if finding.identity not in known]
    work.context.state.add_findings(latest, fresh)
    work.note(
        f"Checkpoint {checkpoint.number} holds a secret: it, and those that follow it, stay on this machine."
    )


def leaks_held_against(work: Work, execution: Execution, tree: ObjectId, other_majors: int) -> Held:
    """Returns what the known secrets in the files of an attempt mean for it.

    What stands in history alone is never resolved: no later attempt takes it out of there.
    """
    leaks = work.context.checkpoints.leaks_in(tree, work.run.metadata.origin.base)
    found = [_finding(leak) for leak in leaks]
    known = _identities(work, execution)
    recorded = (each.finding for each in work.context.state.get_findings(work.run_id))
    lasting = {finding.identity for finding in recorded if finding.rule == IN_HISTORY}
    return Held(
        findings=tuple(finding for finding in found if finding.identity not in known),
        identities=frozenset(lasting | {finding.identity for finding in found}),
        over=_over(work.config.thresholds.max_major, len(found), other_majors),
    )


def _over(limit: int | None, leaks: int, others: int) -> tuple[str, ...]:
    if not leaks or limit is None or leaks + others <= limit:
        return ()
    return (f"{leaks} {'secret stands' if leaks == 1 else 'secrets stand'} in the files of the result.",)


def _identities(work: Work, execution: Execution) -> frozenset[str]:
    recorded = work.context.state.get_findings(work.run_id, execution_id=execution.id)
    return frozenset(each.finding.identity for each in recorded)


def _finding(leak: Leak) -> Finding:
    where = "These files hold" if leak.path == "." else f"{leak.path} holds"
    message = f"{where} the secret {leak.name}. Take it out: the checkpoint stays on this machine."
    rule = IN_FILES if leak.in_tree else IN_HISTORY
    return Finding(Severity.MAJOR, Category.SECURITY, message, leak.path if leak.in_tree else "", rule)
