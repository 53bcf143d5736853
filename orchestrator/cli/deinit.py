"""`deinit`: takes orchestrator out of a repository again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.errors import Refused
from orchestrator.model.json import Json

if TYPE_CHECKING:
    from orchestrator.workspace import Workspace


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
        with ExitStack() as others:
            beside = [others.enter_context(each) for each in _others(call, workspace)]
            left = leave(workspace.context, export=bundle, others=[each.context for each in beside])
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


def _others(call: Invocation, workspace: Workspace) -> Iterator[Workspace]:
    """Yields the states of the other sessions here, opened for writing."""
    from orchestrator.workspace import open_beside

    for tree in call.trees():
        if tree.paths.state_file != workspace.paths.state_file and tree.paths.state_file.exists():
            yield open_beside(workspace, tree)


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
