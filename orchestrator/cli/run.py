"""`run`: the main job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.screen import Styled
from orchestrator.model.json import Json
from orchestrator.model.run import Integrate

if TYPE_CHECKING:
    from orchestrator.engine.start import Preview, RunRequest
    from orchestrator.workspace import Workspace


def run(
    ctx: typer.Context,
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="What shall be done; - reads it from standard input.")
    ],
    workflow: Annotated[
        str | None, typer.Option(metavar="NAME", help="Workflow of workflow.yaml; `default` when not given.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="NAME", help="This agent alone, instead of a workflow.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(metavar='"…"', help="This command alone; split as a shell does, started without one."),
    ] = None,
    plan: Annotated[str | None, typer.Option(metavar="FILE", help="Plan of phases, as JSON.")] = None,
    base: Annotated[str | None, typer.Option(metavar="REF", help="Start from here instead of HEAD.")] = None,
    integrate: Annotated[
        Integrate | None,
        typer.Option(
            metavar="none|branch|merge", help="What becomes of the result; else as `git.integrate` says."
        ),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="Id of the run; must be new.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")
    ] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Trust this repository for this call.")] = False,
    require_clean: Annotated[
        bool,
        typer.Option(
            "--require-clean", help="Done only when every check passes without findings, old or new."
        ),
    ] = False,
    include_changes: Annotated[
        bool, typer.Option("--include-changes", help="Start from your uncommitted changes too.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait here instead of ending with status 6.")] = False,
    max_time: Annotated[
        float | None, typer.Option(metavar="S", min=1, help="Seconds for the whole run.")
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            metavar="USD", min=0.000001, help="US dollars for the whole run, as far as agents tell."
        ),
    ] = None,
    max_turns: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Turns of models (or uses of tools) in the whole run."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Ask models again what they have answered before.")
    ] = False,
) -> int:
    """Lets agents work on a task, checks what they leave, and leaves a branch."""
    call = invocation(ctx)
    from orchestrator.cli import request as asked
    from orchestrator.cli.trusting import open_trusted
    from orchestrator.engine.start import RunRequest, preview
    from orchestrator.engine.workflow import DEFAULT_WORKFLOW
    from orchestrator.model.ids import parse_run_id
    from orchestrator.model.run import RunOptions
    from orchestrator.workspace import make_stored_known

    asked.require_one_worker({"--workflow": workflow, "--agent": agent, "--command": command})
    words = asked.split_command(command)
    wanted_id = parse_run_id(run_id) if run_id is not None else None
    phases = asked.read_plan(plan, call.directory)
    text = asked.read_task(task)
    with open_trusted(call, trust_now=trust, run=run_id, begins=True) as workspace:
        workspace.trust.require()
        config = workspace.loaded.config
        options = RunOptions(
            workflow=workflow or DEFAULT_WORKFLOW,
            agent=agent,
            command=words,
            integrate=integrate or Integrate(config.git.integrate),
            require_clean=require_clean,
            max_time_s=max_time,
            no_cache=no_cache,
            max_cost_usd=max_cost,
            max_turns=max_turns,
        )
        request = RunRequest(
            task=text,
            run_id=wanted_id,
            plan=phases,
            base=base,
            include_changes=include_changes,
            options=options,
            config=config,
            workflow_yaml=workspace.loaded.workflow_yaml,
            trusted=workspace.trust.trusted,
            prompts=workspace.trust.prompts,
        )
        make_stored_known(workspace, config)
        shown = preview(workspace.context, request)
        if dry_run:
            return _show_only(call, shown, workspace)
        return _start(call, workspace, request, shown, wait=wait)


def _show_only(call: Invocation, shown: Preview, workspace: Workspace) -> int:
    if call.screen.as_json:
        session = workspace.tree.session
        call.screen.json(
            {
                "dry_run": True,
                **_as_json(shown),
                "environment": workspace.web.environment.name,
                "session": session.id if session is not None else None,
            }
        )
        return 0
    for parts in first_screen(shown, workspace):
        call.screen.out(*parts)
    return 0


def _start(call: Invocation, workspace: Workspace, request: RunRequest, shown: Preview, *, wait: bool) -> int:
    from orchestrator.cli.working import work_and_show
    from orchestrator.engine.secrets import require_secrets
    from orchestrator.engine.start import start_run
    from orchestrator.engine.workflow import planner_step

    planner = planner_step(request.config) if shown.planner is not None else None
    require_secrets(workspace.context, request.config, request.options, planner=planner)
    call.screen.out(f"run {shown.run_id}")
    for parts in first_screen(shown, workspace):
        call.screen.note(*parts)
    return work_and_show(
        call, workspace, shown.run_id, begin=lambda: start_run(workspace.context, request, shown), wait=wait
    )


def first_screen(shown: Preview, workspace: Workspace) -> list[tuple[str | Styled, ...]]:
    """Returns the lines that say what will be done: plan, agents, isolation, gates, budget, and where."""
    steps = ", then ".join(f"{step.agent} ({step.task})" for step in shown.steps)
    facts = [
        ("base", _base(shown)),
        ("agents", steps),
        *_secrets(shown),
        ("isolation", shown.isolation),
        ("checks", "; ".join(shown.checks) or "none: the result will be unverified"),
        ("gates", "; ".join(shown.gates) or "none"),
        ("budget", "; ".join(shown.limits)),
        ("result", _short(shown.branch) or "no branch (--integrate none)"),
        *_surroundings(workspace),
    ]
    lines: list[tuple[str | Styled, ...]] = []
    if shown.plan is None:
        lines.append((Styled("  plan      ", "dim"), f"{shown.planner} is asked for it first"))
    for number, phase in enumerate(shown.plan.phases if shown.plan is not None else ()):
        after = f"  (after {', '.join(phase.dependencies)})" if phase.dependencies else ""
        lines.append(
            (Styled(f"  {'plan' if not number else '':<10}", "dim"), f"{phase.id}  {phase.name}{after}")
        )
    lines += [(Styled(f"  {name:<10}", "dim"), value) for name, value in facts]
    lines += [(Styled("  warning   ", "yellow"), warning) for warning in shown.warnings]
    return lines


def _surroundings(workspace: Workspace) -> list[tuple[str, str]]:
    """Returns what was detected of the machine and what follows; nothing on a machine like any other."""
    web, session = workspace.web, workspace.tree.session
    lines = [("machine", web.sentence())] if web.differs else []
    if session is not None:
        lines.append(("session", session.shown))
    return lines


def _secrets(shown: Preview) -> list[tuple[str, str]]:
    given: dict[str, dict[str, None]] = {}
    for step in shown.steps:
        given.setdefault(step.agent, {}).update(dict.fromkeys(step.secrets))
    said = "; ".join(f"{agent} gets {', '.join(names)}" for agent, names in given.items() if names)
    return [("secrets", said)] if said else []


def _base(shown: Preview) -> str:
    commit = shown.base[:12]
    return commit if shown.base.startswith(shown.base_name) else f"{shown.base_name} ({commit})"


def _short(branch: str | None) -> str:
    return (branch or "").removeprefix("refs/heads/")


def _as_json(shown: Preview) -> dict[str, Json]:
    return {
        "run_id": shown.run_id,
        "base": shown.base,
        "branch": shown.branch,
        "phases": [
            {"id": p.id, "name": p.name, "description": p.description, "dependencies": list(p.dependencies)}
            for p in (shown.plan.phases if shown.plan is not None else ())
        ],
        "planner": shown.planner,
        "steps": [
            {"agent": step.agent, "task": step.task, "secrets": list(step.secrets)} for step in shown.steps
        ],
        "checks": list(shown.checks),
        "gates": list(shown.gates),
        "limits": list(shown.limits),
        "isolation": shown.isolation,
        "warnings": list(shown.warnings),
    }
