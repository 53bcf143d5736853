"""Where an agent keeps its own state: in the user's place for it, or under `.orchestrator/`."""

from __future__ import annotations

import os

from orchestrator.config.schema import Agent as AgentConfig
from orchestrator.config.schema import Config
from orchestrator.engine.context import EngineContext
from orchestrator.engine.work import Work
from orchestrator.errors import Refused
from orchestrator.model.run import RunOptions
from orchestrator.paths import names
from orchestrator.ports import Agent


def is_contained(configured: AgentConfig | None, credentials: tuple[str, ...]) -> bool:
    """Returns whether an agent's own state lies under `.orchestrator/`.

    `credentials` are the variables that hold its keys. Where nothing is said, it does when one of them is
    given to this agent: then it needs no login of the user's, and shall not mix with what belongs to it.
    """
    if configured is None:
        return False
    if configured.state is not None:
        return configured.state == "contained"
    return any(name in configured.env or name in configured.secrets for name in credentials)


def home_of(work: Work, agent: Agent) -> str:
    """Returns the absolute path of an agent's contained home, empty where its state is shared."""
    return home_in(work.context, work.config, work.run.metadata.options, agent)


def home_in(context: EngineContext, config: Config, options: RunOptions, agent: Agent) -> str:
    """Returns the same for an agent that works on no step.

    Raises:
        Refused: `agent-home-supplied`, the repository brings such homes: settings that nobody approved can
            start programs, and send the agent's key elsewhere.
    """
    configured = config.agents.get(agent.name) if options.command is None else None
    if not is_contained(configured, agent.credentials):
        return ""
    _require_ours(context)
    return os.path.abspath(context.paths.agent_home(agent.name))


def _require_ours(context: EngineContext) -> None:
    place = f"{names.DIRECTORY}/{names.AGENTS}"
    if context.repository.git.zsplit("ls-files", "-z", "--", f":(top,literal,icase){place}"):
        raise Refused(
            f"The repository brings files in {place}, where agents keep state of their own.",
            code="agent-home-supplied",
            hint=f"Look at them, and take them out: git rm -r {place}",
        )
