"""`report`: what a run did and proved, in Markdown."""

from __future__ import annotations

import sys

import typer

from orchestrator.cli.invocation import invocation
from orchestrator.cli.lookups import RunArgument, find_run
from orchestrator.errors import Refused


def report(ctx: typer.Context, run: RunArgument) -> int:
    """Prints the report."""
    call = invocation(ctx)
    from orchestrator.cli import old_place
    from orchestrator.cli.terminal import escape, write
    from orchestrator.engine.report import build_report, render_markdown

    try:
        with call.open(writes=False, run=run) as workspace:
            found = find_run(workspace, run)
            built = build_report(workspace.state, found.id)
            summary = workspace.state.export_run_summary(found.id) if call.screen.as_json else None
    except Refused as refusal:
        return old_place.show_report(call, old_place.found(call, run, refusal))
    if summary is not None:
        spent = [dict(each) for each in built.spent]
        call.screen.json({**summary, "spent": spent, "report": render_markdown(built)})
    else:
        write(sys.stdout, escape(call.redactor.text(render_markdown(built))))
    return 0
