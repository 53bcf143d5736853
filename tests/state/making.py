"""Makes the values that the tests of the state write."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.model.ids import ObjectId, PhaseId, RunId
from orchestrator.model.plan import Plan, PlannedPhase
from orchestrator.model.run import Run, RunMetadata, RunOptions, RunOrigin, RunProgress, RunStatus
from orchestrator.paths import OrchestratorPaths
from orchestrator.state.manager import StateManager

BASE = ObjectId("a" * 40)
R1 = RunId("r1")
FIRST, SECOND = PhaseId("phase-001"), PhaseId("phase-002")
START = datetime(2026, 11, 20, 11, 0, 0, 123456, tzinfo=UTC)


def a_plan() -> Plan:
    """Returns two phases, the second of which depends on the first."""
    return Plan.of(
        (
            PlannedPhase(FIRST, "First", "does one thing", (), verification_criteria=("it works",)),
            PlannedPhase(SECOND, "Second", "does another", (FIRST,)),
        )
    )


def a_run(
    run_id: RunId = R1, *, task: str = "fix it", age_s: float = 0, status: RunStatus = RunStatus.PLANNING
) -> Run:
    """Returns a run that was just asked for."""
    metadata = RunMetadata(
        options=RunOptions(agent="fixer", command=("ruff", "check")),
        origin=RunOrigin(BASE, "refs/heads/main", "/checkout"),
        config='{"version": 1}',
        trace_id=f"trace-of-{run_id}",
        workflow_yaml="version: 1\n",
        trusted=True,
    )
    return Run(run_id, task, status, START - timedelta(seconds=age_s), None, None, metadata)


def started(state: StateManager, run_id: RunId = R1) -> None:
    """Writes a run whose first phase is being worked on."""
    state.create_run(a_run(run_id), a_plan(), max_retries=2)
    state.update_run_status(run_id, RunStatus.EXECUTING)


def progress(**facts: object) -> RunProgress:
    """Returns a progress with some facts."""
    return RunProgress(**facts)  # type: ignore[arg-type]


def in_child(work: Callable[[], None]) -> int:
    """Runs `work` in a forked child and returns its wait status; an exception there is status 99."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(99)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def reopened(paths: OrchestratorPaths) -> StateManager:
    """Opens the state again and checks that nothing in it is broken."""
    state = StateManager.open(paths)
    assert state.verify_chain() is None
    assert state.problems() == ()
    return state


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    """Mounts something over `place` while the block runs; skips the test where that is not allowed."""
    done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mount is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def needs_root() -> None:
    """Skips the test unless it may mount."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount a small or a read-only file system")
