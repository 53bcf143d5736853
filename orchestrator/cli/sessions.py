"""`sessions`: the states that machines which do not last have left, here and at the remote."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.grammar import Command, Group, new_application
from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.screen import Styled
from orchestrator.cli.status_about import disk_use
from orchestrator.cli.table import columns
from orchestrator.cli.words import duration, size
from orchestrator.paths import names

if TYPE_CHECKING:
    from orchestrator.model.json import Json
    from orchestrator.sessions.identity import Here, Session

app = new_application(cls=Group, add_help_option=False)

SessionArgument = Annotated[str, typer.Argument(metavar="SESSION", help="Id or name, or how an id begins.")]


@app.command("list", cls=Command, add_help_option=False)
def list_(ctx: typer.Context) -> int:
    """List the sessions here, the one begun or adopted last first."""
    call = invocation(ctx)
    here, sessions = _look(call)
    if call.screen.as_json:
        call.screen.json({"sessions": [_as_json(session, here) for session in sessions]})
        return 0
    rows: list[tuple[str | Styled, ...]] = [("SESSION", "NAME", "MACHINE", "IS", "SEEN", "RUNS", "DISK")]
    rows += [
        (
            session.id,
            session.name or "-",
            session.environment,
            _word(session, here),
            _seen(session),
            str(_runs(session)),
            _disk(session),
        )
        for session in sessions
    ]
    for parts in columns(rows) if sessions else []:
        call.screen.out(*parts)
    if not sessions:
        call.screen.note("There are no sessions here: all runs share one state (orchestrator status).")
    return 0


@app.command("show", cls=Command, add_help_option=False)
def show(ctx: typer.Context, session: SessionArgument) -> int:
    """Show one session: its machine, its place, what it holds."""
    call = invocation(ctx)
    from orchestrator.sessions.identity import find, living_runs

    here, sessions = _look(call)
    found = find(sessions, session)
    if call.screen.as_json:
        call.screen.json(_as_json(found, here))
        return 0
    created = f"{found.created_at:%Y-%m-%d %H:%M} UTC" if found.created_at is not None else "unknown"
    link = call.web.environment.link_form if found.is_of(here) and call.web.links else ""
    facts = [
        ("session", found.id),
        ("name", found.name or "-"),
        ("machine", found.environment),
        ("created", created),
        ("is", _word(found, here)),
        ("seen", _seen(found)),
        ("at work", ", ".join(living_runs(found)) or "-"),
        ("runs", str(_runs(found))),
        ("disk", _disk(found)),
        ("place", os.fspath(found.directory)),
        *([("ports", link)] if link else []),
    ]
    for name, value in facts:
        call.screen.out(Styled(f"{name:<8}", "dim"), f"  {value}")
    return 0


@app.command("rename", cls=Command, add_help_option=False)
def rename(
    ctx: typer.Context,
    session: SessionArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it; '' takes the name away.")],
) -> int:
    """Give a session a name that people remember; its id stays."""
    call = invocation(ctx)
    from orchestrator.fs.disk import Disk
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.sessions import identity

    here, sessions = _look(call)
    root = OrchestratorPaths(Path(call.locate().home))
    renamed = identity.rename(root, Disk(), identity.find(sessions, session), name)
    if call.screen.as_json:
        call.screen.json(_as_json(renamed, here))
        return 0
    call.screen.out(f"session {renamed.id} is called {renamed.name}" if name else f"{renamed.id} has no name")
    return 0


@app.command("restore", cls=Command, add_help_option=False)
def restore(
    ctx: typer.Context,
    session: Annotated[
        str | None, typer.Argument(metavar="ID", help="Id of the session; without it the one saved last.")
    ] = None,
) -> int:
    """Bring back what was saved of a session at the remote, and take over runs that went on elsewhere."""
    from orchestrator.cli.sessions_restore import bring_back

    return bring_back(invocation(ctx), session)


@app.command("prune", cls=Command, add_help_option=False)
def prune(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed; change nothing.")
    ] = False,
) -> int:
    """Make room in the sessions alone, and remove those of other machines that know no run any more."""
    from orchestrator.cli.prune import prune_here

    return prune_here(invocation(ctx), dry_run=dry_run, only_sessions=True)


def _look(call: Invocation) -> tuple[Here, tuple[Session, ...]]:
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.sessions.identity import list_sessions, look_here
    from orchestrator.state.layout import require_ours

    located = call.locate()
    root = OrchestratorPaths(Path(located.home))
    require_ours(root)
    facts = os.stat(located.common_dir)
    return look_here(call.web.environment, (facts.st_dev, facts.st_ino)), list_sessions(root)


def _as_json(session: Session, here: Here) -> dict[str, Json]:
    from orchestrator.sessions.identity import living_runs

    measured = disk_use(os.fspath(session.directory))
    return {
        "id": session.id,
        "name": session.name or None,
        "environment": session.environment,
        "here": session.is_of(here),
        "state": _word(session, here),
        "created_at": _stamp(session.created_at),
        "heartbeat_at": _stamp(session.heartbeat_at),
        "runs": _runs(session),
        "alive": list(living_runs(session)),
        "bytes": measured[0] if measured is not None else None,
        "directory": os.fspath(session.directory),
    }


def _stamp(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at is not None else None


def _word(session: Session, here: Here) -> str:
    from orchestrator.sessions.identity import is_alive, living_runs

    if session.is_of(here):
        return "at work here" if living_runs(session) else "here"
    return "at work elsewhere" if is_alive(session, here, datetime.now(UTC)) else "left"


def _seen(session: Session) -> str:
    at = session.heartbeat_at or session.created_at
    return f"{duration(max(0.0, (datetime.now(UTC) - at).total_seconds()))} ago" if at is not None else "-"


def _runs(session: Session) -> int:
    from orchestrator.state.whose import count_runs

    return count_runs(os.path.join(session.directory, names.STATE))


def _disk(session: Session) -> str:
    measured = disk_use(os.fspath(session.directory))
    return size(measured[0]) if measured is not None else "not measured"
