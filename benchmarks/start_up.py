"""How long a person waits for `status`, `--help`, `secrets which`, against an idle interpreter."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.place import Place, Sizes, program, rooms
from benchmarks.rounds import Action, Result, command, interleave
from orchestrator.cli.help_pages import PAGES
from orchestrator.config.frozen import freeze
from orchestrator.config.schema import Config
from orchestrator.fs.disk import Disk
from orchestrator.model.event import EventKind
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.model.plan import single_phase
from orchestrator.model.run import (
    PhaseStatus,
    Run,
    RunMetadata,
    RunOptions,
    RunOrigin,
    RunStatus,
)
from orchestrator.state.layout import create_layout
from orchestrator.state.manager import StateManager

_FLOOR = "python -c pass"


def status(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures `orchestrator status` beside many finished runs."""
    repository = place.repository("status", 3)
    write_runs(repository, sizes.runs)
    actions: dict[str, Action] = {
        _FLOOR: command([sys.executable, "-c", "pass"], cwd=repository, environment=place.environment),
        "status": command([program(), "status"], cwd=repository, environment=place.environment),
        "json": command([program(), "status", "--json"], cwd=repository, environment=place.environment),
    }
    timings = interleave(actions, rounds)
    what = f"`orchestrator status`, {sizes.runs:,} finished runs, to `{_FLOOR}`"
    return [
        timings.ratio("status", what, of="status", to=_FLOOR, goal=2.5),
        timings.ratio("status", what.replace("status`", "status --json`"), of="json", to=_FLOOR, goal=2.5),
    ]


def help(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures `--help` of every command; the slowest is held against the goal."""
    pages = list(PAGES)[: sizes.commands or None]
    actions: dict[str, Action] = {
        _FLOOR: command([sys.executable, "-c", "pass"], cwd=place.root, environment=place.environment)
    }
    for page in pages:
        words = [program(), *page.split(), "--help"]
        actions[page or "(none)"] = command(words, cwd=place.root, environment=place.environment)
    timings = interleave(actions, rounds)
    results = [
        timings.ratio("help", f"`orchestrator {name} --help`", of=name, to=_FLOOR, goal=6.5)
        for name in actions
        if name != _FLOOR
    ]
    slowest = max(results, key=lambda result: result.value)
    return [replace(slowest, what=f"`--help` of each of {len(results)} commands, the slowest, to `{_FLOOR}`")]


def which(place: Place, sizes: Sizes, rounds: int) -> list[Result]:
    """Measures `orchestrator secrets which` for a secret that is in the store, decrypted to be sure."""
    repository = place.repository("which", 3)
    create_layout(rooms(repository).paths, Disk(), private=False, workflow_yaml=None)
    words = [program(), "secrets", "set", "SERVICE_API_KEY"]
    subprocess.run(
        words,
        cwd=repository,
        env=place.environment,
        input=b"a value",
        check=True,
        stdout=subprocess.DEVNULL,
    )
    asked = [program(), "secrets", "which", "SERVICE_API_KEY"]
    actions: dict[str, Action] = {
        _FLOOR: command([sys.executable, "-c", "pass"], cwd=repository, environment=place.environment),
        "which": command(asked, cwd=repository, environment=place.environment),
    }
    what = f"`orchestrator secrets which`, a stored secret, to `{_FLOOR}`"
    return [interleave(actions, rounds).ratio("which", what, of="which", to=_FLOOR, goal=8)]


def write_runs(repository: Path, count: int) -> None:
    """Writes the state of a workspace in which `count` runs have ended, each with its phase and events."""
    paths = rooms(repository).paths
    create_layout(paths, Disk(), private=False, workflow_yaml=None)
    config = freeze(Config.model_validate({"version": 1}))
    began = datetime(2026, 1, 1, tzinfo=UTC)
    with StateManager.open(paths, create=True) as state, state.transaction():
        for number in range(count):
            _write_run(state, RunId(f"r-{number:06d}"), config, began + timedelta(minutes=number))


def _write_run(state: StateManager, run_id: RunId, config: str, at: datetime) -> None:
    plan = single_phase("repair what the linter found in the parser and its tests")
    origin = RunOrigin(ObjectId("0" * 40), "main", "/somewhere", False)
    metadata = RunMetadata(
        options=RunOptions(command=("true",)),
        origin=origin,
        config=config,
        trace_id=run_id,
        workflow_yaml=None,
        trusted=True,
    )
    state.create_run(Run(run_id, plan.phases[0].name, RunStatus.PLANNING, at, None, None, metadata), plan, 2)
    phase = plan.phases[0].id
    state.update_run_status(run_id, RunStatus.EXECUTING)
    state.update_phase_status(run_id, phase, PhaseStatus.IN_PROGRESS)
    execution = state.create_execution(run_id, phase, attempt=1)
    state.record_event(run_id, EventKind.STEP_STARTED, {"phase": phase})
    state.complete_execution(execution.id)
    state.update_phase_status(run_id, phase, PhaseStatus.COMPLETED)
    state.update_run_status(run_id, RunStatus.COMPLETED)
