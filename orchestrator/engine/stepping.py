"""One step of an attempt: an agent works in the run's tree, and what it leaves is checkpointed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.config.prompts import REVIEWING
from orchestrator.engine.asking import prompt_of
from orchestrator.engine.budget import remaining_s
from orchestrator.engine.keeping import (
    checkpoint_tree,
    keep_artifact,
    open_tree,
    record_checkpoint,
    tree_before,
)
from orchestrator.engine.persistence import PersistReason
from orchestrator.engine.recording import add_usage, record, record_usage
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
from orchestrator.engine.verification import make_tree_ready
from orchestrator.engine.work import Work
from orchestrator.engine.workflow import PlannedStep
from orchestrator.model.agent import AgentRequest, Ending, Finished
from orchestrator.model.event import EventKind
from orchestrator.model.json import Json
from orchestrator.model.run import Execution, ExecutionProgress, Usage
from orchestrator.ports import Agent
from orchestrator.repo.trees import IsolatedTree

_FAILURE = {
    Ending.DEADLINE: "The agent ran out of time",
    Ending.IDLE: "The agent was silent for too long",
    Ending.STUCK: "The agent made no progress",
    Ending.LIMIT: "The agent reached its limit",
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
    step = work.steps[action.index]
    agent = work.agent_or_none(step)
    if agent is None:
        record_skipped(work, action, step)
        return
    secrets = secrets_of(work.context, work.config, work.run.metadata.options, step, agent)
    tree = open_tree(work)
    has_begun = bool(work.config.worktrees.setup)
    if has_begun:
        _start(work, action, step, agent)  # setup may take minutes; otherwise it is recorded with the process
    problem = make_tree_ready(work, tree, action.execution)
    if work.halted():
        return
    if problem is None:
        work.context.persist(PersistReason.AGENT_STARTS)
        try:
            finished = _let_agent_work(work, action, step, agent, tree, secrets, has_begun=has_begun)
        finally:
            work.context.persist(PersistReason.AGENT_ENDED)
    else:
        finished = Finished(Ending.FAILED, None, problem, Usage())
    if finished.ending is Ending.CANCELLED:
        record_usage(work, finished.usage)
        return
    failure, review = _failure(finished), None
    if failure is None and step.task.kind in REVIEWING:
        review = review_of(step, agent.name, finished.answer, tree)
        failure = unreadable(review, step, agent.name)
    if failure is not None and step.optional:
        work.note(f"Optional step {action.index + 1} ({agent.name}) was skipped over: {failure}")
        failure = None
    _record_end(work, action, tree, Ended(step, agent.name, finished, failure, review))
    work.context.persist(PersistReason.STEP_ENDED)


def _start(work: Work, action: RunStep, step: PlannedStep, agent: Agent) -> None:
    work.context.state.record_event(
        work.run_id,
        EventKind.STEP_STARTED,
        {
            "phase": action.phase.id,
            "step": action.index + 1,
            "steps": len(work.steps),
            "agent": agent.name,
            "task": step.task.kind,
            "attempt": action.execution.attempt,
            "round": action.execution.progress.rounds.iteration,
            "rounds": work.limits.max_iterations,
        },
    )


def _let_agent_work(
    work: Work,
    action: RunStep,
    step: PlannedStep,
    agent: Agent,
    tree: IsolatedTree,
    secrets: Mapping[str, str],
    *,
    has_begun: bool,
) -> Finished:
    request = AgentRequest(
        prompt=prompt_of(work, action, step),
        transcript=os.fspath(_transcript(work, action)),
        marker=work.marker(action.execution.id),
        timeout_s=max(1.0, min(step.timeout_s, remaining_s(work))),  # 0 would be no deadline at all
        idle_timeout_s=step.idle_timeout_s,
        environment=work.context.environment,
        added={**tree.environment(), "ORCHESTRATOR_RUN": work.run_id},
        secrets=secrets,
    )
    finished: Finished | None = None
    for event in agent.run(request, worktree=tree.path, cancelled=work.halted):
        if not has_begun:
            with work.context.state.transaction():
                _start(work, action, step, agent)
                record(work, action.execution, event)
        else:
            record(work, action.execution, event)
        has_begun = True
        if isinstance(event, Finished):
            finished = event
    assert finished is not None, f"agent {agent.name} ended without a Finished event"
    return finished


def _transcript(work: Work, action: RunStep) -> Path:
    directory = work.context.paths.run_artifacts_dir(work.run_id)
    work.context.disk.make_dir(directory)
    return directory / f"{action.execution.id}-step-{action.execution.progress.steps_done + 1}.log"


def _failure(finished: Finished) -> str | None:
    sentence = _FAILURE.get(finished.ending)
    if sentence is None:
        return None
    detail = finished.detail.strip().splitlines()
    return f"{sentence} ({detail[-1][:200]})." if detail else f"{sentence}."


def _record_end(work: Work, action: RunStep, tree: IsolatedTree, ended: Ended) -> None:
    execution, finished = action.execution, ended.finished
    label = f"{action.phase.id} attempt {execution.attempt}{_round(work, execution)} step {action.index + 1}"
    checkpoint = checkpoint_tree(work, tree, label)
    before = execution.progress
    progress = ExecutionProgress(
        steps_done=before.steps_done + 1,
        checkpoint=checkpoint.commit,
        tree=checkpoint.tree,
        changed=before.changed or checkpoint.tree != tree_before(work, execution),
        agent_failure=ended.failure,
        usage=add_usage(before.usage, finished.usage),
        rounds=rounds_after(before.rounds, ended, checkpoint.tree),
    )
    answer = write_answer(work, action, finished.answer)
    with work.context.state.transaction():
        record_usage(work, finished.usage)
        record_checkpoint(work, checkpoint, label)
        for path, kind in ((_transcript(work, action), "transcript"), (answer, "answer")):
            keep_artifact(
                work.context, work.run_id, path, action.phase.id, kind, encrypt=work.config.artifacts.encrypt
            )
        if ended.review is not None and ended.failure is None:
            record_review(work, execution, ended.review)
        work.context.state.set_execution_progress(
            execution.id, progress, event=EventKind.STEP_FINISHED, data=_told(action, ended)
        )


def _round(work: Work, execution: Execution) -> str:
    return f" round {execution.progress.rounds.iteration}" if work.limits.max_iterations > 1 else ""


def _told(action: RunStep, ended: Ended) -> dict[str, Json]:
    return {
        "phase": action.phase.id,
        "step": action.index + 1,
        "round": action.execution.progress.rounds.iteration,
        "ending": ended.finished.ending,
        "exit_status": ended.finished.exit_status,
        "failure": ended.failure,
    }
