"""`status`, when the front door could not answer alone: errors, an unusual layout, `--watch`."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import status_view
from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.lookups import MaybeRunArgument
from orchestrator.cli.terminal import write
from orchestrator.errors import Refused

if TYPE_CHECKING:
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.state.peek import Glance

_CLEAR = "\x1b[H\x1b[2J\x1b[3J"
INTERVAL_S = 2.0


def status(
    ctx: typer.Context,
    run: MaybeRunArgument = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and show again what changes.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many runs, newest first.")] = 20,
) -> int:
    """Shows problems first, then runs; reads beside a live run and disturbs nobody."""
    call = invocation(ctx)
    run_id = _checked(run)
    glance = _look(call, run_id, limit)
    alive = _living(call, glance)
    _show(call, glance, alive, clear=watch)
    while watch:
        time.sleep(INTERVAL_S)
        before, glance, alive = (glance, alive), _look(call, run_id, limit), alive
        alive = _living(call, glance)
        if before != (glance, alive) or call.screen.is_terminal:
            _show(call, glance, alive, clear=True)
    return 0


def _checked(run: str | None) -> str | None:
    from orchestrator.model.ids import parse_run_id

    return parse_run_id(run) if run is not None else None


def _show(call: Invocation, glance: Glance, alive: set[str], *, clear: bool) -> None:
    if clear and call.screen.is_terminal and not call.screen.as_json:
        write(sys.stdout, _CLEAR)
    status_view.show(call.screen, glance, alive)


def _living(call: Invocation, glance: Glance) -> set[str]:
    return status_view.living(glance, call.locate().orchestrator_dir)


def _require_readable(paths: OrchestratorPaths) -> None:
    """Says what may be wrong with the state; an empty one, whose creation was cut off, is as good as none."""
    from orchestrator.state.manager import StateManager

    try:
        StateManager.open_read_only(paths).close()
    except Refused as refusal:
        if refusal.code != "state-missing":
            raise


def _look(call: Invocation, run_id: str | None, limit: int) -> Glance:
    """Returns what there is to show, of our own state and of what an earlier orchestrator left in its place.

    Raises:
        Refused: not initialised, not ours, made by another version, or no such run.
    """
    from orchestrator.cli import old_place

    left = [old_place.glanced(one) for one in old_place.runs(call) if run_id in (None, one.id)]
    try:
        glance = _look_here(call, run_id, limit)
    except Refused as refusal:
        if not left or not old_place.may_lie_there(refusal):
            raise
        glance = {"snapshot": False, "more": False, "interventions": 0, "runs": []}
    known = {run["id"] for run in glance["runs"]}
    left = [run for run in left if run["id"] not in known]
    if left:
        old_place.say_notice(call)
    return {**glance, "runs": [*glance["runs"], *left][:limit]}


def _look_here(call: Invocation, run_id: str | None, limit: int) -> Glance:
    """Returns what there is to show of our own state.

    Raises:
        Refused: not initialised, not ours, made by another version, or no such run.
    """
    from pathlib import Path

    from orchestrator.paths import OrchestratorPaths
    from orchestrator.state.layout import require_ours
    from orchestrator.state.peek import peek

    paths = OrchestratorPaths(Path(call.locate().home))
    require_ours(paths)
    if os.path.lexists(paths.state_file):
        _require_readable(paths)
    glance = peek(os.fspath(paths.state_file), run_id, limit) if os.path.lexists(paths.state_file) else None
    glance = glance or {"snapshot": False, "more": False, "interventions": 0, "runs": []}
    if run_id is not None and not glance["runs"]:
        raise Refused(
            f"There is no run {run_id!r}.", code="unknown-run", hint="List them with: orchestrator status"
        )
    return glance
