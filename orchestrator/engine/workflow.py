"""Says which steps an attempt consists of, from the frozen configuration and what the user typed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.config.prompts import PLANNER
from orchestrator.config.schema import Config, Step
from orchestrator.engine.prompts import StepTask
from orchestrator.errors import Refused
from orchestrator.model.run import RunOptions

COMMAND_AGENT = "command"
DEFAULT_WORKFLOW = "default"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step: who works (None: the default agent), with which model, on what, how long at most (seconds).

    A failure of an `optional` step is noted and does not end the attempt; `retries` limits the attempts
    after a failure of this step's agent (None: as the phase's). `secrets` are names, beside the agent's own.
    """

    agent: str | None
    task: StepTask
    timeout_s: float
    idle_timeout_s: float
    model: str | None = None
    optional: bool = False
    retries: int | None = None
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoundLimits:
    """How often the steps of a workflow are gone through at most, and how many suggestions ask for more."""

    max_iterations: int = 1
    min_suggestions: int = 1


def planned_rounds(config: Config, options: RunOptions) -> RoundLimits:
    """Returns how often a run's steps are gone through; once for an agent or a command that works alone."""
    workflow = config.workflows.get(options.workflow)
    if works_alone(options) or workflow is None:
        return RoundLimits()
    return RoundLimits(workflow.max_iterations, workflow.min_suggestions_threshold)


def works_alone(options: RunOptions) -> bool:
    """Returns whether the command line named who works, so that neither workflow nor planner is asked."""
    return options.command is not None or options.agent is not None


def planned_steps(config: Config, options: RunOptions) -> tuple[PlannedStep, ...]:
    """Returns the steps of a run's workflow; at least one.

    A command or an agent named on the command line works alone, in one step.

    Raises:
        Refused: `workflow-unknown`: the workflow named is not in the configuration.
    """
    if options.command is not None:
        return (_lone_step(config, COMMAND_AGENT),)
    if options.agent is not None:
        return (_lone_step(config, options.agent),)
    workflow = config.workflows.get(options.workflow)
    if workflow is not None:
        return tuple(_configured_step(config, step) for step in workflow.steps)
    if options.workflow != DEFAULT_WORKFLOW:
        known = ", ".join(sorted(config.workflows)) or "none is configured"
        raise Refused(
            f"There is no workflow named {options.workflow!r} (known: {known}).",
            code="workflow-unknown",
            hint="See them with: orchestrator config show",
        )
    return (_lone_step(config, None),)


def _lone_step(config: Config, agent: str | None) -> PlannedStep:
    timeout_s, idle_timeout_s = _timeouts(config, agent)
    return PlannedStep(agent, StepTask(""), timeout_s, idle_timeout_s)


def planner_step(config: Config) -> PlannedStep | None:
    """Returns the turn in which the planner is asked, None where no agent has that role."""
    name = config.roles.planner
    return None if name is None else replace(_lone_step(config, name), task=StepTask(PLANNER))


def _configured_step(config: Config, step: Step) -> PlannedStep:
    agent = step.agent or config.roles.agent_for(step.task)
    timeout_s, idle_timeout_s = _timeouts(config, agent)
    return PlannedStep(
        agent=agent,
        task=StepTask(step.task, step.description, step.prompt),
        timeout_s=step.timeout_s or timeout_s,
        idle_timeout_s=idle_timeout_s,
        model=step.model,
        optional=step.optional,
        retries=step.retries,
        secrets=step.secrets,
    )


def _timeouts(config: Config, agent: str | None) -> tuple[float, float]:
    """Returns deadline and idle timeout in seconds: the agent's own, else the configured ones."""
    own = config.agents.get(agent) if agent is not None else None
    execution = config.execution
    timeout_s = own.timeout_s if own is not None and own.timeout_s is not None else execution.timeout_s
    idle_s = own.idle_timeout_s if own is not None and own.idle_timeout_s is not None else None
    return timeout_s, idle_s if idle_s is not None else execution.idle_timeout_s
