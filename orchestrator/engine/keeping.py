"""Keeps a run's tree and papers: checkpoints, the tree itself, artifacts."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.config.schema import Config
from orchestrator.engine.context import EngineContext
from orchestrator.engine.leaking import record_leaks
from orchestrator.engine.work import TREE, Work
from orchestrator.errors import OrchestratorError
from orchestrator.model.event import EventKind
from orchestrator.model.ids import ObjectId, PhaseId, RunId
from orchestrator.model.json import JsonObject
from orchestrator.model.record import Checkpoint
from orchestrator.model.run import Execution, Run
from orchestrator.repo import removal
from orchestrator.repo.durable import sync_paths
from orchestrator.repo.stacking import is_usable
from orchestrator.repo.trees import IsolatedTree
from orchestrator.verify.bring import files_to_bring


def open_tree(work: Work) -> IsolatedTree:
    """Returns the run's tree, made anew from its last checkpoint when it or its repository is gone.

    What stands there then is checkpointed first. A kill leaves a tree or none; the next call goes on.
    """
    existing = existing_tree(work)
    if existing is not None and is_usable(existing):
        return existing
    if existing is not None:
        remove_tree(work, "its repository was broken")
    return _make_tree(work)


def _make_tree(work: Work) -> IsolatedTree:
    metadata, newest = work.run.metadata, latest_checkpoint(work)
    base = metadata.progress.result or metadata.origin.base
    return work.context.trees.create(work.run_id, TREE, base, files=newest.tree if newest else None)


def existing_tree(work: Work) -> IsolatedTree | None:
    """Returns the run's tree as it stands, None when it was never made or is gone.

    One that the machine's restart may have damaged is made anew first, from a checkpoint taken of it now.
    """
    ready = any(tree.name == TREE for tree in work.context.trees.list(work.run_id))
    if not ready:
        return None
    tree = work.context.trees.open(work.run_id, TREE)
    return tree if work.context.trees.is_of_this_boot(tree) else _after_restart(work, tree)


def _after_restart(work: Work, tree: IsolatedTree) -> IsolatedTree:
    """Makes a tree anew after the machine was restarted under it; what is kept nowhere else is kept first.

    Its git directory is not durable and may be damaged in any way, so a checkpoint of the files is what goes
    on. A kill leaves the old tree, or none and the checkpoint, from which it is made when it is needed.
    """
    newest = latest_checkpoint(work)
    known = newest.tree if newest is not None else work.context.repository.tree_of(tree.base)
    emptied = work.context.trees.put_back_emptied(tree, known)
    label = "found after the machine was restarted"
    checkpoint = keep(work, tree, label)
    removal.remove_tree(
        work.context.repository,
        tree.path,
        root=work.context.trees.root,
        run_id=work.run_id,
        checkpoint=lambda: checkpoint.commit,
    )
    work.note(
        f"The machine was restarted: the tree is made anew from the checkpoint {checkpoint.commit[:12]}."
    )
    if emptied:
        work.note(f"The restart had emptied {len(emptied)} files, {emptied[0]} for one; they are back.")
    return _make_tree(work)


def remove_tree(work: Work, label: str, *, ended: Run | None = None) -> None:
    """Removes the run's tree behind a checkpoint whose document describes the run as `ended`, if given."""
    tree = existing_tree(work)
    if tree is not None:
        removal.remove_tree(
            work.context.repository,
            tree.path,
            root=work.context.trees.root,
            run_id=work.run_id,
            checkpoint=lambda: keep(work, tree, label, ended=ended).commit,
        )


def latest_checkpoint(work: Work) -> Checkpoint | None:
    """Returns the newest checkpoint that the refs hold, None when there is none yet."""
    return work.context.checkpoints.newest(work.run_id)


def keep(work: Work, tree: IsolatedTree, label: str, *, ended: Run | None = None) -> Checkpoint:
    """Keeps the tree and the run's state as git objects and records it; durable when it returns.

    `ended` is what the document says of the run instead of what is recorded, for the last checkpoint.
    """
    checkpoint = checkpoint_tree(work, tree, label, ended=ended)
    record_checkpoint(work, checkpoint, label)
    return checkpoint


