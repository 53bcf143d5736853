"""What a step's agent answered: findings of reviewers, outputs for later prompts, an artifact."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.engine.keeping import tree_before
from orchestrator.engine.prompts import MAX_OUTPUT
from orchestrator.engine.schedule import RunStep
from orchestrator.engine.work import Work
from orchestrator.engine.workflow import PlannedStep
from orchestrator.model.agent import Finished
from orchestrator.model.event import EventKind
from orchestrator.model.finding import Finding, Severity
from orchestrator.model.ids import ObjectId
from orchestrator.model.prompt import shortened
from orchestrator.model.run import Execution, Rounds, StepOutput
from orchestrator.repo.trees import IsolatedTree
from orchestrator.verify.review import Review, read_review

_USUAL = {"review": Severity.MEDIUM, "suggestions": Severity.MINOR}
"""The severity of findings that name none, by the task of the step."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended: who took it, why it failed (None: it did not), what it found if it was a review."""

    step: PlannedStep
    agent: str
    finished: Finished
    failure: str | None
    review: Review | None


def review_of(step: PlannedStep, agent: str, answer: str, tree: IsolatedTree) -> Review:
    """Returns what a reviewer's answer says."""
    return read_review(answer, reviewer=agent, worktree=str(tree.path), usual=_USUAL[step.task.kind])


def unreadable(review: Review, step: PlannedStep, agent: str) -> str | None:
    """Returns why a review counts as a failed step, None when it could be read."""
    if not review.problem:
        return None
    return f"The answer of {agent} to the step {step.task.kind} cannot be read: {review.problem}."


def record_review(work: Work, execution: Execution, review: Review) -> None:
    """Records what a reviewer found; on the tree of the review before, both are put together."""
    reviewed = execution.progress.rounds.reviewed
    of_same_tree = reviewed is not None and reviewed == tree_before(work, execution)
    work.context.state.record_review(execution, review.findings, of_same_tree=of_same_tree)


def rounds_after(before: Rounds, ended: Ended, tree: ObjectId) -> Rounds:
    """Returns where the rounds stand after a step that left a tree."""
    outputs = before.outputs
    if ended.finished.answer.strip() and ended.failure is None:
        text = shortened(ended.finished.answer.strip(), MAX_OUTPUT)
        outputs = (*outputs, StepOutput(before.iteration, ended.step.task.kind, ended.agent, text))
    if ended.review is None or ended.review.problem:
        return replace(before, outputs=outputs)
    suggested = dict.fromkeys((*before.suggested, *map(_claim, ended.review.findings)))
    return replace(before, outputs=outputs, reviewed=tree, suggested=tuple(suggested))


def _claim(finding: Finding) -> str:
    return hashlib.sha256("\0".join(finding.claim).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def write_answer(work: Work, action: RunStep, answer: str) -> Path:
    """Writes the whole answer of a step, without secrets, beside its transcript; returns its path."""
    number = action.execution.progress.steps_done + 1
    directory = work.context.paths.run_artifacts_dir(work.run_id)
    path = directory / f"{action.execution.id}-step-{number}-answer.md"
    if answer.strip():
        text = work.context.redactor.text(answer)
        work.context.disk.write(path, text.encode("utf-8", "backslashreplace"))
    return path


def record_skipped(work: Work, action: RunStep, step: PlannedStep) -> None:
    """Records that an optional step was passed over because its agent cannot be started."""
    execution = action.execution
    with work.context.state.transaction():
        work.note(f"Optional step {action.index + 1} ({step.agent}) was skipped over: it cannot be started.")
        work.context.state.set_execution_progress(
            execution.id,
            replace(execution.progress, steps_done=execution.progress.steps_done + 1),
            event=EventKind.STEP_FINISHED,
            data={
                "phase": action.phase.id,
                "step": action.index + 1,
                "round": execution.progress.rounds.iteration,
                "ending": "skipped",
            },
        )
