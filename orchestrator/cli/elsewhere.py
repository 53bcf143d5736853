"""Looks for runs that were saved at a remote, and brings them back into this clone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.invocation import Invocation
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.model.ids import RunId
    from orchestrator.sessions.giving_way import Target
    from orchestrator.sessions.restore import Restored


def bring_back_missing(call: Invocation, run_id: RunId | None) -> None:
    """Brings back what `resume` asks for where this clone does not know it; says what was done.

    Nothing happens where the state here knows the run, or any run where none is named, or where no remote
    has any.
    """
    if _is_known_here(call, run_id):
        return
    try:
        restored = restore_from_remote(call, run_id=run_id)
    except OrchestratorError as error:
        if error.code not in ("remote-unknown", "remote-not-agreed", "remote-unreachable"):
            raise
        if error.code != "remote-unknown":
            call.screen.note(f"note: nothing could be looked for elsewhere: {error.message}")
        return
    tell(call, restored)
    if restored.runs:
        from orchestrator.cli.pushing import agree_again

        agree_again(call)


def restore_from_remote(
    call: Invocation, *, session: str | None = None, run_id: RunId | None = None
) -> Restored:
    """Brings back a session, a run, or the session that was saved last.

    Raises:
        Refused: `remote-unknown`, `remote-not-agreed`.
        Failed: `remote-unreachable`.
    """
    from orchestrator.cli.config import load_configuration
    from orchestrator.repo.remote import Remote
    from orchestrator.sessions.carrying import carried_anywhere
    from orchestrator.sessions.place import place_to_fetch, user_consents
    from orchestrator.sessions.restore import bring_back, fetch_saved

    where = target(call)
    settings = load_configuration(call).config.session
    place = place_to_fetch(where.repository, settings, user_consents())
    remote = Remote(where.repository, place.url, name=place.name)
    carried = carried_anywhere(remote, settings)
    found, problems = fetch_saved(where, remote, session=session, run_id=run_id, carried=carried)
    restored = bring_back(where, found)
    restored.problems += problems
    return restored


def target(call: Invocation) -> Target:
    """Returns the repository that runs are brought back to; nothing of it is trusted."""
    from orchestrator.cli.config import load_configuration
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.repo.repository import Repository
    from orchestrator.sessions.giving_way import Target

    located = call.locate()
    root = load_configuration(call).config.worktrees.root
    return Target(
        located,
        OrchestratorPaths(Path(located.home)),
        Repository(located, trusted=False),
        call.redactor,
        trees_root=Path(root).expanduser() if root else None,
    )


def tell(call: Invocation, restored: Restored) -> None:
    """Says what came back, and what could not be used."""
    for run_id, status in restored.runs.items():
        call.screen.note(f"restored run {run_id} ({status}) of session {restored.session}")
    for name in restored.kept:
        call.screen.warn(f"What was done here, and is not part of that, is kept as {name}")
    for problem in restored.problems:
        call.screen.warn(problem)


def _is_known_here(call: Invocation, run_id: RunId | None) -> bool:
    """Returns whether a state here knows the run, or any where none is named; or where one is unreadable."""
    from orchestrator.sessions.choosing import holds_run
    from orchestrator.state.manager import StateManager

    for tree in call.trees():
        if run_id is not None and holds_run(tree.paths, run_id):
            return True
        try:
            with StateManager.open_read_only(tree.paths) as state:
                if run_id is None and state.list_runs(limit=1):
                    return True
        except OrchestratorError as error:
            if error.code != "state-missing":
                return True  # whoever opens it next says what is wrong with it
    return False
