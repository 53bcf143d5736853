"""`resolve`: the answer to something that needed a person."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.invocation import invocation


def resolve(
    ctx: typer.Context,
    intervention: Annotated[str, typer.Argument(metavar="ID", help="Id as `interventions` shows it.")],
    note: Annotated[str, typer.Option(metavar="TEXT", help="What was done about it.")] = "",
) -> int:
    """Marks it as answered and says how the run goes on."""
    call = invocation(ctx)
    from orchestrator.cli.lookups import run_of_record
    from orchestrator.model.ids import InterventionId

    with call.open(writes=True, run=run_of_record(call, "intervention", intervention)) as workspace:
        answered = workspace.state.resolve_intervention(InterventionId(intervention), note)
    if call.screen.as_json:
        call.screen.json({"id": answered.id, "run_id": answered.run_id, "status": answered.status})
        return 0
    call.screen.out(f"resolved {answered.id}")
    call.screen.note(f"Go on with: orchestrator resume {answered.run_id}")
    return 0
