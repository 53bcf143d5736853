"""`merge`: takes a run's result into the current branch."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.invocation import invocation
from orchestrator.cli.keeping_safe import take_out_if_over
from orchestrator.cli.lookups import RunArgument, find_run
from orchestrator.cli.status_view import short_branch


def merge(
    ctx: typer.Context,
    run: RunArgument,
    trust: Annotated[bool, typer.Option("--trust", help="Trust this repository for this call.")] = False,
) -> int:
    """Merges with a merge commit; refuses when your changes are in the way. `undo` takes it back."""
    call = invocation(ctx)
    from orchestrator.engine.merging import merge_run

    with call.open(writes=True, trust_now=trust, run=run) as workspace:
        found = find_run(workspace, run)
        done = merge_run(workspace.context, found.id)
        take_out_if_over(workspace, found.id, call.screen)
    if call.screen.as_json:
        call.screen.json(
            {
                "run_id": found.id,
                "commit": done.commit,
                "branch": short_branch(done.branch),
                "operation": done.operation_id,
                "already_merged": done.already,
                "notes": list(done.notes),
            }
        )
        return 0
    verb = "was merged already into" if done.already else "is merged into"
    call.screen.out(f"run {found.id} {verb} {short_branch(done.branch)} ({done.commit[:12]})")
    for note in done.notes:
        call.screen.note("note: ", note)
    if not done.already:
        call.screen.note("Take it back with: orchestrator undo")
    return 0
