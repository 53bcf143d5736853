"""`trust`: approve the commands of this repository's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.trusting import ask, look, show_commands
from orchestrator.errors import Refused

if TYPE_CHECKING:
    from orchestrator.workspace import TrustView


def trust(
    ctx: typer.Context,
    show: Annotated[
        bool, typer.Option("--show", help="Show what would run and whether it is trusted.")
    ] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take trust back.")] = False,
) -> int:
    """Shows the exact commands and asks; `--yes` answers where nobody can be asked."""
    call = invocation(ctx)
    if show and revoke:
        raise Refused(
            "--show and --revoke exclude each other.", code="usage", hint="orchestrator trust --show"
        )
    view = look(call)
    if show:
        return _show(call, view)
    return _revoke(call, view) if revoke else _approve(call, view)


def _show(call: Invocation, view: TrustView) -> int:
    if call.screen.as_json:
        commands = [{"where": each.where, "argv": list(each.argv)} for each in view.commands]
        layouts = [{"file": each.where, "says": list(each.notes)} for each in view.layouts]
        call.screen.json({"trusted": view.approved, "commands": commands, "layouts": layouts})
        return 0
    call.screen.out("trusted" if view.approved else "not trusted")
    show_commands(call.screen, view, result=True)
    return 0


def _revoke(call: Invocation, view: TrustView) -> int:
    count = view.store.revoke(view.key)
    if call.screen.as_json:
        call.screen.json({"trusted": False, "revoked": count})
    call.screen.out("Trust was taken back." if count else "There was no trust to take back.")
    return 0


def _approve(call: Invocation, view: TrustView) -> int:
    if not view.approved and not ask(call, view):
        raise Refused(
            "Nothing was approved.", code="not-approved", hint="Look again: orchestrator trust --show"
        )
    if call.screen.as_json:
        call.screen.json({"trusted": True})
    call.screen.out(
        "This repository was trusted already." if view.approved else "This repository is trusted now."
    )
    return 0
