"""Starts a run: checks everything that could stand in its way, shows what will be done, writes it down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from orchestrator.config.frozen import freeze
from orchestrator.config.prompts import SuppliedPrompt, check_config_prompts, unused_prompts
from orchestrator.config.schema import Config, Thresholds
from orchestrator.config.withheld import yaml_without_secrets
from orchestrator.engine.agent_home import home_in
from orchestrator.engine.context import EngineContext
from orchestrator.engine.planner import asks_planner
from orchestrator.engine.secrets import secret_names
from orchestrator.engine.verification import check_lines
from orchestrator.engine.workflow import PlannedStep, planned_rounds, planned_steps
from orchestrator.errors import CredentialMissing, NotTrusted, Refused
from orchestrator.model.event import EventKind
from orchestrator.model.ids import ObjectId, RunId, new_id, new_run_id
from orchestrator.model.plan import Plan, PlanRequest
from orchestrator.model.run import Integrate, Run, RunMetadata, RunOptions, RunOrigin, RunStatus
from orchestrator.paths import names
from orchestrator.planning.single import SinglePhase
from orchestrator.process.marker import MARKER
from orchestrator.repo import carrier
from orchestrator.repo.archive import read_archived
from orchestrator.repo.repository import Head

_NOT_THERE = ("agent-missing", "agent-broken", "agent-login", "extra-missing")
MAX_TASK_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for. `trusted` tells that what the repository supplies may run.

    `prompts` are the templates that the repository supplies.
    """

    task: str
    run_id: RunId | None
    plan: Plan | None
    base: str | None
    include_changes: bool
    options: RunOptions
    config: Config
    workflow_yaml: bytes | None
    trusted: bool
    prompts: tuple[SuppliedPrompt, ...] = ()


