"""`ops`: the decisions that can be undone."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.invocation import invocation
from orchestrator.cli.table import columns


def ops(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20,
) -> int:
    """Lists merges, discards, cancels and undos, newest first."""
    call = invocation(ctx)
    found = []
    workspace = call.open_existing()
    if workspace is not None:
        with workspace:
            found = workspace.state.get_operations(limit=limit)
    if call.screen.as_json:
        call.screen.json(
            {
                "operations": [
                    {
                        "id": each.id,
                        "kind": each.kind,
                        "run_id": each.run_id,
                        "status": each.status,
                        "worktree": each.worktree or None,
                        "created_at": each.created_at.isoformat().replace("+00:00", "Z"),
                    }
                    for each in found
                ]
            }
        )
        return 0
    rows: list[tuple[str, ...]] = [("OPERATION", "KIND", "STATUS", "AT", "RUN")]
    rows += [
        (each.id, each.kind, each.status, f"{each.created_at:%Y-%m-%d %H:%M:%S}", each.run_id or "")
        for each in found
    ]
    for parts in columns([tuple(row) for row in rows]) if found else []:
        call.screen.out(*parts)
    if not found:
        call.screen.note("Nothing has been decided yet.")
    return 0
