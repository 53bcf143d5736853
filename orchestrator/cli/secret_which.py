"""`secrets which`: where the value of a secret comes from, and every place that was looked at."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.quick_which import show
from orchestrator.cli.secret_stores import NameArgument, stores_here


def which(
    ctx: typer.Context,
    name: NameArgument,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="As in a step of this agent.")
    ] = None,
) -> int:
    """Say where a secret's value comes from; shows no value, exit status 4 when there is none."""
    call = invocation(ctx)
    from orchestrator.cli.config import load_configuration
    from orchestrator.secretstore.lookup import Prompt, look_up
    from orchestrator.secretstore.names import checked_name
    from orchestrator.secretstore.places import stored_sources
    from orchestrator.workspace import outside_places

    checked_name(name)
    config = load_configuration(call).config
    configured = config.agents.get(agent) if agent is not None else None
    overrides = (configured.env if configured is not None else {}) if agent is not None else None
    sources = (
        *stored_sources(call.environment, overrides, stores_here(call)),
        *outside_places(call.environment, config, trusted=_may_ask_commands(call)),
        Prompt(None),
    )
    return show(call.screen, look_up(name, sources))


def _may_ask_commands(call: Invocation) -> bool:
    """Returns whether commands of the configuration may run: they are the user's own, or approved."""
    from orchestrator.cli.trusting import look
    from orchestrator.errors import Refused

    try:
        view = look(call)
    except Refused as refusal:
        if refusal.code not in ("not-a-repository", "not-initialised"):
            raise
        return refusal.code == "not-a-repository"
    return view.trusted or not any(each.where.startswith("secrets.providers") for each in view.commands)
