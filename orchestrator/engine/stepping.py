"""One step of an attempt: an agent works in the run's tree, and what it leaves is checkpointed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.engine.budget import remaining_s
from orchestrator.engine.keeping import (
    checkpoint_tree,
    keep_artifact,
    open_tree,
    record_checkpoint,
    tree_before,
)
from orchestrator.engine.persistence import PersistReason
from orchestrator.engine.prompts import step_prompt
from orchestrator.engine.recording import add_usage, record, record_usage
from orchestrator.engine.schedule import RunStep
from orchestrator.engine.secrets import secrets_of
from orchestrator.engine.verification import make_tree_ready
from orchestrator.engine.work import Work
from orchestrator.engine.workflow import PlannedStep
from orchestrator.model.agent import AgentRequest, Ending, Finished
from orchestrator.model.event import EventKind
from orchestrator.model.finding import Finding
from orchestrator.model.json import Json
from orchestrator.model.run import ExecutionProgress, Usage
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
    agent = work.agent(step)
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
    failure = _failure(finished)
    if failure is not None and step.optional:
        work.note(f"Optional step {action.index + 1} ({agent.name}) was skipped over: {failure}")
        failure = None
    _record_end(work, action, tree, finished, failure)
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
        prompt=_prompt(work, action, step),
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
    return directory / f"{action.execution.id}-step-{action.index + 1}.log"


def _prompt(work: Work, action: RunStep, step: PlannedStep) -> str:
    executions = work.context.state.get_executions(work.run_id, action.phase.id)
    before = [e for e in executions if e.attempt < action.execution.attempt]
    prompt = step_prompt(
        task=work.run.task,
        phase=action.phase,
        step=step.task,
        attempt=action.execution.attempt,
        resumed=bool(before) and before[-1].status == "interrupted",
        findings=_open_findings(work),
    )
    return work.context.redactor.text(prompt)


def _open_findings(work: Work) -> tuple[Finding, ...]:
    recorded = work.context.state.get_findings(work.run_id, unresolved_only=True)
    strict = work.run.metadata.options.require_clean
    unique = {r.finding.identity: r.finding for r in recorded if r.is_new or strict}
    return tuple(unique.values())


def _failure(finished: Finished) -> str | None:
    sentence = _FAILURE.get(finished.ending)
    if sentence is None:
        return None
    detail = finished.detail.strip().splitlines()
    return f"{sentence} ({detail[-1][:200]})." if detail else f"{sentence}."


def _record_end(
    work: Work, action: RunStep, tree: IsolatedTree, finished: Finished, failure: str | None
) -> None:
    execution = action.execution
    label = f"{action.phase.id} attempt {execution.attempt} step {action.index + 1}"
    checkpoint = checkpoint_tree(work, tree, label)
    before = execution.progress
    progress = ExecutionProgress(
        steps_done=before.steps_done + 1,
        checkpoint=checkpoint.commit,
        tree=checkpoint.tree,
        changed=before.changed or checkpoint.tree != tree_before(work, execution),
        agent_failure=failure,
        usage=add_usage(before.usage, finished.usage),
    )
    data: dict[str, Json] = {
        "phase": action.phase.id,
        "step": action.index + 1,
        "ending": finished.ending,
        "exit_status": finished.exit_status,
        "failure": failure,
    }
    with work.context.state.transaction():
        record_usage(work, finished.usage)
        record_checkpoint(work, checkpoint, label)
        keep_artifact(
            work.context,
            work.run_id,
            _transcript(work, action),
            action.phase.id,
            "transcript",
            encrypt=work.config.artifacts.encrypt,
        )
        work.context.state.set_execution_progress(
            execution.id, progress, event=EventKind.STEP_FINISHED, data=data
        )
