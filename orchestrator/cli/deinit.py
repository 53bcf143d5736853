"""`deinit`: takes orchestrator out of a repository again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.invocation import invocation
from orchestrator.model.json import Json


def deinit(
    ctx: typer.Context,
    export: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write everything into this git bundle first.")
    ] = None,
) -> int:
    """Removes refs, branches and .orchestrator/; unmerged work must be exported first."""
    call = invocation(ctx)
    from orchestrator.engine.leaving import leave

    bundle = Path(call.directory, export) if export is not None else None
    with call.open(writes=True) as workspace:
        view = workspace.trust
        left = leave(workspace.context, export=bundle)
        revoked = view.store.revoke(view.key)
    if call.screen.as_json:
        ways: list[Json] = [{"what": way.what, "command": way.command} for way in left.ways_back]
        kept: list[Json] = list(left.kept)
        call.screen.json(
            {
                "removed": ways,
                "kept": kept,
                "trust_revoked": revoked,
                "exported": str(bundle) if bundle is not None else None,
            }
        )
        return 0
    for way in left.ways_back:
        call.screen.out("removed ", way.what)
        call.screen.detail("  the way back: ", way.command)
    for name in left.kept:
        call.screen.note(f"kept {name}: git tracks it")
    if bundle is not None:
        call.screen.out(f"exported to {bundle}")
    return 0
