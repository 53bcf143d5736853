"""`log`: what happened in a run, in order."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.invocation import invocation
from orchestrator.cli.lookups import RunArgument, find_run
from orchestrator.errors import Refused


def log(
    ctx: typer.Context,
    run: RunArgument,
    no_pager: Annotated[bool, typer.Option("--no-pager", help="Print at once, on a terminal too.")] = False,
) -> int:
    """Shows the events of a run; `-v` those too that repeat what others say."""
    call = invocation(ctx)
    from orchestrator.cli import old_place
    from orchestrator.cli.live import QUIET_KINDS, as_json
    from orchestrator.cli.narration import describe
    from orchestrator.cli.paging import page
    from orchestrator.cli.terminal import escape

    try:
        with call.open(writes=False, run=run) as workspace:
            found = find_run(workspace, run)
            events = workspace.state.events(found.id)
    except Refused as refusal:
        return old_place.show_log(call, old_place.found(call, run, refusal))
    if call.screen.as_json:
        call.screen.json({"run_id": found.id, "events": [as_json(event) for event in events]})
        return 0
    shown = [event for event in events if call.screen.verbose or event.kind not in QUIET_KINDS]
    lines = [f"{event.at:%Y-%m-%d %H:%M:%S} {escape(describe(event))}\n" for event in shown]
    page(call, "".join(lines), wanted=not no_pager)
    return 0
