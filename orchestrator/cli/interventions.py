"""`interventions`: what needs a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.lookups import MaybeRunArgument, find_run
from orchestrator.cli.screen import Styled

if TYPE_CHECKING:
    from orchestrator.model.record import ManualIntervention


def interventions(
    ctx: typer.Context,
    run: MaybeRunArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="Those too that have been answered.")] = False,
) -> int:
    """Lists what needs a person, and the command that answers it."""
    call = invocation(ctx)
    found = _found(call, run, open_only=not everything)
    if call.screen.as_json:
        call.screen.json(
            {
                "interventions": [
                    {
                        "id": each.id,
                        "run_id": each.run_id,
                        "phase_id": each.phase_id,
                        "status": each.status,
                        "reason": each.reason,
                        "action_required": each.action_required,
                        "note": each.note,
                        "created_at": each.created_at.isoformat().replace("+00:00", "Z"),
                    }
                    for each in found
                ]
            }
        )
        return 0
    for each in found:
        call.screen.out(Styled(each.id, "bold"), f"  run {each.run_id}  {each.status}  {each.reason}")
        call.screen.out("    ", each.action_required)
        if each.status == "open":
            call.screen.out(f"    then: orchestrator resolve {each.id}")
    if not found:
        call.screen.note("Nothing needs you.")
    return 0


def _found(call: Invocation, run: str | None, *, open_only: bool) -> list[ManualIntervention]:
    """Returns the requests of one run, or those of every session here."""
    from orchestrator.state.manager import StateManager

    workspace = call.open(writes=False, run=run) if run is not None else call.open_existing()
    if workspace is None:
        return []
    with workspace:
        run_id = find_run(workspace, run).id if run is not None else None
        found = workspace.state.get_interventions(run_id, open_only=open_only)
    if run is None:
        for tree in call.trees():
            if tree.paths.state_file != workspace.paths.state_file and tree.paths.state_file.exists():
                with StateManager.open_read_only(tree.paths) as state:
                    found += state.get_interventions(None, open_only=open_only)
    return found
