"""Which secrets a step gets, and their values at the moment it begins; they are recorded nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.config.frozen import thaw
from orchestrator.config.schema import Agent as AgentConfig
from orchestrator.config.schema import Config
from orchestrator.engine.context import EngineContext
from orchestrator.engine.workflow import PlannedStep, planned_steps, planner_step, works_alone
from orchestrator.errors import CredentialMissing, Refused, SecretMissing
from orchestrator.model.run import Run, RunOptions
from orchestrator.ports import Agent


def secret_names(config: Config, options: RunOptions, step: PlannedStep, agent: Agent) -> tuple[str, ...]:
    """Returns the names that an agent and its step list; a command that was typed lists none."""
    configured = _configured(config, options, agent)
    own = configured.secrets if configured is not None else ()
    return tuple(dict.fromkeys((*own, *step.secrets)))


def secrets_of(
    context: EngineContext, config: Config, options: RunOptions, step: PlannedStep, agent: Agent
) -> Mapping[str, str]:
    """Returns the values for one turn of an agent: of exactly the names that it and its step list.

    Raises:
        CredentialMissing: one is in none of the places, or cannot be read.
        Refused: a value that no variable can carry.
    """
    return context.secrets(
        secret_names(config, options, step, agent),
        config=config,
        overrides=_overrides(config, options, agent),
        passed=agent.credentials,
    )


def require_secrets(
    context: EngineContext, config: Config, options: RunOptions, *, planner: PlannedStep | None = None
) -> None:
    """Makes sure that every step of a run, and its planner, would get secrets; values are forgotten again.

    Each is looked up once, however many steps list it.

    Raises:
        CredentialMissing: one cannot be read, or some have no value, and all of these are named.
        Refused: what `planned_steps` and the agents refuse; a value that no variable can carry.
    """
    missing: dict[str, str] = {}
    seen: set[tuple[str, str | None]] = set()
    for step in (*([planner] if planner is not None else []), *planned_steps(config, options)):
        if not step.secrets and not any(agent.secrets for agent in config.agents.values()):
            continue  # nothing to ask for, so nobody needs to be found
        agent = _agent(context, config, options, step)
        if agent is None:
            continue
        overrides = _overrides(config, options, agent)
        asked = {(name, overrides.get(name)) for name in secret_names(config, options, step, agent)} - seen
        seen |= asked
        try:
            context.secrets(
                tuple(sorted(name for name, _ in asked)), config=config, overrides=overrides, passed=()
            )
        except SecretMissing as error:
            missing.update(zip(error.names, error.problems, strict=True))
    if missing:
        raise SecretMissing(tuple(missing), tuple(missing.values()))


def require_secrets_of(context: EngineContext, run: Run) -> None:
    """Does the same for a run that goes on, with the configuration that it started with."""
    config, options = thaw(run.metadata.config), run.metadata.options
    is_planned = bool(context.state.get_phases_for_run(run.id))
    planner = None if is_planned or works_alone(options) else planner_step(config)
    require_secrets(context, config, options, planner=planner)


def _agent(context: EngineContext, config: Config, options: RunOptions, step: PlannedStep) -> Agent | None:
    """Returns the agent of a step, None when it is an optional one that cannot be started."""
    try:
        return context.agents(step.agent, config=config, options=options, model=step.model)
    except (Refused, CredentialMissing):
        if not step.optional:
            raise
        return None


def _configured(config: Config, options: RunOptions, agent: Agent) -> AgentConfig | None:
    return config.agents.get(agent.name) if options.command is None else None


def _overrides(config: Config, options: RunOptions, agent: Agent) -> Mapping[str, str]:
    configured = _configured(config, options, agent)
    return configured.env if configured is not None else {}
