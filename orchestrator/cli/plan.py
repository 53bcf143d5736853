"""`plan`: the phases in which a task would be worked on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.screen import Screen, Styled
from orchestrator.cli.terminal import escape
from orchestrator.model.json import Json

if TYPE_CHECKING:
    from orchestrator.cli.stopping import StopRequest
    from orchestrator.engine.plan_only import Planned
    from orchestrator.model.agent import AgentEvent
    from orchestrator.model.plan import Plan, PlannedPhase
    from orchestrator.workspace import Workspace


def plan(
    ctx: typer.Context,
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="What shall be done; - reads it from standard input.")
    ],
    base: Annotated[str | None, typer.Option(metavar="REF", help="Plan for here instead of HEAD.")] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print it as a Mermaid flowchart.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Trust this repository for this call.")] = False,
) -> int:
    """Asks the agent that `roles.planner` names; without one there is a single phase.

    What `--json` prints is a file for `run --plan`.
    """
    call = invocation(ctx)
    from orchestrator.cli.request import read_task
    from orchestrator.cli.stopping import StopRequest
    from orchestrator.cli.trusting import open_trusted

    text = read_task(task)
    with open_trusted(call, trust_now=trust) as workspace:
        workspace.trust.require()
        with StopRequest(call.screen) as stop:
            planned = _plan(call, workspace, text, base, stop)
    if planned.plan is None:
        return stop.exit_status
    _show(call, planned, planned.plan, mermaid=mermaid)
    return 0


def _plan(call: Invocation, workspace: Workspace, task: str, base: str | None, stop: StopRequest) -> Planned:
    from orchestrator.engine.plan_only import PlanWish, plan_only
    from orchestrator.workspace import make_stored_known

    make_stored_known(workspace, workspace.loaded.config)
    return plan_only(
        workspace.context,
        PlanWish(task, base, workspace.loaded.config, workspace.trust.prompts),
        stop=stop,
        on_event=lambda number, event: _tell(call.screen, number, event),
        on_refused=lambda reason: call.screen.note(f"That is no plan, so it is asked again: {reason}"),
    )


def _tell(screen: Screen, number: int, event: AgentEvent) -> None:
    from orchestrator.model.agent import Said, Started

    if isinstance(event, Started):
        screen.note("The planner is asked." if number == 1 else f"The planner is asked, time {number}.")
    elif isinstance(event, Said):
        screen.detail(event.text)


def _show(call: Invocation, planned: Planned, plan: Plan, *, mermaid: bool) -> None:
    screen = call.screen
    if screen.as_json:
        screen.json({"phases": [_as_json(phase) for phase in plan.phases]})
        return
    if mermaid:
        for line in flowchart(plan):
            screen.out(line)
        return
    _table(screen, plan)
    if planned.planner is None:
        screen.note("Nobody is asked: no agent has the role `planner`, so there is one phase.")


def _table(screen: Screen, plan: Plan) -> None:
    import sys

    from orchestrator.cli.table import columns, screen_width

    rows: list[tuple[str | Styled, ...]] = [("PHASE", "AFTER", "COMPLEXITY", "RISK", "NAME")]
    rows += [
        (
            phase.id,
            ", ".join(phase.dependencies) or "-",
            phase.estimated_complexity.value,
            phase.risk_level.value,
            phase.name,
        )
        for phase in plan.phases
    ]
    for parts in columns(rows, width=screen_width(sys.stdout)):
        screen.out(*parts)
    for phase in plan.phases:
        screen.detail(f"{phase.id}: {escape(phase.description)}")
        for line in phase.verification_criteria:
            screen.detail(f"{phase.id} is done when: {escape(line)}")


def flowchart(plan: Plan) -> list[str]:
    """Returns the lines of a Mermaid flowchart of a plan."""
    numbers = {phase.id: f"p{number}" for number, phase in enumerate(plan.phases, 1)}
    lines = ["flowchart TD"]
    lines += [f'    {numbers[phase.id]}["{_label(phase)}"]' for phase in plan.phases]
    lines += [
        f"    {numbers[dependency]} --> {numbers[phase.id]}"
        for phase in plan.phases
        for dependency in phase.dependencies
    ]
    return lines


def _label(phase: PlannedPhase) -> str:
    """Returns a phase in one line that cannot end its label. Source: Mermaid, entity codes."""
    text = " ".join(f"{phase.id}: {phase.name}".split())
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def _as_json(phase: PlannedPhase) -> dict[str, Json]:
    return {
        "id": phase.id,
        "name": phase.name,
        "description": phase.description,
        "dependencies": list(phase.dependencies),
        "estimated_complexity": phase.estimated_complexity.value,
        "risk_level": phase.risk_level.value,
        "verification_criteria": list(phase.verification_criteria),
    }
