"""`init`: creates `.orchestrator/`, nothing else, ever."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.model.json import Json

if TYPE_CHECKING:
    from orchestrator.discovery import Located
    from orchestrator.paths import OrchestratorPaths


def init(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be made; change nothing.")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Keep all of it out of git.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Trust the commands of the configuration.")] = False,
) -> int:
    """Makes what is missing, shows what would run, and asks for trust; a second time changes nothing."""
    call = invocation(ctx)
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.repo.git import require_git
    from orchestrator.state.ownership import Ownership, read_ownership, unusable
    from orchestrator.takeover.making import make

    located = call.locate()
    paths = OrchestratorPaths(Path(located.home))
    ownership = read_ownership(os.fspath(paths.orchestrator_dir))
    if ownership not in (Ownership.ABSENT, Ownership.CLONE, Ownership.OURS):
        raise unusable(os.fspath(paths.orchestrator_dir), ownership)
    workflow = None if _has_workflow(located, paths) else _starting_workflow(call, located)
    if dry_run:
        return _plan(call, paths, workflow)
    require_git()
    made = make(paths, private=private, workflow=workflow)
    facts: dict[str, Json] = {"directory": str(paths.orchestrator_dir), "created": list(made)}
    _say_made(call, paths, made)
    _share_secrets(call, located, paths)
    trusted = _trust(call, trust_now=trust)
    if call.screen.as_json:
        call.screen.json({**facts, "trusted": trusted})
    call.screen.note('Next: orchestrator run "what shall be done"')
    return 0


def _has_workflow(located: Located, paths: OrchestratorPaths) -> bool:
    """Returns whether a configuration is there; one in the root of the checkout is read too."""
    from orchestrator.paths import names

    places = (
        paths.config_file,
        Path(located.checkout, names.DIRECTORY, names.CONFIG),
        Path(located.checkout, names.CONFIG),
    )
    return any(os.path.lexists(place) for place in places)


def _starting_workflow(call: Invocation, located: Located) -> bytes:
    from orchestrator.agents.registry import discover
    from orchestrator.config.template import DetectedCheck, DetectedSetup, render_workflow
    from orchestrator.verify import detect

    root = Path(located.checkout)
    checks = [
        DetectedCheck(each.category, each.entry(), each.reason, each.available)
        for each in detect.detect(root)
    ]
    setup = [DetectedSetup(each.argv, each.reason, each.available) for each in detect.detect_setup(root)]
    agents = [name for name, _ in discover(call.environment)]
    return render_workflow(agents, checks, setup).encode()


def _plan(call: Invocation, paths: OrchestratorPaths, workflow: bytes | None) -> int:
    planned = [name for name in _names(workflow) if not os.path.lexists(paths.orchestrator_dir / name)]
    if call.screen.as_json:
        text = workflow.decode() if workflow is not None else None
        call.screen.json(
            {"directory": str(paths.orchestrator_dir), "would_create": list(planned), "workflow_yaml": text}
        )
        return 0
    for name in planned:
        call.screen.out("would create ", str(paths.orchestrator_dir / name))
    if not planned:
        call.screen.out(f"{paths.orchestrator_dir} is complete; nothing would change.")
    elif workflow is not None:
        call.screen.out("\nworkflow.yaml would be:\n\n" + workflow.decode())
    return 0


def _names(workflow: bytes | None) -> tuple[str, ...]:
    from orchestrator.config.template import SCHEMA_NAME
    from orchestrator.state.layout import planned_names

    return (*planned_names(with_workflow=workflow is not None), SCHEMA_NAME)


def _share_secrets(call: Invocation, located: Located, paths: OrchestratorPaths) -> None:
    """Lets git see encrypted secrets where the configuration says so, and only there."""
    from orchestrator.config.load import load
    from orchestrator.fs.disk import Disk
    from orchestrator.state.layout import keep_ignore_file

    loaded = load(
        repository=Path(located.checkout), state_root=Path(located.home), environment=call.environment
    )
    keep_ignore_file(paths, Disk(), committed=loaded.config.secrets.mode == "committed")


def _say_made(call: Invocation, paths: OrchestratorPaths, made: tuple[str, ...]) -> None:
    if made:
        call.screen.out(f"Initialised {paths.orchestrator_dir}")
        for name in made:
            call.screen.detail("  ", name)
    else:
        call.screen.out(f"{paths.orchestrator_dir} is initialised already.")


def _trust(call: Invocation, *, trust_now: bool) -> bool:
    """Returns whether what the configuration supplies is trusted now; asks where a person can answer."""
    from orchestrator.cli.trusting import ask, look, show_commands

    view = look(call)
    if view.approved:
        return True
    if not trust_now and call.may_ask and ask(call, view):
        return True
    if trust_now or not call.may_ask:
        show_commands(call.screen, view)
    if trust_now:
        view.store.approve(view.key, view.supplied)
        return True
    call.screen.error("Not trusted yet, so none of it runs. Approve it with: orchestrator trust")
    return False
