"""Runs the checks for the engine: on an attempt's tree, on its base, on a merged tree, on a checkout."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from orchestrator.config.schema import Config
from orchestrator.engine.context import EngineContext
from orchestrator.engine.keeping import existing_tree, keep_artifact, seal_rest
from orchestrator.engine.leaking import leaks_held_against
from orchestrator.engine.work import Work, execution_marker
from orchestrator.model.event import EventKind
from orchestrator.model.finding import Finding, Severity
from orchestrator.model.ids import ExecutionId, ObjectId, RunId, new_run_id
from orchestrator.model.json import Json
from orchestrator.model.run import Execution, Run
from orchestrator.paths import names
from orchestrator.repo import removal
from orchestrator.repo.trees import IsolatedTree
from orchestrator.secretstore.names import SUFFIX
from orchestrator.verify.checks import (
    CheckEvent,
    CheckFinished,
    CheckRequest,
    CheckStarted,
    ProcessStarted,
    SetupStarted,
    check_tree,
    configured_checks,
    make_ready,
)
from orchestrator.verify.clean import discard
from orchestrator.verify.gate import Assessment, compare, needs_base
from orchestrator.verify.outcome import CheckOutcome, CheckReport, Receipt

Label = Literal["head", "base", "merged", "tree"]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the checks of one attempt come to; `identities` are those of every finding the tree still has."""

    findings: tuple[tuple[Finding, bool], ...] = ()
    identities: frozenset[str] = frozenset()
    over: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    indeterminate: bool = False
    unverified: bool = False
    notes: tuple[str, ...] = ()
    receipts: tuple[Receipt, ...] = ()


def check_lines(config: Config) -> tuple[str, ...]:
    """Returns one line for each configured check: its name and its command."""
    return tuple(f"{check.name}: {shlex.join(check.argv)}" for check in configured_checks(config.verify))


def nothing_to_check() -> Conclusion:
    """Returns the conclusion about an attempt that left no tree."""
    return Conclusion(unverified=True, notes=("The attempt left nothing that could be checked.",))


def verify_attempt(work: Work, execution: Execution, tree: ObjectId) -> Conclusion | None:
    """Returns what the checks say of the tree an attempt left; None when they were stopped before the end.

    Findings count as new when the tree the run started from lacks them, which is found out only when needed.
    An attempt that changed nothing has nothing to prove, unless clean checks were demanded.
    """
    metadata, thresholds = work.run.metadata, work.config.thresholds
    strict = metadata.options.require_clean
    if not strict and tree == work.context.repository.tree_of(
        metadata.progress.result or metadata.origin.base
    ):
        return Conclusion()
    head = _check(work, execution, tree, "head")
    base: CheckReport | None = None
    if needs_base(head, thresholds, require_clean=strict):
        base = _base_report(work, execution, head)
    if not head.complete or (base is not None and not base.complete):
        return None
    concluded = _concluded(compare(head, base, thresholds, require_clean=strict), head)
    return _with_leaks(work, execution, tree, concluded)


def _base_report(work: Work, execution: Execution, head: CheckReport) -> CheckReport:
    tree = work.context.repository.tree_of(work.run.metadata.origin.base)
    if tree == head.tree:
        return head
    known = work.base_reports.get(tree)
    if known is None:
        known = _check(work, execution, tree, "base")
        if known.complete:
            work.base_reports[tree] = known
    return known


def _concluded(assessment: Assessment, head: CheckReport) -> Conclusion:
    return Conclusion(
        findings=tuple((found.finding, found.is_new) for found in assessment.findings),
        identities=frozenset(found.finding.identity for found in assessment.findings),
        over=assessment.over,
        broken=assessment.broken,
        indeterminate=bool(assessment.indeterminate),
        unverified=bool(assessment.unverified),
        notes=(*assessment.indeterminate, *assessment.unverified, *assessment.warnings, *head.notes),
        receipts=head.receipts,
    )


def _with_leaks(work: Work, execution: Execution, tree: ObjectId, concluded: Conclusion) -> Conclusion:
    majors = sum(new and finding.severity is Severity.MAJOR for finding, new in concluded.findings)
    held = leaks_held_against(work, execution, tree, majors)
    return replace(
        concluded,
        findings=(*concluded.findings, *((finding, True) for finding in held.findings)),
        identities=concluded.identities | held.identities,
        over=(*concluded.over, *held.over),
    )


def _check(work: Work, execution: Execution, tree: ObjectId, label: Label) -> CheckReport:
    own_tree = existing_tree(work)
    request = replace(
        _request(work.context, work.config, work.run_id, tree, work.marker(execution.id)),
        label=label,
        worktree=own_tree.path if own_tree is not None and label == "head" else None,
        receipts=_receipts(work.context, work.run_id),
    )
    return check_tree(
        request,
        cancelled=work.halted,
        on_event=lambda event: _tell(work.context, work.config, work.run_id, label, event),
    )


def _request(
    context: EngineContext, config: Config, run_id: RunId, tree: ObjectId, marker: str
) -> CheckRequest:
    return CheckRequest(
        trees=context.trees,
        run_id=run_id,
        tree=tree,
        verify=config.verify,
        worktrees=config.worktrees,
        artifacts=context.paths.run_artifacts_dir(run_id),
        marker=marker,
        timeout_s=config.execution.timeout_s,
        limits=config.limits,
        redactor=context.redactor,
    )


