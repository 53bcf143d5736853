"""Takes back a merge or a discard, and takes the taking back back; settles what a kill interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.model.ids import ObjectId
from orchestrator.model.json import JsonObject
from orchestrator.repo.git import Git
from orchestrator.repo.journal import Discard, Journal, Move, identity_of, new_token, read_facts
from orchestrator.repo.merge import require_clean, require_nothing_in_the_way, require_ready, require_trust
from orchestrator.repo.move import perform
from orchestrator.repo.removal import apply_discard, undiscard
from orchestrator.repo.repository import Repository
from orchestrator.repo.settle import Settled, is_ancestor, settle_move

UNDONE_REFS = "refs/orchestrator/undone/"
"""Where merges that were taken back stay reachable, so that undo can be undone."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did, in words, and the command line of git that has the same effect the other way."""

    what: str
    way_back: str


def undo(repository: Repository, facts: JsonObject, record: Journal) -> Undone:
    """Takes back the operation that `facts` were recorded for; the facts of an undo give the redo.

    `record` receives the facts of this operation before its first effect, as in `merge`. The caller holds the
    lock that keeps other moves of ours out.

    Raises:
        Refused: `not-here`, another branch is checked out; `built-upon`, the branch went on since; `pushed`,
            a remote-tracking branch holds it already (both hint at a revert); `dirty-tree`,
            `untracked-in-the-way`, `operation-in-progress`, `detached-head`; `branch-taken` for a discard.
        NotTrusted: hooks or filters of the repository itself would run.
        Locked: another git command holds the index.
    """
    operation = read_facts(facts)
    if isinstance(operation, Discard):
        done = undiscard(repository, operation, record)
        names = ", ".join(name.removeprefix("refs/heads/") for name in done.refs)
        return Undone(f"{'restored' if done.restores else 'removed'} {names}", "orchestrator undo")
    return _undo_move(repository, operation, record)


def settle(repository: Repository, facts: JsonObject, record: Journal) -> Settled:
    """Finishes or takes back an operation that was killed; `facts` are the last that were recorded.

    Safe at any time and to repeat. The caller holds the lock that keeps other moves of ours out, and
    `repository` is opened at the checkout the operation acted in.

    Raises:
        Failed: `journal-unreadable`.
        Locked: another git command holds the index just now; nothing was changed, try again.
        NotTrusted: files must be taken back that filters of the repository itself wrote; nothing was changed.
    """
    operation = read_facts(facts)
    if isinstance(operation, Discard):
        left = apply_discard(repository, operation)
        notes = tuple(f"{name} was moved meanwhile and stays." for name in left)
        return Settled("finished", notes=notes)
    return settle_move(repository, operation, record)


def _undo_move(repository: Repository, done: Move, record: Journal) -> Undone:
    branch, tip = require_ready(repository)
    assert done.new is not None
    _require_ours(repository, done, done.new, branch, tip)
    require_trust(repository, ("reference-transaction",), signs=False)
    require_clean(repository)
    require_nothing_in_the_way(repository, done.new, done.old)
    _pin(repository, done.new)
    target = done.old
    move = Move(
        kind="undo",
        branch=branch,
        old=done.new,
        new=target,
        tree=repository.tree_of(target),
        theirs=None,
        token=new_token(),
        git_dir=identity_of(repository),
    )

    def seal(git: Git, scratch: Path) -> ObjectId:
        return target

    perform(repository, move, seal, record, f"orchestrator undo: moving to {target[:12]}")
    short = branch.removeprefix("refs/heads/")
    return Undone(f"moved {short} from {done.new[:12]} back to {target[:12]}", "orchestrator undo")


def _require_ours(repository: Repository, done: Move, ours: ObjectId, branch: str, tip: ObjectId) -> None:
    short = done.branch.removeprefix("refs/heads/")
    if branch != done.branch:
        raise Refused(
            f"The merge is on {short}, which is not checked out here.",
            code="not-here",
            hint=f"Go there first: git switch {short}",
        )
    revert = f"Take it back with a commit instead: git revert -m 1 {ours}"
    if tip != ours:
        raise Refused(
            f"{short} went on since: it is at {tip[:12]}, not at {ours[:12]}.",
            code="built-upon",
            hint=revert if is_ancestor(repository, ours, tip) else "It is not in this branch any more.",
        )
    if is_ancestor(repository, ours, done.old):
        return  # going forward again takes no commit away
    remotes = repository.git.lines("for-each-ref", "--format=%(refname)", "--contains", ours, "refs/remotes/")
    if remotes:
        raise Refused(
            f"{remotes[0].removeprefix('refs/remotes/')} has it already.", code="pushed", hint=revert
        )


def _pin(repository: Repository, commit: ObjectId) -> None:
    name = UNDONE_REFS + commit
    if repository.read_ref(name) is None:
        repository.update_ref(name, commit, None)
