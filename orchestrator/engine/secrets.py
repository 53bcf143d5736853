"""Which secrets a step gets, and their values at the moment it begins; they are recorded nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.config.frozen import thaw
from orchestrator.config.schema import Config
from orchestrator.engine.context import EngineContext
from orchestrator.engine.workflow import PlannedStep, planned_steps
from orchestrator.model.run import Run, RunOptions
from orchestrator.ports import Agent


def require_secrets(context: EngineContext, config: Config, options: RunOptions) -> None:
    """Makes sure that every step of a run would get its secrets; their values are forgotten again.

    Raises:
        CredentialMissing: one is in none of the places; nothing has begun.
        Refused: what `planned_steps` and the agents refuse; a value that no variable can carry.
    """
    for step in planned_steps(config, options):
        if not step.secrets and not any(agent.secrets for agent in config.agents.values()):
            continue  # nothing to ask for, so nobody needs to be found
        agent = context.agents(step.agent, config=config, options=options, model=step.model)
        secrets_of(context, config, options, step, agent)


def require_secrets_of(context: EngineContext, run: Run) -> None:
    """Does the same for a run that goes on, with the configuration that it started with."""
    require_secrets(context, thaw(run.metadata.config), run.metadata.options)


def secrets_of(
    context: EngineContext, config: Config, options: RunOptions, step: PlannedStep, agent: Agent
) -> Mapping[str, str]:
    """Returns the values for one turn of an agent: exactly the names that it and its step list.

    A command that was typed lists none, whatever it has in common with a configured agent.

    Raises:
        CredentialMissing: one is in none of the places, or cannot be read.
    """
    configured = config.agents.get(agent.name) if options.command is None else None
    own = configured.secrets if configured is not None else ()
    overrides = configured.env if configured is not None else {}
    return context.secrets(
        (*own, *step.secrets), config=config, overrides=overrides, passed=agent.credentials
    )
