"""`cancel`: stops a run and keeps what it reached."""

from __future__ import annotations

import typer

from orchestrator.cli.invocation import invocation
from orchestrator.cli.keeping_safe import take_out_if_over
from orchestrator.cli.lookups import RunArgument, find_run


def cancel(ctx: typer.Context, run: RunArgument) -> int:
    """Asks the run's process to stop, or ends the run here when there is none; `undo` makes it resumable."""
    call = invocation(ctx)
    from orchestrator.engine.decisions import cancel_run
    from orchestrator.model.run import RunStatus

    with call.open(writes=True, run=run) as workspace:
        found = find_run(workspace, run)
        after = cancel_run(workspace.context, found.id)
        take_out_if_over(workspace, found.id, call.screen)
    if call.screen.as_json:
        call.screen.json({"run_id": after.id, "status": after.status, "requested": True})
        return 0
    if after.status is RunStatus.CANCELLED:
        call.screen.out(f"run {after.id} is cancelled; what it reached is kept")
    else:
        call.screen.out(f"run {after.id} was asked to stop; its process ends it")
    call.screen.note("Take it back with: orchestrator undo")
    return 0
