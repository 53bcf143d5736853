"""`agents`: what is there, which version, in which health, and whether anybody is logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.config import load_configuration
from orchestrator.cli.grammar import Command, Group, new_application
from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.screen import Styled
from orchestrator.cli.table import columns
from orchestrator.cli.words import age
from orchestrator.errors import CredentialMissing, Refused
from orchestrator.model.agent import AgentHealth, Health, Login

if TYPE_CHECKING:
    from orchestrator.model.json import Json
    from orchestrator.state.agent_history import Seen

app = new_application(cls=Group, add_help_option=False, invoke_without_command=True)
_STYLES = {Health.READY: "green", Health.MISSING: "dim", Health.BROKEN: "red"}
_TITLES = ("AGENT", "HEALTH", "VERSION", "LOGIN", "LAST", "PATH")


@app.callback(invoke_without_command=True)
def agents(ctx: typer.Context) -> int:
    """List agents, their versions, health and logins."""
    if ctx.invoked_subcommand is None:
        call = invocation(ctx)
        _show(call, _health(call, None))
    return 0


@app.command("check", cls=Command, add_help_option=False)
def check(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One agent; all by default.")] = None,
    turn: Annotated[
        bool, typer.Option("--turn", help="Let NAME answer one word: asks its service, costs a few tokens.")
    ] = False,
) -> int:
    """Check that agents can be started, free and offline; exit status 1 when one cannot, 4 without a key."""
    call = invocation(ctx)
    if turn and name is None:
        raise Refused(
            "--turn costs tokens, so it takes one agent.",
            code="usage",
            hint="Name it: orchestrator agents check claude --turn",
        )
    found = _health(call, name)
    if name is not None and turn and found[0][1].health is Health.READY:
        from orchestrator.cli.agent_turn import one_turn

        found = [(name, one_turn(call, name, found[0][1]))]
    _remember(call, found)
    _show(call, found)
    if name is not None:
        _require_login(name, found[0][1])
    return 0 if all(health.health is Health.READY for _, health in found) else 1


def _require_login(name: str, health: AgentHealth) -> None:
    if health.health is Health.READY and health.login is Login.NONE:
        way = health.log_in or f"orchestrator secrets set (a key, named in `secrets:` of agent {name})"
        raise CredentialMissing(
            f"Agent {name} has no key, and nobody is logged in.", code="agent-login", hint=way
        )


def _health(call: Invocation, name: str | None) -> list[tuple[str, AgentHealth]]:
    """Returns the health of one agent, or of every configured one and every preset.

    Programs of presets are asked for their version. Where nobody has approved the repository's configuration
    its `env` is left out, because a PATH or LD_PRELOAD of its choice would decide which program that is.
    """
    from orchestrator.agents.preset import PRESETS
    from orchestrator.agents.registry import Reach, build

    def look(each: str) -> AgentHealth:
        try:
            return build(each, configured, reach=Reach(config)).probe()
        except Refused as error:
            if name is not None:
                raise
            return AgentHealth(Health.BROKEN, detail=error.message.rstrip("."))

    config = load_configuration(call).config
    configured = config.agents
    if not _is_trusted(call):
        configured = {key: agent.model_copy(update={"env": {}}) for key, agent in configured.items()}
    names = [name] if name is not None else [*configured, *(p for p in PRESETS if p not in configured)]
    return [(each, look(each)) for each in names]


def _is_trusted(call: Invocation) -> bool:
    from orchestrator.cli.trusting import look

    try:
        return look(call).trusted
    except Refused:  # no repository, or not initialised: nobody has approved anything
        return False


def _remember(call: Invocation, found: list[tuple[str, AgentHealth]]) -> None:
    """Keeps what was found in the state, where there is one."""
    from orchestrator.model.event import EventKind

    try:
        workspace = call.open(writes=True)
    except Refused:
        return
    with workspace, workspace.state.transaction():
        for name, health in found:
            facts: dict[str, Json] = {
                "agent": name,
                "health": health.health,
                "version": health.version,
                "login": health.login,
                "detail": health.detail,
            }
            workspace.state.record_event(None, EventKind.AGENT_CHECKED, facts)


def _history(call: Invocation) -> dict[str, Seen]:
    from pathlib import Path

    from orchestrator.paths import OrchestratorPaths
    from orchestrator.state.agent_history import last_seen

    try:
        return last_seen(str(OrchestratorPaths(Path(call.locate().home)).state_file))
    except Refused:
        return {}


def _said(health: AgentHealth) -> str:
    if health.health is not Health.READY:
        return health.detail or health.version
    return health.version + (f" (untried: {health.range})" if health.tested is False else "")


def _last(seen: Seen | None) -> str | Styled:
    if seen is None:
        return "-"
    return Styled(f"{seen['what']} {age(seen['at'])} ago: {seen['how']}", "" if seen["ok"] else "yellow")


def _login(health: AgentHealth) -> str | Styled:
    if health.health is not Health.READY or health.login is Login.UNKNOWN:
        return "-"
    return Styled("none", "yellow") if health.login is Login.NONE else health.login


def _show(call: Invocation, found: list[tuple[str, AgentHealth]]) -> None:
    seen = _history(call)
    if call.screen.as_json:
        call.screen.json({"agents": [_fields(name, health, seen.get(name)) for name, health in found]})
        return
    rows: list[tuple[str | Styled, ...]] = [_TITLES]
    for name, health in found:
        styled = Styled(health.health, _STYLES[health.health])
        rows.append((name, styled, _said(health), _login(health), _last(seen.get(name)), health.path))
    for parts in columns(rows):
        call.screen.out(*parts)


def _fields(name: str, health: AgentHealth, seen: Seen | None) -> dict[str, Json]:
    last: dict[str, Json] | None = None
    if seen is not None:
        last = {"what": seen["what"], "how": seen["how"], "at": seen["at"], "ok": seen["ok"]}
    return {
        "name": name,
        "health": health.health,
        "path": health.path or None,
        "version": health.version or None,
        "detail": health.detail or None,
        "tested": health.tested,
        "range": health.range or None,
        "login": health.login,
        "log_in": health.log_in or None,
        "last": last,
    }
