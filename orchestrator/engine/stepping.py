"""One step of an attempt: an agent works in the run's tree, and what it leaves is checkpointed."""

from __future__ import annotations

from orchestrator.config.section import REVIEWING
from orchestrator.engine.keeping import (
    checkpoint_tree,
    keep_artifact,
    open_tree,
    record_checkpoint,
    tree_before,
)
from orchestrator.engine.persistence import PersistReason
from orchestrator.engine.recording import add_usage, record_usage
from orchestrator.engine.reviewing import (
    Ended,
    record_review,
    record_skipped,
    review_of,
    rounds_after,
    unreadable,
    write_answer,
)
from orchestrator.engine.schedule import RunStep
from orchestrator.engine.secrets import secrets_of
from orchestrator.engine.setting_aside import is_out_of_budget, set_aside
from orchestrator.engine.turn import Turn, transcript_of
from orchestrator.engine.verification import make_tree_ready
from orchestrator.engine.work import Work
from orchestrator.engine.written import keep_written
from orchestrator.model.agent import Ending, Finished
from orchestrator.model.event import EventKind
from orchestrator.model.json import Json
from orchestrator.model.run import Execution, ExecutionProgress, Usage
from orchestrator.repo.trees import IsolatedTree

_FAILURE = {
    Ending.DEADLINE: "The agent ran out of time",
    Ending.IDLE: "The agent was silent for too long",
    Ending.FAILED: "The agent failed",
    Ending.DENIED: "The agent was denied what it needed",
}


def run_step(work: Work, action: RunStep) -> None:
    """Runs one step and records its end with the checkpoint of what it left, in that order.

    When the work must stop meanwhile, the agent is ended and the step stays open, so that it is settled as
    interrupted. A crash leaves the recorded process and the tree; `attempt.settle_interrupted` keeps both.

    Raises:
        CredentialMissing: a secret that the step names has no value any more; nothing has begun.
    """
    if is_out_of_budget(work, action):
        return
    step = work.steps[action.index]
    agent = work.agent_or_none(step)
    if agent is None:
        record_skipped(work, action, step)
        return
    secrets = secrets_of(work.context, work.config, work.run.metadata.options, step, agent)
    tree = open_tree(work)
    turn = Turn(work, action, step, agent, tree, secrets)
    if work.config.worktrees.setup:
        turn.begin()  # setup may take minutes; otherwise it is recorded with the process
    problem = make_tree_ready(work, tree, action.execution)
    if work.halted():
        return
    if problem is None:
        work.context.persist(PersistReason.AGENT_STARTS)
        try:
            finished = turn.take()
        finally:
            work.context.persist(PersistReason.AGENT_ENDED)
    else:
        finished = Finished(Ending.FAILED, None, problem, Usage())
    about = {**turn.about, "model": finished.model}
    if finished.ending is Ending.CANCELLED:
        record_usage(work, finished.usage, about)  # the attempt is closed with it as interrupted
    elif finished.ending in (Ending.LIMIT, Ending.STUCK):
        set_aside(work, action, tree, finished, about, over=turn.over)
    else:
        ended = _ended(work, action, turn, finished)
        _record_end(work, action, tree, ended, about)
        work.context.persist(PersistReason.STEP_ENDED)


def _ended(work: Work, action: RunStep, turn: Turn, finished: Finished) -> Ended:
    step, name = turn.step, turn.agent.name
    failure, review = _failure(finished), None
    if failure is None and step.task.kind in REVIEWING:
        review = review_of(step, name, finished.answer, turn.tree)
        failure = unreadable(review, step, name)
    if failure is not None and step.optional:
        work.note(f"Optional step {action.index + 1} ({name}) was skipped over: {failure}")
        failure = None
    return Ended(step, name, finished, failure, review)


def _failure(finished: Finished) -> str | None:
    sentence = _FAILURE.get(finished.ending)
    if sentence is None:
        return None
    detail = finished.detail.strip().splitlines()
    return f"{sentence} ({detail[-1][:200]})." if detail else f"{sentence}."


def _record_end(
    work: Work, action: RunStep, tree: IsolatedTree, ended: Ended, about: dict[str, Json]
) -> None:
    execution, finished, failure = action.execution, ended.finished, ended.failure
    label = f"{action.phase.id} attempt {execution.attempt}{_round(work, execution)} step {action.index + 1}"
    checkpoint = checkpoint_tree(work, tree, label)
    before = execution.progress
    progress = ExecutionProgress(
        steps_done=before.steps_done + 1,
        checkpoint=checkpoint.commit,
        tree=checkpoint.tree,
        changed=before.changed or checkpoint.tree != tree_before(work, execution),
        agent_failure=failure,
        agent=ended.agent,
        ending=finished.ending if failure else "",
        cause=finished.cause if failure else "",
        usage=add_usage(before.usage, finished.usage),
        rounds=rounds_after(before.rounds, ended, checkpoint.tree),
    )
    told = {**about, "ending": finished.ending, "exit_status": finished.exit_status, "failure": failure}
    if finished.wrote:
        told["wrote"] = [file.path for file in finished.wrote]
    answer = write_answer(work, action, finished.answer)
    encrypt = work.config.artifacts.encrypt
    with work.context.state.transaction():
        record_usage(work, finished.usage, about)
        record_checkpoint(work, checkpoint, label)
        for path, kind in ((transcript_of(work, action), "transcript"), (answer, "answer")):
            keep_artifact(work.context, work.run_id, path, action.phase.id, kind, encrypt=encrypt)
        keep_written(work, action, tree, finished.wrote)
        if ended.review is not None and not ended.review.problem:
            record_review(work, execution, ended.review)
        work.context.state.set_execution_progress(
            execution.id, progress, event=EventKind.STEP_FINISHED, data=told
        )


def _round(work: Work, execution: Execution) -> str:
    return f" round {execution.progress.rounds.iteration}" if work.limits.max_iterations > 1 else ""