@dataclass(frozen=True, slots=True)
class PreviewStep:
    """A step as the first screen shows it; `found` tells that nobody named the agent.

    `secrets` are the names of those that it will be given. `missing` tells why the agent of an optional step
    cannot be started.
    """

    agent: str
    task: str
    found: bool = False
    secrets: tuple[str, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do, in words and values; nothing has been changed to find out.

    Without a `plan` it is `planner` who will be asked for one.
    """

    run_id: RunId
    plan: Plan | None
    planner: str | None
    steps: tuple[PreviewStep, ...]
    base: ObjectId
    base_name: str
    base_branch: str | None
    branch: str | None
    checks: tuple[str, ...]
    gates: tuple[str, ...]
    isolation: str
    limits: tuple[str, ...]
    warnings: tuple[str, ...]


def preview(context: EngineContext, request: RunRequest) -> Preview:
    """Returns what a run would do; changes nothing.

    Raises:
        Refused: the task, the base, an agent, the identity, the run id, the branch or the state of the
            checkout does not allow it.
        NotTrusted: what the repository supplies would run, and nobody has approved it.
    """
    check_task(request.task)
    _check_command(context, request.options)
    if not request.trusted:
        raise NotTrusted(())
    _check_demand(request)
    check_place(context)
    if request.config.artifacts.encrypt:
        context.sealer.require()
    check_config_prompts(request.config, request.prompts)
    steps = planned_steps(request.config, request.options)
    planner = _planner(context, request)
    agents = tuple(_previewed(context, request, step) for step in steps)
    head = context.repository.head()
    base = _base(context, request, head)
    run_id = request.run_id or new_run_id()
    _check_free(context, run_id, request.options)
    context.repository.identity()
    branch = None if request.options.integrate is Integrate.NONE else f"{names.BRANCHES}{run_id}"
    return Preview(
        run_id=run_id,
        plan=request.plan or (_one_phase(request) if planner is None else None),
        planner=planner,
        steps=agents,
        base=base,
        base_name=request.base or _short(head.branch) or base[:12],
        base_branch=_target_branch(context, request, head),
        branch=branch,
        checks=check_lines(request.config),
        gates=_gates(request.config.thresholds, request.options),
        isolation=f"{context.trees.root}/{run_id}/main (a repository of its own; yours is not touched)",
        limits=_limits(request),
        warnings=(*_found(agents), *_missing(agents), *_warnings(context, request, head)),
    )


def _one_phase(request: RunRequest) -> Plan:
    return SinglePhase().plan(PlanRequest(request.task))


def start_run(context: EngineContext, request: RunRequest, shown: Preview) -> Run:
    """Writes the run and its phases down, so that `work` can begin; durable when it returns.

    With `include_changes` the base is a checkpoint of the user's tree; their index and tree stay as they are.
    """
    base = shown.base
    if request.include_changes:
        base = context.checkpoints.checkpoint_user_tree(shown.run_id)
    found = next((step.agent for step in shown.steps if step.found), None)
    metadata = RunMetadata(
        options=replace(request.options, found_agent=found),
        origin=RunOrigin(base, shown.base_branch, str(context.repository.checkout), request.include_changes),
        config=freeze(request.config, context.redactor),
        trace_id=new_id("trace"),
        workflow_yaml=_workflow_text(context, request),
        trusted=request.trusted,
        prompts=tuple((prompt.kind, prompt.text) for prompt in request.prompts),
    )
    run = Run(shown.run_id, request.task, RunStatus.PLANNING, datetime.now(UTC), None, None, metadata)
    state = context.state
    with state.transaction():
        state.create_run(run, shown.plan, request.config.execution.max_retries)
        if shown.plan is not None:
            state.update_run_status(run.id, RunStatus.EXECUTING)
        for warning in shown.warnings:
            state.record_event(run.id, EventKind.RUN_STATUS, {"warning": warning})
    return state.get_run(run.id)


def check_task(task: str) -> None:
    """Makes sure that a task can be worked on.

    Raises:
        Refused: `task-empty`, `task-invalid`.
    """
    if not task.strip():
        raise Refused("The task is empty.", code="task-empty", hint='orchestrator run "what shall be done"')
    if len(task) > MAX_TASK_CHARACTERS or "\0" in task:
        raise Refused(
            f"The task is longer than {MAX_TASK_CHARACTERS:,} characters or holds a NUL.",
            code="task-invalid",
            hint="Put long material into a file of the repository and name it in the task.",
        )


def _check_command(context: EngineContext, options: RunOptions) -> None:
    if any(context.redactor.text(word) != word for word in options.command or ()):
        raise Refused(
            "The command holds a secret, which the run and the list of processes would show.",
            code="secret-in-command",
            hint="Make it an agent in .orchestrator/workflow.yaml, with the secret in its `env`.",
        )


def _check_demand(request: RunRequest) -> None:
    if request.options.require_clean and not check_lines(request.config):
        raise Refused(
            "--require-clean demands clean checks, and no check is configured.",
            code="no-checks",
            hint="Configure some under `verify:` in .orchestrator/workflow.yaml",
        )


def check_place(context: EngineContext) -> None:
    """Makes sure that agents may be started from here.

    Raises:
        Refused: `nested-run`; `operation-in-progress`, such as a rebase.
    """
    if context.environment.get(MARKER):
        raise Refused(
            "This is an agent's own session: a run cannot start another run.",
            code="nested-run",
            hint="Leave the work to the run that started this agent.",
        )
    doing = context.repository.operation_in_progress()
    if doing is not None:
        raise Refused(
            f"A {doing} is in progress in {context.repository.checkout}.",
            code="operation-in-progress",
            hint="Finish or abort it first; `git status` says how.",
        )


def _previewed(context: EngineContext, request: RunRequest, step: PlannedStep) -> PreviewStep:
    try:
        agent = context.agents(step.agent, config=request.config, options=request.options, model=step.model)
    except (Refused, CredentialMissing) as refusal:
        if not step.optional or refusal.code not in _NOT_THERE:
            raise
        return PreviewStep(step.agent or "nobody", step.task.kind, missing=refusal.message)
    home_in(context, request.config, request.options, agent)
    return PreviewStep(
        agent.name,
        step.task.kind or "work on the task",
        found=step.agent is None,
        secrets=secret_names(request.config, request.options, step, agent),
    )


def _planner(context: EngineContext, request: RunRequest) -> str | None:
    """Returns the name of the agent that will be asked for a plan, None where nobody is."""
    step = asks_planner(request.config, request.options)
    if step is None or request.plan is not None:
        return None
    agent = context.agents(step.agent, config=request.config, options=request.options, model=step.model)
    return agent.name


def _base(context: EngineContext, request: RunRequest, head: Head) -> ObjectId:
    if request.base is not None:
        return _without_carrier(context, request, context.repository.resolve(request.base))
    if head.oid is None:
        raise Refused(
            "This repository has no commit yet, so there is nothing to start from.",
            code="no-commit",
            hint="Make the first one: git add -A && git commit",
        )
    return _without_carrier(context, request, head.oid)


def _without_carrier(context: EngineContext, request: RunRequest, base: ObjectId) -> ObjectId:
    """Returns the commit to start from: beneath one of ours that only carries the state of other runs."""
    below = carrier.beneath(context.repository.git, base)
    carrier.require_none(context.repository, base if request.include_changes else below)
    return below


def _target_branch(context: EngineContext, request: RunRequest, head: Head) -> str | None:
    """Returns the branch the result is meant for: the named base if it is one, else where the user stands."""
    if request.base is None:
        return head.branch
    named = f"refs/heads/{request.base}"
    return named if context.repository.read_ref(named) is not None else None


def _check_free(context: EngineContext, run_id: RunId, options: RunOptions) -> None:
    taken = any(run.id == run_id for run in context.state.list_runs())
    archived = read_archived(context.repository, run_id) is not None
    if taken or archived or context.repository.read_ref(names.RUN_REFS + run_id) is not None:
        raise Refused(
            f"The run id {run_id} is taken.",
            code="run-id-taken",
            hint=f"Choose another, or go on with it: orchestrator resume {run_id}",
        )
    branch = names.BRANCHES + run_id
    if context.repository.read_ref(branch) is not None:
        raise Refused(
            f"The branch {_short(branch)} exists already.",
            code="branch-taken",
            hint="Choose another --run-id, or rename that branch.",
        )


def _gates(thresholds: Thresholds, options: RunOptions) -> tuple[str, ...]:
    if options.require_clean:
        return ("every check passes with no finding at all, old ones included",)
    which = "new" if thresholds.scope == "new" else "all"
    limits = (
        ("major", thresholds.max_major, "fail"),
        ("medium", thresholds.max_medium, thresholds.on_medium),
        ("minor", thresholds.max_minor, "fail"),
    )
    return tuple(
        f"at most {limit} {name} findings ({which}{'; more only warn' if effect == 'warn' else ''})"
        for name, limit, effect in limits
        if limit is not None
    )


def _limits(request: RunRequest) -> tuple[str, ...]:
    execution = request.config.execution
    lines = [
        f"{execution.max_retries} retries",
        f"{execution.timeout_s:g} s a step, {execution.idle_timeout_s:g} s of silence",
    ]
    options, budget = request.options, request.config.budget
    rounds = planned_rounds(request.config, options).max_iterations
    if rounds > 1:
        lines.append(f"{rounds} rounds at most")
    in_all = (
        (options.max_time_s, "{:g} s in all"),
        (options.max_cost_usd or budget.max_cost_usd, "${:g} in all, as far as agents tell"),
        (budget.max_tokens, "{:,} tokens in all"),
        (options.max_turns or budget.max_turns, "turns in all: {:,}"),
    )
    return (*lines, *(words.format(limit) for limit, words in in_all if limit is not None))


def _found(steps: tuple[PreviewStep, ...]) -> tuple[str, ...]:
    name = next((step.agent for step in steps if step.found), None)
    return () if name is None else (f"No agent is named: {name} is the first one found on PATH.",)


def _missing(steps: tuple[PreviewStep, ...]) -> tuple[str, ...]:
    return tuple(
        f"Optional step {number} ({step.task}) will be skipped over: {step.missing}"
        for number, step in enumerate(steps, 1)
        if step.missing
    )


def _secret_in_task(context: EngineContext, request: RunRequest) -> tuple[str, ...]:
    if context.redactor.text(request.task) == request.task:
        return ()
    return ("The task holds a secret: it is kept, and given to agents, without it.",)


def _warnings(context: EngineContext, request: RunRequest, head: Head) -> tuple[str, ...]:
    tasks = tuple(step.task for flow in request.config.workflows.values() for step in flow.steps)
    warnings = [
        *_secret_in_task(context, request),
        *(
            f"{name} is for no task of any workflow, so it is not used."
            for name in unused_prompts(request.prompts, tasks)
        ),
    ]
    if request.options.integrate is Integrate.MERGE and head.branch is None:
        warnings.append("HEAD is detached, so there is no branch to merge into: the run will wait for one.")
    if not check_lines(request.config):
        warnings.append("No check is configured: the result will be unverified.")
    if not request.include_changes and context.repository.is_dirty():
        warnings.append(
            "Your uncommitted changes are not part of this run; --include-changes starts from them."
        )
    return tuple(warnings)


def _short(branch: str | None) -> str | None:
    return branch.removeprefix("refs/heads/") if branch is not None else None


def _workflow_text(context: EngineContext, request: RunRequest) -> str | None:
    if request.workflow_yaml is None:
        return None
    text = request.workflow_yaml.decode("utf-8", "surrogateescape")
    return yaml_without_secrets(text, request.config, context.redactor)
