"""`checkpoints`: what a run has saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.lookups import RunArgument, find_run
from orchestrator.cli.table import columns
from orchestrator.errors import Refused

if TYPE_CHECKING:
    from orchestrator.model.ids import RunId
    from orchestrator.model.record import Checkpoint


def checkpoints(ctx: typer.Context, run: RunArgument) -> int:
    """Lists a run's checkpoints, newest first; they live in git, so this works when the database is gone."""
    call = invocation(ctx)
    from orchestrator.cli import old_place
    from orchestrator.cli.saved import checkpoints_of, saved_in
    from orchestrator.model.ids import parse_run_id

    try:
        run_id = parse_run_id(run)
        found = checkpoints_of(saved_in(call), run_id)
        if not found:
            _require_known(call, run_id)
    except Refused as refusal:
        return old_place.show_checkpoints(call, old_place.found(call, run, refusal))
    _show(call, run_id, found)
    return 0


def _show(call: Invocation, run_id: RunId, found: Sequence[Checkpoint]) -> None:
    if call.screen.as_json:
        call.screen.json(
            {
                "run_id": run_id,
                "checkpoints": [
                    {
                        "number": each.number,
                        "commit": each.commit,
                        "tree": each.tree,
                        "label": each.label,
                        "at": each.at.isoformat().replace("+00:00", "Z"),
                        "local_only": each.local_only,
                    }
                    for each in found
                ],
            }
        )
        return
    rows = [("NO", "CHECKPOINT", "AT", "LABEL")]
    rows += [(str(c.number), c.commit, f"{c.at:%Y-%m-%d %H:%M:%S}", _described(c)) for c in found]
    for parts in columns(rows) if found else []:
        call.screen.out(*parts)
    if not found:
        call.screen.note(f"There is no checkpoint of a run {run_id}.")
    else:
        call.screen.note(f"Take one back with: orchestrator restore {found[0].commit[:12]} --into DIR")


def _described(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.label} (holds a secret: local only)" if checkpoint.local_only else checkpoint.label


def _require_known(call: Invocation, run_id: str) -> None:
    """Makes sure that a run without checkpoints is one.

    Raises:
        Refused: `unknown-run`, also when there is no state that could tell.
    """
    workspace = call.open_existing(run_id)
    if workspace is None:
        raise Refused(
            f"There is no run {run_id!r}.", code="unknown-run", hint="List them with: orchestrator status"
        )
    with workspace:
        find_run(workspace, run_id)
