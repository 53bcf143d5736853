"""`diff`: what a run changed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.lookups import RunArgument, find_run
from orchestrator.errors import Refused

if TYPE_CHECKING:
    from orchestrator.model.ids import ObjectId
    from orchestrator.model.run import Run
    from orchestrator.workspace import Workspace


def diff(
    ctx: typer.Context,
    run: RunArgument,
    stat: Annotated[bool, typer.Option("--stat", help="Only how much of which file.")] = False,
    no_pager: Annotated[bool, typer.Option("--no-pager", help="Print at once, on a terminal too.")] = False,
) -> int:
    """Shows the difference between a run's base and its result, or what its last checkpoint holds so far."""
    call = invocation(ctx)
    from orchestrator.cli import old_place
    from orchestrator.config.frozen import thaw
    from orchestrator.workspace import make_stored_known

    try:
        with call.open(writes=False, run=run) as workspace:
            found = find_run(workspace, run)
            make_stored_known(workspace, thaw(found.metadata.config))
            head = found.metadata.progress.result or _reached(workspace, found)
            data = workspace.repository.diff(found.metadata.origin.base, head, stat=stat)
    except Refused as refusal:
        old_place.refuse_diff(old_place.found(call, run, refusal))
    if call.screen.as_json:
        text = data.decode("utf-8", "backslashreplace")
        call.screen.json({"run_id": found.id, "base": found.metadata.origin.base, "head": head, "diff": text})
        return 0
    _show(call, found, data, wanted=not no_pager)
    return 0


def _reached(workspace: Workspace, run: Run) -> ObjectId:
    """Returns the tree of a run's last checkpoint, which passed no gate yet; the base before there is one."""
    kept = workspace.context.checkpoints.list_checkpoints(run.id)
    return kept[0].tree if kept else run.metadata.origin.base


def _show(call: Invocation, run: Run, data: bytes, *, wanted: bool) -> None:
    from orchestrator.cli.paging import page
    from orchestrator.cli.terminal import escape, is_terminal

    if not data:
        call.screen.note(f"Run {run.id} has changed nothing.")
    elif is_terminal(sys.stdout):
        page(call, escape(data.decode("utf-8", "backslashreplace")), wanted=wanted)
    else:
        call.screen.raw(data)
