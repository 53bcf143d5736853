"""`status`, when the front door could not answer alone: errors, an unusual layout, `--watch`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from orchestrator.cli import status_view
from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.lookups import MaybeRunArgument
from orchestrator.cli.screen import Styled
from orchestrator.cli.terminal import write
from orchestrator.errors import Refused
from orchestrator.paths import OrchestratorPaths

if TYPE_CHECKING:
    from orchestrator.cli.status_about import About
    from orchestrator.model.json import Json
    from orchestrator.state.peek import Glance

_CLEAR = "\x1b[H\x1b[2J\x1b[3J"
INTERVAL_S = 2.0


def status(
    ctx: typer.Context,
    run: MaybeRunArgument = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and show again what changes.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many runs, newest first.")] = 20,
    all_sessions: Annotated[
        bool, typer.Option("--all-sessions", help="The runs of every session here, also of earlier machines.")
    ] = False,
) -> int:
    """Shows problems first, then runs; reads beside a live run and disturbs nobody."""
    call = invocation(ctx)
    run_id = _checked(run)
    if all_sessions:
        return _show_all(call, run_id, limit, watch=watch)
    seen = _see(call, run_id, limit)
    _show(call, seen, clear=watch)
    while watch:
        time.sleep(INTERVAL_S)
        before, seen = seen, _see(call, run_id, limit)
        if before[:2] != seen[:2] or call.screen.is_terminal:
            _show(call, seen, clear=True)
    return 0


def _checked(run: str | None) -> str | None:
    from orchestrator.model.ids import parse_run_id

    return parse_run_id(run) if run is not None else None


def _show(call: Invocation, seen: Seen, *, clear: bool) -> None:
    if clear and call.screen.is_terminal and not call.screen.as_json:
        write(sys.stdout, _CLEAR)
    status_view.show(call.screen, seen.glance, seen.alive, about=seen.about)


class Seen(NamedTuple):
    """One look: the runs, those of them that are alive, and where all this comes from."""

    glance: Glance
    alive: set[str]
    about: About


def _see(call: Invocation, run_id: str | None, limit: int) -> Seen:
    about = about_here(call, run_id)
    glance = _look(call, about, run_id, limit)
    return Seen(glance, status_view.living(glance, about.state_dir), about)


def about_here(call: Invocation, run_id: str | None) -> About:
    """Returns where a status comes from: the state that a command reading here would use."""
    from orchestrator.cli.status_about import About
    from orchestrator.fs.disk import Disk
    from orchestrator.sessions.choosing import Wish, choose, state_trees
    from orchestrator.sessions.identity import look_here

    located = call.locate()
    root = OrchestratorPaths(Path(located.home))
    facts = os.stat(located.common_dir)
    here = look_here(call.web.environment, (facts.st_dev, facts.st_ino))
    tree = choose(root, call.web, here, Wish(run_id), Disk())
    others = sum(other.paths.state_file != tree.paths.state_file for other in state_trees(root))
    session = tree.session.id if tree.session is not None else None
    return About(os.fspath(tree.paths.state_dir), session, call.web, others)


def _require_readable(paths: OrchestratorPaths) -> None:
    """Says what may be wrong with the state; an empty one, whose creation was cut off, is as good as none."""
    from orchestrator.state.manager import StateManager

    try:
        StateManager.open_read_only(paths).close()
    except Refused as refusal:
        if refusal.code != "state-missing":
            raise


def _look(call: Invocation, about: About, run_id: str | None, limit: int) -> Glance:
    """Returns what there is to show, of our own state and of what an earlier orchestrator left in its place.

    Raises:
        Refused: not initialised, not ours, made by another version, or no such run.
    """
    from orchestrator.cli import old_place

    left = [old_place.glanced(one) for one in old_place.runs(call) if run_id in (None, one.id)]
    try:
        glance = _look_here(call, about, run_id, limit)
    except Refused as refusal:
        if not left or not old_place.may_lie_there(refusal):
            raise
        glance = _nothing()
    known = {run["id"] for run in glance["runs"]}
    left = [run for run in left if run["id"] not in known]
    if left:
        old_place.say_notice(call)
    return {**glance, "runs": [*glance["runs"], *left][:limit]}


def _nothing() -> Glance:
    return {"snapshot": False, "more": False, "interventions": 0, "runs": []}


def _look_here(call: Invocation, about: About, run_id: str | None, limit: int) -> Glance:
    """Returns what there is to show of our own state.

    Raises:
        Refused: not initialised, not ours, made by another version, or no such run.
    """
    from orchestrator.state.layout import require_ours

    paths = OrchestratorPaths(Path(call.locate().home))
    require_ours(paths)
    glance = _glance(_paths_of(paths, about.state_dir), run_id, limit)
    if run_id is not None and not glance["runs"]:
        raise Refused(
            f"There is no run {run_id!r}.", code="unknown-run", hint="List them with: orchestrator status"
        )
    return glance


def _paths_of(root: OrchestratorPaths, state_dir: str) -> OrchestratorPaths:
    place = Path(state_dir)
    return root if place == root.state_dir else root.of_session(place.name)


def _glance(paths: OrchestratorPaths, run_id: str | None, limit: int) -> Glance:
    from orchestrator.state.peek import peek

    if not os.path.lexists(paths.state_file):
        return _nothing()
    _require_readable(paths)
    return peek(os.fspath(paths.state_file), run_id, limit) or _nothing()


def _show_all(call: Invocation, run_id: str | None, limit: int, *, watch: bool) -> int:
    """Shows every session of this `.orchestrator/`, the newest first, each with its own runs.

    Raises:
        Refused: `usage`, not initialised, or a state that cannot be read.
    """
    if run_id is not None or watch:
        raise Refused(
            "--all-sessions shows everything once.", code="usage", hint="orchestrator status --all-sessions"
        )
    from orchestrator.state.layout import require_ours

    require_ours(OrchestratorPaths(Path(call.locate().home)))
    shown: list[Json] = []
    for tree in call.trees():
        glance = _glance(tree.paths, None, limit)
        alive = status_view.living(glance, os.fspath(tree.paths.state_dir))
        name = tree.session.id if tree.session is not None else None
        if call.screen.as_json:
            fields = status_view.document(glance, alive)
            shown += [{**run, "session": name} for run in fields["runs"]]  # type: ignore[dict-item,union-attr]
            continue
        call.screen.out(Styled(f"session {tree.name}" if name else tree.name, "bold"))
        status_view.show_runs(call.screen, glance, alive)
        call.screen.out("")
    if call.screen.as_json:
        call.screen.json({"runs": shown, "warnings": [], **about_here(call, None).fields()})
    elif not call.trees():
        call.screen.note('No runs yet. Start one: orchestrator run "what shall be done"')
    return 0
