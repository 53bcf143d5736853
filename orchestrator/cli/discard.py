"""`discard`: drops a run's branch and tree."""

from __future__ import annotations

import typer

from orchestrator.cli.invocation import invocation
from orchestrator.cli.keeping_safe import take_out_if_over
from orchestrator.cli.lookups import RunArgument, find_run
from orchestrator.errors import Refused


def discard(ctx: typer.Context, run: RunArgument) -> int:
    """Asks, then drops the branch and the tree of a run; its checkpoints stay, and `undo` brings it back."""
    call = invocation(ctx)
    from orchestrator.engine.decisions import discard_run

    with call.open(writes=True, run=run) as workspace:
        found = find_run(workspace, run)
        question = f"Drop the branch and the tree of run {found.id}?"
        if not call.confirm(question, otherwise=f"orchestrator discard {found.id} --yes"):
            raise Refused(
                "Nothing was discarded.", code="not-confirmed", hint="Its checkpoints stay in any case."
            )
        way_back = discard_run(workspace.context, found.id)
        take_out_if_over(workspace, found.id, call.screen)
    if call.screen.as_json:
        call.screen.json(
            {
                "run_id": found.id,
                "discarded": way_back.what if way_back else None,
                "way_back": way_back.command if way_back else None,
            }
        )
        return 0
    if way_back is None:
        call.screen.out(f"run {found.id} had no branch and no result")
        return 0
    call.screen.out(f"discarded {way_back.what}")
    call.screen.note("The way back: orchestrator undo, or: ", way_back.command)
    return 0
