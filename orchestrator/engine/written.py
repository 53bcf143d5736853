"""Keeps the files that were taken from an agent's answer: a copy and a row for each, as they were written."""

from __future__ import annotations

from pathlib import Path

from orchestrator.engine.keeping import keep_artifact
from orchestrator.engine.schedule import RunStep
from orchestrator.engine.work import Work
from orchestrator.model.agent import WrittenFile
from orchestrator.model.record import Artifact
from orchestrator.repo.trees import IsolatedTree

KIND = "written"
_MARK = ".files/"


def keep_written(work: Work, action: RunStep, tree: IsolatedTree, files: tuple[WrittenFile, ...]) -> None:
    """Keeps each file under the step's attempt; call it in the transaction that ends the step.

    The copy is what stands in the tree now: a later step may change that, this stays. One that is gone by now
    is kept by the transcript alone.
    """
    for file in files:
        source, copy = tree.path / file.path, _place(work, action, file.path)
        if source.is_file() and not source.is_symlink():
            work.context.disk.make_dir(copy.parent)
            work.context.disk.copy(source, copy)
            encrypt = work.config.artifacts.encrypt
            keep_artifact(work.context, work.run_id, copy, action.phase.id, KIND, encrypt=encrypt)


def path_in_tree(artifact: Artifact) -> str:
    """Returns where the file of an artifact of this kind stands in the tree."""
    return artifact.path.partition(_MARK)[2]


def _place(work: Work, action: RunStep, path: str) -> Path:
    number = action.execution.progress.steps_done + 1
    directory = work.context.paths.run_artifacts_dir(work.run_id)
    return directory / f"{action.execution.id}-step-{number}{_MARK}{path}"