def keep_live(work: Work) -> bool:
    """Keeps the tree while an agent works in it, if it changed since the last checkpoint; says whether.

    Files may be caught half written; the agent is not held up.
    """
    tree = existing_tree(work)
    if tree is None:
        return False
    label = "saved while the agent works"
    checkpoint = _take(work, tree, label, document(work), only_changed=True)
    if checkpoint.commit == work.run.metadata.progress.checkpoint:
        return False
    record_checkpoint(work, checkpoint, label)
    return True


def checkpoint_tree(work: Work, tree: IsolatedTree, label: str, *, ended: Run | None = None) -> Checkpoint:
    """Keeps the tree and the run's state as git objects; `record_checkpoint` is still to come."""
    return _take(work, tree, label, document(work, ended))


def record_checkpoint(work: Work, checkpoint: Checkpoint, label: str) -> None:
    """Records a checkpoint that the refs hold."""
    with work.context.state.transaction():
        work.update_progress(lambda progress: replace(progress, checkpoint=checkpoint.commit))
        work.context.state.record_event(
            work.run_id,
            EventKind.CHECKPOINT_CREATED,
            {
                "commit": checkpoint.commit,
                "tree": checkpoint.tree,
                "label": label,
                **({"local_only": True} if checkpoint.local_only else {}),
            },
        )
        record_leaks(work, checkpoint)


def document(work: Work, ended: Run | None = None) -> JsonObject:
    """Returns what `doctor --recover` needs to rebuild this run."""
    summary = work.context.state.export_run_summary(work.run_id, run=ended)
    return {**summary, "repo_id": work.context.repo_id}


def save_lost_work(work: Work) -> None:
    """Writes the tree to the refs when the database is gone, with the papers of the checkpoint before."""
    with suppress(OrchestratorError, OSError):
        tree = existing_tree(work)
        newest = latest_checkpoint(work)
        if tree is not None and newest is not None:
            papers = work.context.checkpoints.read_document(newest.commit)
            _take(work, tree, "state lost", papers)


def tree_before(work: Work, execution: Execution) -> ObjectId:
    """Returns the git tree that an attempt began with."""
    earlier = [
        e.progress.tree
        for e in work.context.state.get_executions(work.run_id)
        if e.progress.tree is not None and e.id != execution.id
    ]
    if execution.progress.tree is not None:
        return execution.progress.tree
    return earlier[-1] if earlier else work.context.repository.tree_of(work.run.metadata.origin.base)


def keep_artifact(
    context: EngineContext, run_id: RunId, path: Path, phase_id: PhaseId | None, kind: str, *, encrypt: bool
) -> None:
    """Records a file under `artifacts/` with its size and hash, durable; a missing one is not recorded.

    With `encrypt` it is the encrypted one, and the plain one is gone.
    """
    if not path.is_file():
        return
    if encrypt:
        path = context.sealer.seal(path)
    sync_paths(context.paths.artifacts_dir, (os.path.relpath(path, context.paths.artifacts_dir),))
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    context.state.add_artifact(
        run_id,
        phase_id,
        name=path.name,
        path=os.path.relpath(path, context.paths.artifacts_dir),
        type=kind,
        size_bytes=path.stat().st_size,
        hash=digest.hexdigest(),
    )


def seal_rest(context: EngineContext, config: Config, run_id: RunId) -> None:
    """Encrypts what is plain text still of a run's files, where that is asked for; nobody may be writing.

    Raises:
        Refused, CredentialMissing: they cannot be encrypted, and stay as they are.
    """
    if config.artifacts.encrypt:
        context.sealer.seal_all(context.paths.run_artifacts_dir(run_id))


def _take(
    work: Work, tree: IsolatedTree, label: str, papers: JsonObject, *, only_changed: bool = False
) -> Checkpoint:
    trees = work.config.worktrees
    return work.context.checkpoints.take(
        tree,
        run_id=work.run_id,
        document=papers,
        label=label,
        include=trees.checkpoint_include,
        brought=files_to_bring(work.context.repository, trees.bring),
        report=work.note,
        only_changed=only_changed,
    )
