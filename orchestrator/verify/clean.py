"""Makes the tree that checks run in: from the tree hash, with what setup installs and what is brought in.

It is a repository of its own like an agent's tree, under `<worktrees>/.checks/<run>/tree`, always the same
path, so that installed programs that know where they are stay usable. Nothing in it is work: it is made anew
for each tree, and `discard` removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.schema import Worktrees
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.process.command import Ended
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTree, IsolatedTrees
from orchestrator.verify.bring import bring, files_to_bring
from orchestrator.verify.installed import Installed, setup_key
from orchestrator.verify.output import last_lines, one_line, plain_text, read_regular
from orchestrator.verify.watch import TreeWatch

DIRECTORY = ".checks"
"""Below the root of isolated trees; no run can have this name."""

NAME = "tree"

RunCommand = Callable[[tuple[str, ...], Path, str], tuple[Ended, Path]]
"""Runs a setup command in a directory under a name, and returns how it ended and where its output is."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """Setup ended badly; `cancelled` tells that it was only stopped."""

    reason: str
    cancelled: bool = False


def clean_tree(
    trees: IsolatedTrees, run_id: RunId, tree: ObjectId, config: Worktrees, run: RunCommand
) -> tuple[IsolatedTree, TreeWatch, NotReady | None]:
    """Returns a tree with exactly the files of `tree`, made ready, and the comparison with it.

    What setup installed for an earlier tree of this run is carried over while lock files, commands and
    brought files are the same and nothing has touched it. The caller holds the run's lock and closes the
    comparison; a kill leaves directories that the next call makes anew.
    """
    repository, disk = trees.repository, Disk()
    ours = IsolatedTrees(repository, trees.root / DIRECTORY)
    place = ours.root / run_id / NAME
    brought = files_to_bring(repository, config.bring)
    key = _key(repository, tree, config, brought)
    carried = key is not None and Installed(place, place.parent / f".{NAME}").put_aside(key)
    disk.remove_tree(place)
    made = ours.create(run_id, NAME, tree)
    installed = Installed(made.path, made.sidecar)
    if not carried or not installed.put_in():
        installed.forget()
        carried = False
    watch = TreeWatch(repository, made.path, tree, made.sidecar)
    try:
        watch.take_index()
        bring(repository.checkout, made.path, brought)
        problem = None if carried else _set_up(made.path, config.setup, run)
        if problem is None and key is not None and not carried:
            watch.put_back(watch.changed())
            installed.record(key, [entry for entry in watch.untracked() if entry not in brought])
    except BaseException:
        watch.close()
        raise
    return made, watch, problem


def prepare(
    repository: Repository, tree: IsolatedTree, config: Worktrees, run: RunCommand
) -> NotReady | None:
    """Brings files into an agent's tree and runs setup there, once: the receipt is written last.

    A kill leaves the tree without receipt, and the next call does all of it again.
    """
    receipt = tree.sidecar / "set-up"
    if receipt.exists():
        return None
    bring(repository.checkout, tree.path, files_to_bring(repository, config.bring))
    problem = _set_up(tree.path, config.setup, run)
    if problem is None:
        Disk().write(receipt, b"")
    return problem


def discard(trees: IsolatedTrees, run_id: RunId) -> None:
    """Removes the tree that a run's checks ran in, with all beside it; nothing there is work."""
    Disk().remove_tree(trees.root / DIRECTORY / run_id)


def _key(repository: Repository, tree: ObjectId, config: Worktrees, brought: Sequence[str]) -> str | None:
    if not config.setup:
        return None
    return setup_key(repository, tree, config.setup, brought="\0".join(brought))


def _set_up(directory: Path, commands: Sequence[tuple[str, ...]], run: RunCommand) -> NotReady | None:
    for number, argv in enumerate(commands, start=1):
        ended, output = run(argv, directory, f"setup-{number}")
        if ended.cause == "cancelled":
            return NotReady("setup was stopped", cancelled=True)
        if ended.cause != "exited" or ended.exit_status != 0:
            return NotReady(_sentence(argv, ended, output))
    return None


def _sentence(argv: tuple[str, ...], ended: Ended, output: Path) -> str:
    how = f"ended with status {ended.exit_status}" if ended.exit_status is not None else ended.detail
    content = read_regular(output, limit_bytes=1 << 20)
    said = last_lines(plain_text(content.data), lines=5, characters=500) if content is not None else ""
    sentence = f"Setup failed: `{one_line(' '.join(argv))}` {how or ended.cause}"
    return f"{sentence}:\n{said}" if said else f"{sentence}."
