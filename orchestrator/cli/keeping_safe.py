"""Lets a run be saved elsewhere while it is worked on, where the user agreed to that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli.screen import Screen
from orchestrator.model.ids import RunId

if TYPE_CHECKING:
    from orchestrator.engine.context import EngineContext
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


def _persister(workspace: Workspace, run_id: RunId, screen: Screen) -> Persister | None:
    from orchestrator.sessions.consent import ConsentStore, user_consent_directory

    session = workspace.loaded.config.session
    if not (session.push or session.directory or ConsentStore(user_consent_directory()).holds_any):
        return None
    from orchestrator.sessions.place import persister_for  # what speaks with remotes is not for everybody

    return persister_for(workspace.context, run_id, session, screen.warn)
