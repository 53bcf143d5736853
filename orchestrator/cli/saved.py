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


def find_checkpoint(checkpoints: Checkpoints, text: str) -> Checkpoint:
    """Returns the checkpoint that a commit id, or the beginning of one, names.

    Raises:
        Refused: `checkpoint-unknown` or `checkpoint-ambiguous`.
    """
    from orchestrator.paths import names

    wanted = text.lower()
    found: dict[ObjectId, Checkpoint] = {}
    if _OBJECT_ID.fullmatch(wanted):
        for ref in checkpoints.repository.our_refs():
            if not ref.startswith(names.RUN_REFS):
                continue
            for each in checkpoints.list_checkpoints(RunId(ref.removeprefix(names.RUN_REFS))):
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
