"""Finds what can go on in every session here, reading their states beside whoever works there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import OrchestratorError
from orchestrator.fs.probe import is_held
from orchestrator.model.ids import RunId
from orchestrator.model.run import ENDED_RUN, Run, RunStatus
from orchestrator.sessions.choosing import StateTree
from orchestrator.state.manager import StateManager


@dataclass(frozen=True, slots=True)
class Resumable:
    """A run that can go on; `status` is `interrupted` where nothing else was recorded."""

    run_id: RunId
    status: str
    task: str


def resumable_runs(trees: Iterable[StateTree]) -> list[Resumable]:
    """Returns the runs of all these states that can go on and that no process works on."""
    found = []
    for tree, run in _runs(trees):
        ended = run.status in ENDED_RUN and run.status is not RunStatus.FAILED
        if not ended and not is_held(tree.paths.run_lock(run.id)):
            rests = run.status in (RunStatus.FAILED, RunStatus.WAITING)
            found.append(Resumable(run.id, run.status if rests else "interrupted", run.task))
    return found


def due_runs(trees: Iterable[StateTree], now: datetime) -> list[RunId]:
    """Returns the waiting runs of all these states whose time has come, oldest wake-up first."""
    waiting = [
        (run.metadata.progress.wake_at, run.id) for _, run in _runs(trees) if run.status is RunStatus.WAITING
    ]
    return [run_id for at, run_id in sorted((at, run_id) for at, run_id in waiting if at and at <= now)]


def _runs(trees: Iterable[StateTree]) -> Iterator[tuple[StateTree, Run]]:
    for tree in trees:
        if not os.path.lexists(tree.paths.state_file):
            continue
        try:
            with StateManager.open_read_only(tree.paths) as state:
                runs = state.list_runs()
        except OrchestratorError:
            continue  # `doctor` says what is wrong with it
        for run in runs:
            yield tree, run
