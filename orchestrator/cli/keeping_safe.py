"""Lets a run be saved elsewhere while it is worked on, where the user agreed to that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli.screen import Screen
from orchestrator.errors import OrchestratorError
from orchestrator.model.ids import RunId

if TYPE_CHECKING:
    from orchestrator.engine.context import EngineContext
    from orchestrator.model.run import Run
    from orchestrator.sessions.persisting import Persister
    from orchestrator.workspace import Workspace

Stop = Callable[[], bool]


@contextmanager
def saved_elsewhere(
    workspace: Workspace, run_id: RunId, stop: Stop, screen: Screen
) -> Iterator[tuple[EngineContext, Stop]]:
    """Yields the context and the wish to stop with which the run is worked on.

    Both are the workspace's own where nobody agreed to saving; otherwise the run also stops when it went on
    elsewhere. What is told is shown at once, and kept with the run.
    """
    persister = _persister(workspace, run_id, screen)
    if persister is None:
        yield workspace.context, stop
        return
    with persister:
        yield persister.context, lambda: stop() or persister.is_lost()


def save_what_is_left(workspace: Workspace, run: Run, screen: Screen) -> None:
    """Saves an ended run elsewhere if the remote could not be reached when it ended."""
    from orchestrator.engine.persistence import PersistReason
    from orchestrator.fs.lock import FileLock
    from orchestrator.sessions.pushed import is_push_on, pushed_runs

    repository, session = workspace.repository, workspace.loaded.config.session
    if not is_push_on(repository, session):
        return None
    words = f"orchestrator resume {run.id}"
    try:
        if needs_no_carrying(workspace, run):
            return take_out_if_over(workspace, run.id, screen)
        if run.id in pushed_runs(repository, session):
            return None
        lock = FileLock(workspace.paths.run_lock(run.id), what=f"run {run.id}", command=words)
        with lock, saved_elsewhere(workspace, run.id, lambda: False, screen) as (context, _):
            context.persist(PersistReason.RESTS)
    except OrchestratorError as error:
        screen.warn(f"Run {run.id} is not saved elsewhere: {error.message}")
    return None


def needs_no_carrying(workspace: Workspace, run: Run) -> bool:
    """Returns whether a run is carried by the user's branch alone, and need not be any more."""
    from orchestrator.sessions.withdrawing import needs_no_carrying as needs_none

    return needs_none(workspace.repository, workspace.paths, workspace.loaded.config.session, run)


def take_out_if_over(workspace: Workspace, run_id: RunId, screen: Screen) -> None:
    """Takes the commit that carries a run off the user's branch at the remote, where that is how it is saved.

    Nothing happens while the run can still be gone on with or merged.
    """
    session = workspace.loaded.config.session
    if "working-branch" not in session.transports:
        return
    from orchestrator.sessions.withdrawing import take_out_if_over as take_out

    run = workspace.state.get_run(run_id)
    take_out(workspace.repository, workspace.paths, session, run, screen.warn)


def _persister(workspace: Workspace, run_id: RunId, screen: Screen) -> Persister | None:
    from orchestrator.sessions.consent import ConsentStore, user_consent_directory

    session = workspace.loaded.config.session
    if not (session.push or session.directory or ConsentStore(user_consent_directory()).holds_any):
        return None
    from orchestrator.sessions.place import persister_for  # what speaks with remotes is not for everybody

    return persister_for(workspace.context, run_id, session, screen.warn)
