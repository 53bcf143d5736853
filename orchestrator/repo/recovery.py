"""Reads what the refs tell of runs, for rebuilding `.orchestrator/` after it was lost."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import Failed, OrchestratorError
from orchestrator.model.ids import RunId, parse_run_id
from orchestrator.model.json import JsonObject
from orchestrator.model.record import Checkpoint
from orchestrator.paths import names
from orchestrator.repo.checkpoint import Checkpoints


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run as its newest readable checkpoint describes it; nobody vouches for the document."""

    run_id: RunId
    checkpoint: Checkpoint
    document: JsonObject


@dataclass(frozen=True, slots=True)
class Found:
    """The runs the refs tell of, by id, and a sentence for everything that could not be read."""

    runs: tuple[FoundRun, ...]
    problems: tuple[str, ...]


def find_runs(checkpoints: Checkpoints) -> Found:
    """Returns every run that has checkpoints; a damaged newest one gives way to the one before."""
    runs = []
    problems: list[str] = []
    for name in sorted(checkpoints.repository.refs(names.RUN_REFS)):
        try:
            run_id = parse_run_id(name.removeprefix(names.RUN_REFS))
            runs.append(_newest_readable(checkpoints, run_id, problems))
        except OrchestratorError as error:
            problems.append(f"{name}: {error.message}")
    return Found(tuple(runs), tuple(problems))


def _newest_readable(checkpoints: Checkpoints, run_id: RunId, problems: list[str]) -> FoundRun:
    for checkpoint in checkpoints.list_checkpoints(run_id):
        try:
            document = checkpoints.read_document(checkpoint.commit)
        except Failed as error:
            problems.append(f"{run_id}: {error.message}")
            continue
        return FoundRun(run_id, checkpoint, document)
    raise Failed(
        f"no checkpoint of {run_id} can be read.",
        code="checkpoint-unreadable",
        hint="Look at it with: git fsck",
    )
