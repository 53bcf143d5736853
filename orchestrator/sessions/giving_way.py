"""Makes room for a run that went on elsewhere: what it reached here is kept under a ref of its own first."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.config.frozen import thaw
from orchestrator.discovery import Located
from orchestrator.fs.lock import FileLock
from orchestrator.model.ids import ObjectId
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo import removal
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.repository import Repository
from orchestrator.repo.settle import is_ancestor
from orchestrator.repo.trees import IsolatedTrees
from orchestrator.sessions.saved import Saved
from orchestrator.state.manager import StateManager
from orchestrator.verify.bring import files_to_bring


@dataclass(frozen=True, slots=True)
class Target:
    """Where runs are brought back to."""

    located: Located
    paths: OrchestratorPaths
    repository: Repository
    redactor: Redactor


def give_way(target: Target, state: StateManager, saved: Saved, local: ObjectId | None) -> list[str]:
    """Keeps what a run reached here beyond what was saved elsewhere; returns the refs that keep it.

    Its tree is checkpointed and removed. A kill leaves it removed or not; the next call goes on.

    Raises:
        Locked: a process here works on the run.
    """
    run_id = saved.run_id
    words = f"orchestrator sessions restore {saved.manifest.session}"
    with FileLock(target.paths.run_lock(run_id), what=f"run {run_id}", command=words):
        _put_tree_away(target, state, saved)
        checkpoint = target.repository.read_ref(names.RUN_REFS + run_id)
        tips = [tip for tip in (local, checkpoint) if tip is not None]
        return [_keep(target.repository, saved, tip) for tip in tips if _is_beyond(target, saved, tip)]


def checkpoints_of(target: Target) -> Checkpoints:
    """Returns the checkpoints of the repository that runs are brought back to."""
    return Checkpoints(target.repository, target.paths, _trees(target), target.redactor)


def _trees(target: Target) -> IsolatedTrees:
    return IsolatedTrees(target.repository, target.paths.worktrees_dir)


def _put_tree_away(target: Target, state: StateManager, saved: Saved) -> None:
    trees, run = _trees(target), state.get_run(saved.run_id)
    wanted = thaw(run.metadata.config).worktrees
    for tree in trees.list(run.id):
        taken = checkpoints_of(target).take(
            tree,
            run_id=run.id,
            document=state.export_run_summary(run.id),
            label="kept: the run went on elsewhere",
            include=wanted.checkpoint_include,
            brought=files_to_bring(target.repository, wanted.bring),
        )
        commit = taken.commit
        removal.remove_tree(
            target.repository,
            tree.path,
            root=trees.root,
            run_id=run.id,
            checkpoint=lambda commit=commit: commit,  # type: ignore[misc]
        )


def _is_beyond(target: Target, saved: Saved, tip: ObjectId) -> bool:
    return not is_ancestor(target.repository, tip, saved.tip)


def _keep(repository: Repository, saved: Saved, tip: ObjectId) -> str:
    said = saved.manifest
    name = f"{names.FORK_REFS}{said.session}/{said.run_id}/{tip[:16]}"
    found = repository.read_ref(name)
    if found != tip:
        repository.update_ref(name, tip, found)
    return name
