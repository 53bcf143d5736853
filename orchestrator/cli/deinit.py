"""`deinit`: takes orchestrator out of a repository again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.errors import Refused
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
    if bundle is not None and not bundle.parent.is_dir():
        raise Refused(
            f"{bundle.parent} is not a directory.",
            code="not-a-directory",
            hint="Make it, or name another FILE.",
        )
    try:
        opened = call.open(writes=True)
    except Refused as refusal:
        if refusal.code != "not-initialised" or not _finished(call):
            raise
        return 0
    with opened as workspace:
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


def _finished(call: Invocation) -> bool:
    from orchestrator.engine.leaving import finish_leaving
    from orchestrator.repo.repository import Repository

    located = call.locate()
    ways_back = finish_leaving(Repository(located, trusted=False), Path(located.orchestrator_dir))
    if ways_back is None:
        return False
    if call.screen.as_json:
        ways: list[Json] = [{"what": way.what, "command": way.command} for way in ways_back]
        call.screen.json({"removed": ways, "kept": [], "trust_revoked": 0, "exported": None})
        return True
    call.screen.out("What an interrupted call left is removed.")
    for way in ways_back:
        call.screen.detail("  the way back: ", way.command)
    return True
