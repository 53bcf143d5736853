"""`bundle`: a run as one file, for machines without a remote in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.grammar import Command, Group, new_application
from orchestrator.cli.invocation import invocation
from orchestrator.cli.lookups import RunArgument
from orchestrator.errors import Refused

app = new_application(cls=Group, add_help_option=False)
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The file.")]


@app.command("export", cls=Command, add_help_option=False)
def export(ctx: typer.Context, run: RunArgument, file: FileArgument) -> int:
    """Write a run into one file: its history, state and transcripts, with the hash of each."""
    call = invocation(ctx)
    from orchestrator.model.ids import parse_run_id
    from orchestrator.sessions.bundle import export_run

    run_id = parse_run_id(run)
    with call.open(writes=True, run=run_id) as workspace:
        done = export_run(workspace.context, run_id, Path(call.directory, file))
    if done.local_only:
        call.screen.warn(f"{file} holds a checkpoint with a secret in it: hand it to nobody else.")
    if call.screen.as_json:
        call.screen.json({"run_id": run_id, "file": str(done.file), "size_bytes": done.size_bytes})
    call.screen.out(f"exported run {run_id} to {file} ({done.size_bytes:,} bytes)")
    call.screen.note(f"Bring it back elsewhere: orchestrator bundle import {file}")
    return 0


@app.command("import", cls=Command, add_help_option=False)
def import_(ctx: typer.Context, file: FileArgument) -> int:
    """Bring back the run in a file; every byte of it is checked before anything is changed."""
    call = invocation(ctx)
    from orchestrator.cli.elsewhere import target
    from orchestrator.model.run import RunStatus
    from orchestrator.sessions.unbundle import import_bundle

    restored = import_bundle(target(call), Path(call.directory, file))
    if restored.problems:
        raise Refused(restored.problems[0], code="bundle-invalid", hint="Export the run again where it is.")
    for name in restored.kept:
        call.screen.warn(f"What was done here, and is not part of that, is kept as {name}")
    if call.screen.as_json:
        call.screen.json(restored.as_json())
    for run_id, status in restored.runs.items():
        call.screen.out(f"imported run {run_id} ({status})")
        has_ended = status in (RunStatus.COMPLETED, RunStatus.CANCELLED)
        way = f"Look at it with: orchestrator diff {run_id}" if has_ended else ""
        call.screen.note(way or f"Go on with: orchestrator resume {run_id}")
    if not restored.runs:
        call.screen.out("This clone has everything in it already.")
    return 0
