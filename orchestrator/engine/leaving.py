"""Takes everything of ours out of a repository, after making sure that no work goes with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine import keeping
from orchestrator.engine.context import EngineContext
from orchestrator.engine.merging import repository_lock
from orchestrator.engine.work import open_work
from orchestrator.fs.lock import FileLock
from orchestrator.model.ids import ObjectId
from orchestrator.model.run import ENDED_RUN, Run
from orchestrator.paths import names
from orchestrator.repo import export as exporting
from orchestrator.repo import removal
from orchestrator.repo.removal import WayBack
from orchestrator.repo.repository import Repository
from orchestrator.secretstore.names import SUFFIX
from orchestrator.secretstore.recipients import FILE as RECIPIENTS
from orchestrator.state.ownership import is_left_by_init

_USERS_FILES = (names.CONFIG, names.LOCAL_CONFIG)


@dataclass(frozen=True, slots=True)
class Left:
    """What was taken out, in words, each with the way back; `kept` are names that git tracks."""

    ways_back: tuple[WayBack, ...]
    kept: tuple[str, ...]


def leave(context: EngineContext, *, export: Path | None, others: Sequence[EngineContext] = ()) -> Left:
    """Removes our refs, branches, trees and `.orchestrator/`; the states are closed afterwards.

    `others` are the states of further sessions under the same directory. Trees of unfinished runs are
    checkpointed first. With `export` a bundle takes everything with it; without, no run may hold work that is
    not merged. Files that git tracks stay. A kill leaves a part that a second call takes out.

    Raises:
        Locked: a process works on a run.
        Refused: `unmerged`, `export-exists`, `nothing-to-export`, `branch-checked-out`; nothing was removed.
    """
    repository = context.repository
    with contextlib.ExitStack() as held:
        held.enter_context(repository_lock(context, "orchestrator deinit"))
        runs = [
            (each, run)
            for each in (context, *others)
            for run in each.state.list_runs()
            if _may_be_alive(each, run)
        ]
        for each, run in runs:
            held.enter_context(_lock(each, run))
        kept = [(each, run, _keep_tree(each, run)) for each, run in runs]
        if export is not None:
            exporting.export_bundle(repository, export, scratch=context.paths.tmp_dir)
        refs = repository.our_refs()
        removal.require_removable(repository, refs, exported=export)
        for each, run, commit in kept:
            _remove_tree(each, run, commit)
        ways_back = _files_of_the_user(repository, context.paths.orchestrator_dir)
        ways_back += removal.remove_refs(repository, refs, exported=export)
        tracked = _tracked(repository)
        for each in (context, *others):
            each.state.close()
        ways_back.append(
            removal.remove_orchestrator_dir(context.paths.orchestrator_dir, exported=export, keep=tracked)
        )
    return Left(tuple(ways_back), tuple(sorted(tracked)))


def finish_leaving(repository: Repository, directory: Path) -> tuple[WayBack, ...] | None:
    """Removes what a killed `leave` or a killed `init` left, when nothing else is there.

    Returns the ways back, or None when it did not: a clone's committed files, for instance, stay.
    """
    rest = set(os.listdir(directory)) if directory.is_dir() and not directory.is_symlink() else {"?"}
    ours = rest <= set(removal.LAST) or is_left_by_init(os.fspath(directory))
    if not ours or repository.our_refs() or _tracked(repository):
        return None
    ways_back = _files_of_the_user(repository, directory)
    return (*ways_back, removal.remove_orchestrator_dir(directory, exported=None))


def _may_be_alive(context: EngineContext, run: Run) -> bool:
    return run.status not in ENDED_RUN or bool(context.trees.list(run.id))


def _lock(context: EngineContext, run: Run) -> FileLock:
    return FileLock(context.paths.run_lock(run.id), what=f"run {run.id}", command="orchestrator deinit")


def _keep_tree(context: EngineContext, run: Run) -> ObjectId | None:
    work = open_work(context, run.id, lambda: False)
    tree = keeping.existing_tree(work)
    return keeping.keep(work, tree, "deinit").commit if tree is not None else None


def _remove_tree(context: EngineContext, run: Run, commit: ObjectId | None) -> None:
    """Removes a tree before the refs that keep it: a second call would keep it anew, as unmerged work."""
    tree = keeping.existing_tree(open_work(context, run.id, lambda: False))
    if tree is not None and commit is not None:
        removal.remove_tree(
            context.repository, tree.path, root=context.trees.root, run_id=run.id, checkpoint=lambda: commit
        )


def _tracked(repository: Repository) -> frozenset[str]:
    """Returns the names directly under `.orchestrator/` that git tracks: they were there before `init`."""
    prefix = names.DIRECTORY + "/"
    listed = repository.git.zsplit("ls-files", "-z", "--", f":(top){names.DIRECTORY}")
    paths = (os.fsdecode(item) for item in listed)
    return frozenset(path.removeprefix(prefix).split("/")[0] for path in paths)


def _files_of_the_user(repository: Repository, directory: Path) -> list[WayBack]:
    """Keeps the user's own files as git objects, so that there is a way back until git's next clean-up."""
    ways = []
    secrets = (directory / names.SECRETS).glob("*/*")
    encrypted = [path for path in secrets if path.suffix == SUFFIX or path.name == RECIPIENTS]
    for path in (*(directory / name for name in _USERS_FILES), *sorted(encrypted)):
        if path.is_file() and not path.is_symlink():
            done = repository.git.run("hash-object", "-w", "--no-filters", "--", str(path), mutates=True)
            oid = done.stdout.decode().strip()
            ways.append(WayBack(str(path), f"git cat-file blob {oid}"))
    return ways
