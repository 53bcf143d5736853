"""`sessions`: what machines that do not last have left."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.grammar import Command, Group, new_application
from orchestrator.cli.invocation import invocation
from orchestrator.cli.sessions_restore import bring_back

app = new_application(cls=Group, add_help_option=False)


@app.callback()
def sessions() -> None:
    """Bring back runs of machines that are gone."""


@app.command("restore", cls=Command, add_help_option=False)
def restore(
    ctx: typer.Context,
    session: Annotated[
        str | None, typer.Argument(metavar="ID", help="Id of the session; the newest one without.")
    ] = None,
) -> int:
    """Bring back what was saved of a session at the remote, and take over runs that went on elsewhere."""
    return bring_back(invocation(ctx), session)
