"""`agents`: what is there, which version, in which health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.config import load_configuration
from orchestrator.cli.grammar import Command, Group, new_application
from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.screen import Styled
from orchestrator.cli.table import columns
from orchestrator.errors import Refused
from orchestrator.model.agent import AgentHealth, Health

if TYPE_CHECKING:
    from orchestrator.model.json import Json

app = new_application(cls=Group, add_help_option=False, invoke_without_command=True)
_STYLES = {Health.READY: "green", Health.MISSING: "dim", Health.BROKEN: "red"}


@app.callback(invoke_without_command=True)
def agents(ctx: typer.Context) -> int:
    """List agents, their versions and health."""
    if ctx.invoked_subcommand is None:
        call = invocation(ctx)
        _show(call, _health(call, None))
    return 0


@app.command("check", cls=Command, add_help_option=False)
def check(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One agent; all by default.")] = None,
) -> int:
    """Check that agents can be started; exit status 1 when one of them cannot."""
    call = invocation(ctx)
    found = _health(call, name)
    _show(call, found)
    return 0 if all(health.health is Health.READY for _, health in found) else 1


def _health(call: Invocation, name: str | None) -> list[tuple[str, AgentHealth]]:
    """Returns the health of one agent, or of every configured one and every preset.

    Programs of presets are asked for their version. Where nobody has approved the repository's configuration
    its `env` is left out, because a PATH or LD_PRELOAD of its choice would decide which program that is.
    """
    from orchestrator.agents.preset import PRESETS
    from orchestrator.agents.registry import build

    configured = load_configuration(call).config.agents
    if not _is_trusted(call):
        configured = {key: agent.model_copy(update={"env": {}}) for key, agent in configured.items()}
    names = [name] if name is not None else [*configured, *(p for p in PRESETS if p not in configured)]
    return [(each, build(each, configured).probe()) for each in names]


def _is_trusted(call: Invocation) -> bool:
    from orchestrator.cli.trusting import look

    try:
        return look(call).trusted
    except Refused:  # no repository, or not initialised: nobody has approved anything
        return False


def _said(health: AgentHealth) -> str:
    return health.version if health.health is Health.READY else health.detail or health.version


def _show(call: Invocation, found: list[tuple[str, AgentHealth]]) -> None:
    if call.screen.as_json:
        listed: list[Json] = [
            {
                "name": name,
                "health": health.health,
                "path": health.path or None,
                "version": health.version or None,
                "detail": health.detail or None,
            }
            for name, health in found
        ]
        call.screen.json({"agents": listed})
        return
    rows = [
        (name, Styled(health.health, _STYLES[health.health]), _said(health), health.path)
        for name, health in found
    ]
    for parts in columns(rows):
        call.screen.out(*parts)
