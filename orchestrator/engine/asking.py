"""Gathers what the prompt of a step speaks of, and words it; no secret gets into it."""

from __future__ import annotations

from orchestrator.engine.prompts import MAX_CHANGES, StepContext, step_prompt, wants_changes
from orchestrator.engine.rounds import open_review
from orchestrator.engine.schedule import RunStep
from orchestrator.engine.setting_aside import STUCK, attempt_before
from orchestrator.engine.work import Work
from orchestrator.engine.workflow import PlannedStep
from orchestrator.model.finding import Finding
from orchestrator.model.ids import ObjectId, PhaseId
from orchestrator.model.prompt import shortened
from orchestrator.model.run import Execution


def prompt_of(work: Work, action: RunStep, step: PlannedStep) -> str:
    """Returns the prompt of a step, without the secrets that anything in it may hold."""
    run, execution = work.run, action.execution
    templates = run.metadata.prompts
    context = StepContext(
        task=run.task,
        phase=action.phase,
        step=step.task,
        attempt=execution.attempt,
        iteration=execution.progress.rounds.iteration,
        interruption=_interruption(work, attempt_before(work, execution)),
        findings=_open_findings(work, action.phase.id),
        outputs=execution.progress.rounds.outputs,
        changes=_changes(work, execution.progress.tree) if wants_changes(step.task, templates) else "",
        templates=templates,
    )
    return work.context.redactor.text(step_prompt(context))


def _interruption(work: Work, before: Execution | None) -> tuple[str, str] | None:
    """Returns what befell the attempt that this one goes on with, and the patch of what that had changed."""
    if before is None:
        return None
    told = "stopped making progress" if before.progress.ending in STUCK else "was interrupted"
    return told, _changes(work, before.progress.tree)


def _open_findings(work: Work, phase_id: PhaseId) -> tuple[Finding, ...]:
    """Returns what checks complain about in this run, then what reviewers do in this phase."""
    recorded = work.context.state.get_findings(work.run_id, unresolved_only=True)
    strict = work.run.metadata.options.require_clean
    of_checks = [each for each in recorded if not each.finding.sources and (each.is_new or strict)]
    unique = {each.finding.identity: each.finding for each in of_checks}
    return (*unique.values(), *(each.finding for each in open_review(work, phase_id)))


def _changes(work: Work, tree: ObjectId | None) -> str:
    """Returns the patch from what the phase began with to a tree, shortened; nothing without a tree."""
    if tree is None:
        return ""
    metadata = work.run.metadata
    patch = work.context.repository.diff(metadata.progress.result or metadata.origin.base, tree)
    return shortened(patch.decode("utf-8", "replace"), MAX_CHANGES)
