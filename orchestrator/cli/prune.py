"""`prune`: makes room down to the budgets of `session`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation


def prune(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed; change nothing.")
    ] = False,
) -> int:
    """Removes trees and outputs of ended runs and archives old ones, as far as the budgets demand.

    Archived runs stay in git, and `restore RUN` brings them back.
    """
    call = invocation(ctx)
    return prune_here(call, dry_run=dry_run, only_sessions=False)


def prune_here(call: Invocation, *, dry_run: bool, only_sessions: bool) -> int:
    """Makes room in every state here, or in the sessions alone, and returns the exit status."""
    from orchestrator.cli.making_room import make_room

    workspace = call.open_existing()
    if workspace is None:
        call.screen.out("Nothing to remove: no run has been started here.")
        if call.screen.as_json:
            call.screen.json({"dry_run": dry_run, "freed_bytes": 0, "bytes": 0})
        return 0
    with workspace:
        return make_room(call, workspace, dry_run=dry_run, only_sessions=only_sessions)
