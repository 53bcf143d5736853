"""Moves an isolated tree's own HEAD and files along while phases stack up in it."""

from __future__ import annotations

from orchestrator.model.ids import ObjectId
from orchestrator.repo.trees import IsolatedTree, git_in


def advance(tree: IsolatedTree, commit: ObjectId) -> None:
    """Detaches the tree's HEAD at `commit` and makes its index that commit's; no file changes.

    So the next phase sees the work of the ones before as committed. Branches that the agent made stay;
    repeating it after a crash gives the same.
    """
    git = git_in(tree)
    git.run("update-ref", "--no-deref", "-m", "orchestrator: phase kept", "HEAD", commit, mutates=True)
    git.run("read-tree", "--reset", commit, mutates=True)
    git.run("update-index", "-q", "--refresh", ok=(0, 1), mutates=True)


def is_usable(tree: IsolatedTree) -> bool:
    """Returns whether the tree's own repository still is one; an agent may have removed or broken it."""
    done = git_in(tree).run("rev-parse", "--verify", "-q", "HEAD", ok=None)
    return done.status == 0
