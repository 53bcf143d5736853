"""Prunes one repository as a process of its own, and kills itself with SIGKILL before an effect.

`python -m tests.sessions.pruner REPOSITORY NUMBER`: NUMBER counts announced effects from 0.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.config.schema import Session as Limits
from orchestrator.fs.effects import observe
from orchestrator.sessions.environment import detect
from orchestrator.sessions.identity import Here
from orchestrator.sessions.pruning import (
    Opened,
    Pruned,
    budgets_of,
    everything_is_pushed,
    prune,
    prune_lock,
)
from orchestrator.workspace import Workspace
from tests.engine.scene import Scene

HERE = Here(detect({}), "boot/machine/", (0, 0))


def prune_all(workspace: Workspace) -> Pruned:
    """Prunes with the default limits, as `orchestrator prune` does where there is no session."""
    with prune_lock(workspace.context.paths):
        return prune(
            [Opened(None, workspace.context)],
            budgets_of(Limits()),
            is_pushed=everything_is_pushed,
            here=HERE,
            now=datetime.now(UTC),
            report=lambda sentence: None,
        )


def main(place: str, number: str) -> None:
    left = [int(number)]

    def cut(effect: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with Scene(Path(place), Path(place)).open() as workspace, observe(cut):
        prune_all(workspace)


if __name__ == "__main__":
    main(*sys.argv[1:])
