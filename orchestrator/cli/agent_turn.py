"""Lets an agent take one tiny turn in an empty directory, because a person asked for that."""

from __future__ import annotations

import os
import secrets
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.invocation import Invocation
from orchestrator.errors import CredentialMissing
from orchestrator.model.agent import AgentHealth, AgentRequest, Cause, Ending, Finished, Health

if TYPE_CHECKING:
    from orchestrator.workspace import Workspace

_QUESTION = "Answer with the single word OK. Use no tool."
_PATIENCE_S = 120.0


def one_turn(call: Invocation, name: str, health: AgentHealth) -> AgentHealth:
    """Returns the agent's health after a real turn, which costs a few tokens; broken when it failed.

    Raises:
        NotTrusted: the repository's configuration was not approved.
        CredentialMissing: a secret that the agent lists has no value, or its service accepts no key.
        Refused: the repository is not initialised.
    """
    with call.open(writes=True) as workspace, tempfile.TemporaryDirectory() as place:
        workspace.trust.require()
        finished = _take(workspace, name, Path(place))
    if finished.ending is Ending.FAILED and finished.cause is Cause.CREDENTIAL:
        raise CredentialMissing(
            f"The service of agent {name} accepts no key or login of yours: {finished.detail[:200]}.",
            code="agent-login",
            hint=health.log_in or "Store a key with: orchestrator secrets set NAME",
        )
    if finished.ending is not Ending.FINISHED:
        return replace(health, health=Health.BROKEN, detail=f"{finished.ending}: {finished.detail[:200]}")
    return health


def _take(workspace: Workspace, name: str, place: Path) -> Finished:
    from orchestrator.engine.agent_home import home_in
    from orchestrator.model.run import RunOptions

    context, config = workspace.context, workspace.loaded.config
    options = RunOptions(agent=name)
    agent = context.agents(name, config=config, options=options, model=None)
    configured = config.agents.get(name)
    names = configured.secrets if configured is not None else ()
    tree = place / "tree"
    tree.mkdir()
    request = AgentRequest(
        prompt=_QUESTION,
        transcript=os.fspath(place / "transcript.log"),
        marker=f"agents-check/{secrets.token_hex(8)}",
        timeout_s=_PATIENCE_S,
        idle_timeout_s=_PATIENCE_S,
        environment=context.environment,
        secrets=context.secrets(names, config=config, overrides={}, passed=agent.credentials),
        home=home_in(context, config, options, agent),
    )
    ended: Finished | None = None
    for event in agent.run(request, worktree=tree, cancelled=lambda: False):
        if isinstance(event, Finished):
            ended = event
    assert ended is not None, f"agent {name} ended without a Finished event"
    return ended
