"""`findings`: what the checks of a run complained about."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli.finding_formats import Format, Listed, render
from orchestrator.cli.invocation import invocation
from orchestrator.cli.lookups import RunArgument, find_run
from orchestrator.errors import Refused

FormatOption = Annotated[
    Format,
    typer.Option("--format", metavar="text|json|sarif|junit|github|markdown", help="Form of the answer."),
]


def findings(
    ctx: typer.Context,
    run: RunArgument,
    form: FormatOption = Format.TEXT,
    open_only: Annotated[bool, typer.Option("--open", help="Leave out what has been resolved.")] = False,
    no_pager: Annotated[bool, typer.Option("--no-pager", help="Print at once, on a terminal too.")] = False,
) -> int:
    """Shows findings, the worst first; `--json` is `--format json`."""
    call = invocation(ctx)
    from orchestrator.cli import old_place
    from orchestrator.cli.paging import page
    from orchestrator.cli.terminal import escape, write

    try:
        with call.open(writes=False, run=run) as workspace:
            found = find_run(workspace, run)
            recorded = workspace.state.get_findings(found.id, unresolved_only=open_only)
    except Refused as refusal:
        return old_place.show_findings(call, old_place.found(call, run, refusal), form, open_only=open_only)
    latest = {(each.finding.identity, each.finding.location): each for each in recorded}
    listed = [Listed(each.finding, is_new=each.is_new, resolved=each.resolved) for each in latest.values()]
    form = Format.JSON if call.screen.as_json else form
    text = render(listed, form)
    if form is not Format.TEXT:
        write(sys.stdout, call.redactor.text(text))
        return 0
    if not listed:
        call.screen.note(f"Run {found.id} has no findings.")
    page(call, escape(text), wanted=not no_pager)
    return 0