def _receipts(context: EngineContext, run_id: RunId) -> frozenset[Receipt]:
    executions = context.state.get_executions(run_id)
    return frozenset(Receipt(*fields) for e in executions for fields in e.progress.receipts)


def _tell(context: EngineContext, config: Config, run_id: RunId, label: Label, event: CheckEvent) -> None:
    """Records what the checks do, for the live view and the report."""
    record = context.state.record_event
    match event:
        case CheckStarted(check):
            facts = {"name": check.name, "category": check.category.value, "tree": label}
            record(run_id, EventKind.CHECK_STARTED, facts)
        case CheckFinished(outcome):
            with context.state.transaction():
                encrypt = config.artifacts.encrypt
                ended = {**_outcome_facts(outcome, encrypted=encrypt), "tree": label}
                record(run_id, EventKind.CHECK_FINISHED, ended)
                for path, kind in ((outcome.output_path, "output"), (outcome.report_path, "report")):
                    if path:
                        keep_artifact(context, run_id, Path(path), None, kind, encrypt=encrypt)
        case SetupStarted(argv):
            facts = {"name": "setup", "command": shlex.join(argv), "tree": label}
            record(run_id, EventKind.CHECK_STARTED, facts)
        case ProcessStarted():
            pass


def _outcome_facts(outcome: CheckOutcome, *, encrypted: bool) -> dict[str, Json]:
    output = os.path.basename(outcome.output_path)
    return {
        "name": outcome.check.name,
        "category": outcome.category.value,
        "command": shlex.join(outcome.argv),
        "status": outcome.status.value,
        "exit_status": outcome.exit_status,
        "findings": len(outcome.findings),
        "tests_run": outcome.tests_run,
        "reused": outcome.reused,
        "detail": outcome.detail,
        "duration_s": round(outcome.duration_s, 3),
        "output": f"{output}{SUFFIX}" if output and encrypted else output,
    }


def make_tree_ready(work: Work, tree: IsolatedTree, execution: Execution) -> str | None:
    """Brings files into the agent's tree and runs setup there, once; returns why it failed, or None."""
    request = replace(
        _request(work.context, work.config, work.run_id, tree.base, work.marker(execution.id)), label="tree"
    )
    problem = make_ready(
        request,
        tree,
        cancelled=work.halted,
        on_event=lambda event: _tell(work.context, work.config, work.run_id, "tree", event),
    )
    return None if problem is None or problem.cancelled else problem.reason


def verify_merged(
    context: EngineContext, run: Run, config: Config, *, base: ObjectId, tree: ObjectId
) -> tuple[str, ...]:
    """Returns what stands against a merged tree, held against the tip it would be merged into."""
    if not configured_checks(config.verify):
        return ()
    seal_rest(context, config, run.id)  # what an earlier merge left that was killed
    strict = run.metadata.options.require_clean
    request = _request(
        context, config, run.id, tree, execution_marker(context, ExecutionId(f"merge-{run.id}"))
    )
    request = replace(request, receipts=_receipts(context, run.id), label="merged")
    head = check_tree(request, on_event=lambda event: _tell(context, config, run.id, "merged", event))
    before: CheckReport | None = None
    if needs_base(head, config.thresholds, require_clean=strict):
        base_request = replace(request, tree=context.repository.tree_of(base), label="base")
        before = check_tree(
            base_request, on_event=lambda event: _tell(context, config, run.id, "base", event)
        )
    discard(context.trees, run.id)
    seal_rest(context, config, run.id)
    assessment = compare(head, before, config.thresholds, require_clean=strict)
    return (*assessment.over, *assessment.broken)


def verify_checkout(
    context: EngineContext,
    config: Config,
    *,
    base: ObjectId | None,
    cancelled: Callable[[], bool],
    on_event: Callable[[Label, CheckEvent], None] = lambda label, event: None,
) -> tuple[CheckReport, Assessment]:
    """Returns what the checks say of the user's working tree as it is, uncommitted changes included.

    With `base` only findings that commit lacks count as new. Nothing of the checkout is changed. `on_event`
    is told which of the two trees an event is about.
    """
    run_id = RunId(f"verify-{new_run_id()}")
    snapshot = context.checkpoints.checkpoint_user_tree(run_id)
    tree_of = context.repository.tree_of
    marker = execution_marker(context, ExecutionId(run_id))
    request = replace(
        _request(context, config, run_id, tree_of(snapshot), marker),
        artifacts=context.paths.tmp_dir / run_id,
    )
    try:
        head = check_tree(request, cancelled=cancelled, on_event=lambda event: on_event("head", event))
        before: CheckReport | None = None
        if base is not None:
            base_request = replace(request, tree=tree_of(base), label="base")
            before = check_tree(
                base_request, cancelled=cancelled, on_event=lambda event: on_event("base", event)
            )
    finally:
        discard(context.trees, run_id)
        context.disk.remove_tree(request.artifacts)
        drop_base(context, run_id)
    return head, compare(head, before, config.thresholds)


def drop_base(context: EngineContext, run_id: RunId) -> None:
    """Lets go of the commit that was kept for a tree of our own which is not needed any more."""
    name = f"{names.BASE_REFS}{run_id}"
    pinned = context.repository.read_ref(name)
    if pinned is not None:
        removal.remove_ref(context.repository, name, pinned)
