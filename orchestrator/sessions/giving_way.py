"""Makes room for a run that went on elsewhere: what it reached here is kept under a ref of its own first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.frozen import thaw
from orchestrator.config.schema import Config
from orchestrator.discovery import Located
from orchestrator.fs.lock import FileLock
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.model.json import JsonObject
from orchestrator.model.run import Run
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo import removal
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.repository import Repository
from orchestrator.repo.settle import is_ancestor
from orchestrator.repo.trees import IsolatedTrees
from orchestrator.sessions.saved import Saved
from orchestrator.sessions.segments import chain_ref
from orchestrator.state.manager import StateManager
from orchestrator.verify.bring import files_to_bring

_AT_ONCE = 500
"""Runs whose refs one git is asked for: what a command line takes is limited."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where runs are brought back to; `trees_root` is where trees are, None where the paths say it."""

    located: Located
    paths: OrchestratorPaths
    repository: Repository
    redactor: Redactor
    trees_root: Path | None = None


def lock_of_run(target: Target, saved: Saved) -> FileLock:
    """Returns the lock of the run, under which everything here gives way."""
    words = f"orchestrator sessions restore {saved.manifest.session}"
    return FileLock(target.paths.run_lock(saved.run_id), what=f"run {saved.run_id}", command=words)


def ref_names(saved: Saved) -> tuple[str, ...]:
    """Returns the full names of the refs that a run has: base, result, checkpoints, saves."""
    ours = (names.BASE_REFS, names.RESULT_REFS, names.RUN_REFS)
    return (*(prefix + saved.run_id for prefix in ours), chain_ref(saved.manifest.session, saved.run_id))


def refs_of(repository: Repository, saved: Saved) -> Mapping[str, ObjectId]:
    """Returns the refs that this repository has of a run, by full name."""
    return repository.refs(*ref_names(saved))


def refs_here(repository: Repository, found: Sequence[Saved]) -> Mapping[str, ObjectId]:
    """Returns the refs that this repository has of runs, and what was fetched to be looked at."""
    refs: dict[str, ObjectId] = {}
    for start in range(0, len(found), _AT_ONCE):
        asked = [name for saved in found[start : start + _AT_ONCE] for name in ref_names(saved)]
        refs.update(repository.refs(names.INCOMING_REFS, *asked))
    return refs


def has_trees(target: Target, run_id: RunId) -> bool:
    """Returns whether there is a tree of the run here."""
    return bool(_trees(target).list(run_id))


def give_way(target: Target, state: StateManager, saved: Saved, known: Run | None) -> list[str]:
    """Keeps what a run reached here beyond what was saved elsewhere; returns the refs that keep it.

    Its tree is checkpointed and removed, also where the state does not know the run any more (`known` is
    None). A kill leaves it removed or not; the next call goes on. The caller holds the run's lock.
    """
    _put_tree_away(target, state, saved, known)
    tips = dict.fromkeys(refs_of(target.repository, saved).values())
    return [_keep(target.repository, saved, tip) for tip in tips if _is_beyond(target, saved, tip)]


def checkpoints_of(target: Target) -> Checkpoints:
    """Returns the checkpoints of the repository that runs are brought back to."""
    return Checkpoints(target.repository, target.paths, _trees(target), target.redactor)


def _trees(target: Target) -> IsolatedTrees:
    return IsolatedTrees(target.repository, target.trees_root or target.paths.worktrees_dir)


def _put_tree_away(target: Target, state: StateManager, saved: Saved, known: Run | None) -> None:
    trees, checkpoints = _trees(target), checkpoints_of(target)
    wanted = (thaw(known.metadata.config) if known else Config()).worktrees
    for tree in trees.list(saved.run_id):
        taken = checkpoints.take(
            tree,
            run_id=saved.run_id,
            document=_document(checkpoints, state, saved, known),
            label="kept: the run went on elsewhere",
            include=wanted.checkpoint_include,
            brought=files_to_bring(target.repository, wanted.bring),
        )
        commit = taken.commit
        removal.remove_tree(
            target.repository,
            tree.path,
            root=trees.root,
            run_id=saved.run_id,
            checkpoint=lambda commit=commit: commit,  # type: ignore[misc]
        )


def _document(checkpoints: Checkpoints, state: StateManager, saved: Saved, known: Run | None) -> JsonObject:
    """Returns what a checkpoint of what is here says of the run: as it is known, or as it was last kept."""
    if known is not None:
        return state.export_run_summary(known.id)
    newest = checkpoints.newest(saved.run_id)
    return checkpoints.read_document(newest.commit) if newest is not None else saved.document


def _is_beyond(target: Target, saved: Saved, tip: ObjectId) -> bool:
    return not is_ancestor(target.repository, tip, saved.tip)


def _keep(repository: Repository, saved: Saved, tip: ObjectId) -> str:
    said = saved.manifest
    name = f"{names.FORK_REFS}{said.session}/{said.run_id}/{tip[:16]}"
    found = repository.read_ref(name)
    if found != tip:
        repository.update_ref(name, tip, found)
    return name
