"""`undo`: takes back the last decision in this checkout."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.errors import Refused


def undo(
    ctx: typer.Context,
    operation: Annotated[str | None, typer.Argument(metavar="OP", help="Id as `ops` shows it.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Trust this repository for this call.")] = False,
) -> int:
    """Says what it would take back, asks, and does it; an undo can be undone too."""
    call = invocation(ctx)
    from orchestrator.cli.lookups import run_of_record
    from orchestrator.engine.decisions import perform_undo, undo_plan
    from orchestrator.model.ids import OperationId
    from orchestrator.takeover.moving import migration_of

    run = run_of_record(call, "operation", operation) if operation is not None else None
    with call.open(writes=True, trust_now=trust, run=run) as workspace:
        plan = undo_plan(workspace.context, OperationId(operation) if operation is not None else None)
        migration = migration_of(plan.operation)
        if migration is not None:
            workspace.close()
            return _take_migration_back(call, migration)
        otherwise = f"orchestrator undo {plan.operation.id} --yes"
        if not call.confirm(f"{plan.sentence}?", otherwise=otherwise):
            raise Refused(
                "Nothing was undone.", code="not-confirmed", hint="See what there is: orchestrator ops"
            )
        done = perform_undo(workspace.context, plan)
    if call.screen.as_json:
        call.screen.json(
            {
                "operation": plan.operation.id,
                "kind": plan.operation.kind,
                "run_id": plan.operation.run_id,
                "undone": done,
            }
        )
        return 0
    call.screen.out(done)
    return 0


def _take_migration_back(call: Invocation, name: str) -> int:
    from orchestrator.cli import migrating
    from orchestrator.migrate.catalogue import load_catalogue

    mover = migrating.mover(call, load_catalogue())
    return migrating.take_back(call, mover, name, force=False, dry_run=False)
