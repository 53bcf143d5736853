"""Reaches the checkpoints of a repository without its state, because they must outlive it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.invocation import Invocation
from orchestrator.errors import Refused
from orchestrator.model.ids import ObjectId, RunId

if TYPE_CHECKING:
    from orchestrator.model.record import Checkpoint
    from orchestrator.repo.checkpoint import Checkpoints

_OBJECT_ID = re.compile(r"[0-9a-f]{7,64}")


def saved_in(call: Invocation) -> Checkpoints:
    """Returns the checkpoints of the repository called from; nothing of the repository's own is run."""
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.repo.checkpoint import Checkpoints
    from orchestrator.repo.repository import Repository
    from orchestrator.repo.trees import IsolatedTrees

    located = call.locate()
    paths = OrchestratorPaths(Path(located.home))
    repository = Repository(located, trusted=False)
    return Checkpoints(repository, paths, IsolatedTrees(repository, paths.worktrees_dir))


def checkpoints_of(checkpoints: Checkpoints, run_id: RunId) -> tuple[Checkpoint, ...]:
    """Returns the checkpoints of a run, of an archived one too, newest first."""
    from orchestrator.paths import names
    from orchestrator.repo.archive import read_archived

    found = checkpoints.list_checkpoints(run_id)
    if found:
        return found
    archived = read_archived(checkpoints.repository, run_id)
    tip = archived.refs.get(names.RUN_REFS + run_id) if archived is not None else None
    return checkpoints.list_from(run_id, tip) if tip is not None else ()


def _tips(checkpoints: Checkpoints) -> dict[RunId, ObjectId]:
    """Returns the newest checkpoint of every run, archived ones first so that what is newer counts."""
    from orchestrator.paths import names
    from orchestrator.repo.archive import read_all

    refs = {name: oid for one in read_all(checkpoints.repository) for name, oid in one.refs.items()}
    refs.update(checkpoints.repository.refs(names.RUN_REFS))
    return {
        RunId(name.removeprefix(names.RUN_REFS)): oid
        for name, oid in refs.items()
        if name.startswith(names.RUN_REFS)
    }


def find_checkpoint(checkpoints: Checkpoints, text: str) -> Checkpoint:
    """Returns the checkpoint that a commit id, or the beginning of one, names.

    Raises:
        Refused: `checkpoint-unknown` or `checkpoint-ambiguous`.
    """
    wanted = text.lower()
    found: dict[ObjectId, Checkpoint] = {}
    if _OBJECT_ID.fullmatch(wanted):
        for run_id, tip in _tips(checkpoints).items():
            for each in checkpoints.list_from(run_id, tip):
                if each.commit.startswith(wanted):
                    found[each.commit] = each
    if not found:
        raise Refused(
            f"There is no checkpoint {text!r}.",
            code="checkpoint-unknown",
            hint="List those of a run with: orchestrator checkpoints RUN",
        )
    if len(found) > 1:
        raise Refused(
            f"{text!r} begins the names of {len(found)} checkpoints.",
            code="checkpoint-ambiguous",
            hint="Use more of its digits.",
        )
    return next(iter(found.values()))
