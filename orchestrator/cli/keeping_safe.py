"""Lets a run be saved elsewhere while it is worked on, where the user agreed to that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli.screen import Screen
from orchestrator.model.ids import RunId

if TYPE_CHECKING:
    from orchestrator.engine.context import EngineContext
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
    from orchestrator.sessions.place import persister_for

    persister = persister_for(workspace.context, run_id, workspace.loaded.config.session, screen.warn)
    if persister is None:
        yield workspace.context, stop
        return
    with persister:
        yield persister.context, lambda: stop() or persister.is_lost()
