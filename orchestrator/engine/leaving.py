"""Takes everything of ours out of a repository, after making sure that no work goes with it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine import keeping
from orchestrator.engine.context import EngineContext
from orchestrator.engine.merging import repository_lock
from orchestrator.engine.work import open_work
from orchestrator.fs.lock import FileLock
from orchestrator.model.run import ENDED_RUN, Run
from orchestrator.paths import names
from orchestrator.repo import export as exporting
from orchestrator.repo import removal
from orchestrator.repo.removal import WayBack
from orchestrator.repo.repository import Repository

_USERS_FILES = (names.CONFIG, names.LOCAL_CONFIG)


@dataclass(frozen=True, slots=True)
class Left:
    """What was taken out, in words, each with the way back; `kept` are names that git tracks."""

    ways_back: tuple[WayBack, ...]
    kept: tuple[str, ...]


def leave(context: EngineContext, *, export: Path | None) -> Left:
    """Removes our refs, branches, trees and `.orchestrator/`; the state is closed afterwards.

    Trees of unfinished runs are checkpointed first. With `export` a bundle takes everything with it; without,
    no run may hold work that is not merged. Files that git tracks stay. A kill leaves a part that a second
    call takes out.

    Raises:
        Locked: a process works on a run.
        Refused: `unmerged`, `export-exists`, `nothing-to-export`, `branch-checked-out`; nothing was removed.
    """
    repository = context.repository
    with contextlib.ExitStack() as held:
        held.enter_context(repository_lock(context, "orchestrator deinit"))
        runs = [run for run in context.state.list_runs() if _may_be_alive(context, run)]
        for run in runs:
            held.enter_context(_lock(context, run))
        for run in runs:
            _keep_tree(context, run)
        if export is not None:
            exporting.export_bundle(repository, export)
        refs = repository.our_refs()
        removal.require_kept(repository, refs, exported=export)
        ways_back = [*_files_of_the_user(context), *removal.remove_refs(repository, refs, exported=export)]
        tracked = _tracked(repository)
        context.state.close()
        ways_back.append(
            removal.remove_orchestrator_dir(context.paths.orchestrator_dir, exported=export, keep=tracked)
        )
    return Left(tuple(ways_back), tuple(sorted(tracked)))


def finish_leaving(repository: Repository, directory: Path) -> bool:
    """Removes what a killed `leave` left when nothing but its last marks are there; returns whether it did.

    Anything else, a clone's committed files for instance, stays.
    """
    rest = set(os.listdir(directory)) if directory.is_dir() and not directory.is_symlink() else {"?"}
    if not rest <= set(removal.LAST) or repository.our_refs() or _tracked(repository):
        return False
    removal.remove_orchestrator_dir(directory, exported=None)
    return True


def _may_be_alive(context: EngineContext, run: Run) -> bool:
    return run.status not in ENDED_RUN or bool(context.trees.list(run.id))


def _lock(context: EngineContext, run: Run) -> FileLock:
    return FileLock(context.paths.run_lock(run.id), what=f"run {run.id}", command="orchestrator deinit")


def _keep_tree(context: EngineContext, run: Run) -> None:
    work = open_work(context, run.id, lambda: False)
    tree = keeping.existing_tree(work)
    if tree is None:
        return
    commit = keeping.keep(work, tree, "deinit").commit
    if context.paths.orchestrator_dir not in tree.path.parents:
        removal.remove_tree(
            context.repository, tree.path, root=context.trees.root, run_id=run.id, checkpoint=lambda: commit
        )


def _tracked(repository: Repository) -> frozenset[str]:
    """Returns the names directly under `.orchestrator/` that git tracks: they were there before `init`."""
    prefix = names.DIRECTORY + "/"
    listed = repository.git.zsplit("ls-files", "-z", "--", f":(top){names.DIRECTORY}")
    paths = (os.fsdecode(item) for item in listed)
    return frozenset(path.removeprefix(prefix).split("/")[0] for path in paths)


def _files_of_the_user(context: EngineContext) -> list[WayBack]:
    """Keeps the user's own files as git objects, so that there is a way back until git's next clean-up."""
    ways = []
    for name in _USERS_FILES:
        path = context.paths.orchestrator_dir / name
        if path.is_file() and not path.is_symlink():
            done = context.repository.git.run(
                "hash-object", "-w", "--no-filters", "--", str(path), mutates=True
            )
            oid = done.stdout.decode().strip()
            ways.append(WayBack(str(path), f"git cat-file blob {oid}"))
    return ways
