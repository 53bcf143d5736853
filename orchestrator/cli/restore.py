"""`restore`: writes a checkpoint's files into a new directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.invocation import invocation


def restore(
    ctx: typer.Context,
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Id as `checkpoints` shows it.")],
    into: Annotated[str, typer.Option("--into", metavar="DIR", help="A directory that is missing or empty.")],
) -> int:
    """Writes the files; never over existing work."""
    call = invocation(ctx)
    from orchestrator.cli.saved import find_checkpoint, saved_in

    checkpoints = saved_in(call)
    found = find_checkpoint(checkpoints, checkpoint)
    target = Path(call.directory, into)
    checkpoints.restore(found, target)
    if call.screen.as_json:
        call.screen.json({"checkpoint": found.commit, "run_id": found.run_id, "into": str(target)})
        return 0
    call.screen.out(f"restored checkpoint {found.number} of run {found.run_id} into {target}")
    return 0
