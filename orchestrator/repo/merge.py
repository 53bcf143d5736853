"""Merges a result into the branch the user stands on, as `git merge --no-ff` would, or changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import AnswerIsNo, Failed, GitFailed, NotTrusted, Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import printable
from orchestrator.model.ids import ObjectId
from orchestrator.repo import hooks
from orchestrator.repo.git import Git, split
from orchestrator.repo.index_lock import index_locked
from orchestrator.repo.journal import Journal, Move, identity_of, new_token
from orchestrator.repo.move import perform
from orchestrator.repo.repository import Repository
from orchestrator.repo.settle import is_ancestor

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class MergeSimulation:
    """What merging two commits gives: a tree, or (tree None) the paths in conflict. Nothing was changed."""

    tree: ObjectId | None
    conflicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """The merge commit and the branch (full name) it is on; `old` is the tip before.

    `already`: the branch had the result already, nothing was done and `commit` is its tip. `notes` are
    sentences for the user.
    """

    commit: ObjectId
    branch: str
    old: ObjectId
    already: bool = False
    notes: tuple[str, ...] = ()


def simulate(repository: Repository, ours: ObjectId, theirs: ObjectId) -> MergeSimulation:
    """Returns what a merge would give; writes objects only.

    Raises:
        Failed: `unrelated-histories`, the two have no common ancestor.
    """
    done = repository.git.run(
        "merge-tree",
        "--write-tree",
        "-z",
        "--name-only",
        "--no-messages",
        ours,
        theirs,
        ok=None,
        mutates=True,
        network=True,
    )
    if done.status not in (0, 1) or not done.stdout:
        raise _not_simulated(done.status, done.stderr.decode("utf-8", "replace"))
    tree, *paths = split(done.stdout)
    if done.status == 0:
        return MergeSimulation(ObjectId(tree.decode("ascii").strip()), ())
    return MergeSimulation(None, tuple(os.fsdecode(path) for path in paths))


def merge(
    repository: Repository,
    theirs: ObjectId,
    message: str,
    record: Journal,
    *,
    onto: ObjectId | None = None,
) -> Merged:
    """Merges `theirs` into the current branch and returns the merge commit; durable when it returns.

    Always a merge commit, with the user's identity, hooks and, if configured, signature. `record` must make
    the facts durable; the first call comes before the first effect, and `settle` takes what was recorded
    last. The caller holds the lock that keeps other moves of ours out. With `onto` the branch must still be
    at that commit.

    A detached HEAD is refused: the merge would be on no branch, and lost from sight with the next switch.

    Raises:
        Refused: `operation-in-progress`, `detached-head`, `no-commit`, `dirty-tree`, `untracked-in-the-way`,
            `identity-missing`; nothing was changed.
        NotTrusted: hooks, filters, merge drivers or signing programs of the repository itself would run.
        AnswerIsNo: `base-moved`, the branch is not at `onto` any more.
        Locked: another git command holds the index.
        Failed: `merge-conflict`, `hook-failed`, `unrelated-histories`; nothing was changed.
    """
    branch, old = require_ready(repository)
    if onto is not None and old != onto:
        raise AnswerIsNo(
            f"{_short(branch)} moved to {old[:12]} since the checks ran on it.",
            code="base-moved",
            hint="Run the checks on the new base: orchestrator resume",
        )
    if is_ancestor(repository, theirs, old):
        return Merged(old, branch, old, already=True)
    require_trust(repository, hooks.MERGE_HOOKS)
    require_clean(repository)
    identity = repository.identity()
    tree = _merged_tree(repository, old, theirs, branch)
    require_nothing_in_the_way(repository, old, tree)
    move = Move(
        kind="merge",
        branch=branch,
        old=old,
        new=None,
        tree=tree,
        theirs=theirs,
        token=new_token(),
        git_dir=identity_of(repository),
    )
    sealed = _MergeCommit(repository, move, message, identity.environment())
    subject = message.strip().split("\n", 1)[0]
    done = perform(repository, move, sealed, record, f"merge: {subject}")
    assert done.new is not None
    return Merged(done.new, branch, old, notes=_after(repository))


def require_ready(repository: Repository) -> tuple[str, ObjectId]:
    """Returns the branch (full name) and tip that a move starts from.

    Raises:
        Refused: `operation-in-progress`, `detached-head`, `no-commit`.
        Locked: an `index.lock` is there.
    """
    busy = repository.operation_in_progress()
    if busy is not None:
        raise Refused(
            f"A {busy} is in progress in this checkout.",
            code="operation-in-progress",
            hint="Finish or abort it first; look at it with: git status",
        )
    head = repository.head()
    if head.branch is None:
        raise Refused(
            "HEAD is detached: there is no current branch to work on.",
            code="detached-head",
            hint="Choose a branch with `git switch BRANCH`, or make one here: git switch -c NAME",
        )
    if head.oid is None:
        raise Refused(
            f"{_short(head.branch)} has no commit yet.",
            code="no-commit",
            hint='Make a first one: git add -A && git commit -m "first"',
        )
    lock = repository.git_dir / "index.lock"
    if os.path.lexists(lock):
        raise index_locked(lock)
    return head.branch, head.oid


def require_trust(repository: Repository, names: tuple[str, ...], *, signs: bool = True) -> None:
    """Makes sure that nothing the repository itself supplies would run unapproved.

    Raises:
        NotTrusted: hooks `names`, filters, merge drivers, or the programs that sign.
    """
    if repository.trusted:
        return
    found = hooks.of_the_repository(repository, names) + repository.local_filters()
    if signs and _signs(repository):
        found += tuple(key for key in repository.git.local_keys() if key.lower().startswith("gpg."))
    if found:
        raise NotTrusted(found)


def require_clean(repository: Repository) -> None:
    """Makes sure that no tracked file is changed, staged or not; what is inside submodules is not looked at.

    Raises:
        Refused: `dirty-tree`, naming the first paths.
    """
    items = repository.git.zsplit(
        "status", "--porcelain=v2", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=dirty"
    )
    fields = {b"1": 8, b"u": 10}
    paths = [item.split(b" ", fields[item[:1]])[-1] for item in items if item[:1] in fields]
    if paths:
        raise Refused(
            f"Tracked files are changed: {_listed([os.fsdecode(path) for path in paths])}.",
            code="dirty-tree",
            hint="Commit them or put them aside first: git stash",
        )


def require_nothing_in_the_way(repository: Repository, old: ObjectId, tree: ObjectId) -> None:
    """Makes sure that no untracked file, ignored ones included, stands where the move puts one.

    Raises:
        Refused: `untracked-in-the-way`, naming the first paths.
    """
    items = repository.git.zsplit("diff-tree", "-r", "-z", "--name-status", "--no-renames", old, tree)
    changes = dict(zip(items[1::2], items[::2], strict=True))
    tracked = set(repository.git.zsplit("ls-files", "-z"))
    root = os.fsencode(repository.checkout)
    found: dict[str, None] = {}
    for path, kind in changes.items():
        if kind == b"A":
            found.update(dict.fromkeys(_in_the_way(root, path, tracked)))
    if found:
        raise Refused(
            f"Untracked files would be overwritten: {_listed(list(found))}.",
            code="untracked-in-the-way",
            hint="Move them away or commit them, then try again.",
        )


def _in_the_way(root: bytes, path: bytes, tracked: set[bytes]) -> list[str]:
    """Returns what must not be overwritten when a file appears at `path`."""
    parts = path.split(b"/")
    for depth in range(1, len(parts) + 1):
        step = b"/".join(parts[:depth])
        try:
            mode = os.lstat(os.path.join(root, step)).st_mode
        except FileNotFoundError:
            return []
        if not stat.S_ISDIR(mode):
            # A tracked file that gives way to a directory is part of the move itself.
            return [] if step in tracked else [os.fsdecode(step)]
    found = []
    for directory, _, files in os.walk(os.path.join(root, path)):
        for name in files:
            inside = os.path.relpath(os.path.join(directory, name), root)
            if inside not in tracked:
                found.append(os.fsdecode(inside))
    return found


class _MergeCommit:
    """Makes the merge commit once the worktree holds the merged files: hooks first, as git runs them."""

    def __init__(self, repository: Repository, move: Move, message: str, identity: dict[str, str]) -> None:
        self._repository = repository
        self._move = move
        self._message = message
        self._identity = identity

    def __call__(self, git: Git, scratch: Path) -> ObjectId:
        hooks.run_hook(git, "pre-merge-commit")
        text = scratch / "MERGE_MSG"
        Disk().write(text, self._message.encode("utf-8", "surrogateescape").rstrip(b"\n") + b"\n")
        hooks.run_hook(git, "prepare-commit-msg", str(text), "merge")
        hooks.run_hook(git, "commit-msg", str(text))
        message = git.run("stripspace", input=text.read_bytes()).stdout
        if not message.strip():
            raise Failed(
                "The message of the merge is empty.",
                code="hook-failed",
                hint="Nothing was changed. Look at the hooks prepare-commit-msg and commit-msg.",
            )
        return self._commit(git, message)

    def _commit(self, git: Git, message: bytes) -> ObjectId:
        move = self._move
        tree = git.text("write-tree")
        _, environment = hooks.with_users_programs(git)
        assert move.theirs is not None
        done = git.run(
            "commit-tree",
            *(["-S"] if _signs(self._repository) else []),
            "-p",
            move.old,
            "-p",
            move.theirs,
            "-F",
            "-",
            tree,
            input=message,
            env=environment | self._identity,
            mutates=True,
            settings=(("i18n.commitEncoding", "utf-8"),),
        )
        return ObjectId(done.stdout.decode("ascii").strip())


def _signs(repository: Repository) -> bool:
    done = repository.git.run("config", "--type=bool", "--get", "commit.gpgSign", ok=(0, 1, 128))
    return done.stdout.strip() == b"true"


def _merged_tree(repository: Repository, old: ObjectId, theirs: ObjectId, branch: str) -> ObjectId:
    simulation = simulate(repository, old, theirs)
    if simulation.tree is None:
        raise Failed(
            f"The result and {_short(branch)} change the same lines in: {_listed(simulation.conflicts)}.",
            code="merge-conflict",
            hint=f"Nothing was changed. Resolve it by hand: git merge {theirs[:12]}",
        )
    return simulation.tree


def _after(repository: Repository) -> tuple[str, ...]:
    try:
        hooks.run_hook(repository.git, "post-merge", "0")
    except Failed as error:
        return (f"The merge is done, but: {error.message}",)
    return ()


def _not_simulated(status: int, stderr: str) -> Failed:
    if "unrelated histories" in stderr:
        return Failed(
            "The two branches have no common ancestor.",
            code="unrelated-histories",
            hint="Nothing was changed. If that is intended: git merge --allow-unrelated-histories",
        )
    return GitFailed(command="merge-tree", status=status, stderr=stderr)


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(printable(path) for path in paths[:_SHOWN]) + more


def _short(branch: str) -> str:
    return branch.removeprefix("refs/heads/")
