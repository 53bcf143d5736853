"""`restore`: writes a checkpoint's files into a new directory, or brings an archived run back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.errors import Refused


def restore(
    ctx: typer.Context,
    checkpoint: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT|RUN", help="Id as `checkpoints` shows it; or an archived run."),
    ],
    into: Annotated[
        str | None, typer.Option("--into", metavar="DIR", help="A directory that is missing or empty.")
    ] = None,
) -> int:
    """Writes the files, never over existing work; without --into an archived run comes back as it was."""
    call = invocation(ctx)
    if into is None:
        return _bring_back(call, checkpoint)
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


def _bring_back(call: Invocation, text: str) -> int:
    """Brings a run back from the archive into the state in use.

    Raises:
        Refused: `not-archived`, or `into-missing` where the word names a checkpoint.
    """
    from orchestrator.fs.lock import FileLock
    from orchestrator.model.ids import parse_run_id
    from orchestrator.repo.archive import read_archived
    from orchestrator.sessions.freeing import restore as bring_back

    run_id = parse_run_id(text)
    with call.open(writes=True, run=run_id, begins=True) as workspace:
        archived = read_archived(workspace.repository, run_id)
        if archived is None:
            raise _not_archived(text)
        lock = FileLock(
            workspace.paths.run_lock(run_id), what=f"run {run_id}", command=f"orchestrator restore {run_id}"
        )
        with lock:
            bring_back(workspace.context, archived)
        run = workspace.state.get_run(run_id)
    if call.screen.as_json:
        call.screen.json({"run_id": run_id, "status": run.status, "archive": archived.ref})
        return 0
    call.screen.out(f"run {run_id} is back ({run.status}), from {archived.ref}")
    call.screen.note(f"Look at it with: orchestrator report {run_id}")
    return 0


def _not_archived(text: str) -> Refused:
    return Refused(
        f"No run {text!r} is in the archive.",
        code="not-archived",
        hint=f"For a checkpoint, name a directory: orchestrator restore {text} --into DIR",
    )
