"""Turns the tree of a finished phase into a commit of the user's, and publishes the last one as a branch."""

from __future__ import annotations

from orchestrator.errors import Refused
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.paths import names
from orchestrator.repo.repository import Identity, Repository

_UTF8 = (("i18n.commitEncoding", "utf-8"), ("commit.gpgSign", "false"))


def result_ref(run_id: RunId) -> str:
    """Returns the ref that keeps a run's phase commits before they are published."""
    return names.RESULT_REFS + run_id


def branch_ref(run_id: RunId) -> str:
    """Returns the full name of a run's result branch."""
    return names.BRANCHES + run_id


def commit_phase(
    repository: Repository,
    run_id: RunId,
    *,
    tree: ObjectId,
    parent: ObjectId,
    message: str,
    identity: Identity,
) -> ObjectId:
    """Commits `tree` on `parent` as the user and keeps it reachable; returns the commit.

    Without signing and hooks: nobody sits at the keyboard, and no branch of the user's moves. Asked twice
    for the same commit (a kill came between it and its record) it returns the first. A kill leaves the old
    result.

    Raises:
        Failed: `ref-moved`, the kept result is neither `parent` nor this commit: somebody else moved it.
    """
    ref = result_ref(run_id)
    kept = repository.read_ref(ref)
    if kept is not None and _is_commit_of(repository, kept, tree, parent, message):
        return kept
    done = repository.git.run(
        "commit-tree",
        tree,
        "-p",
        parent,
        "-F",
        "-",
        input=_ended(message),
        env=identity.environment(),
        mutates=True,
        settings=_UTF8,
    )
    commit = ObjectId(done.stdout.decode("ascii").strip())
    repository.update_ref(ref, commit, parent if kept is not None else None)
    return commit


def publish_branch(
    repository: Repository, run_id: RunId, commit: ObjectId, expected_old: ObjectId | None
) -> str:
    """Lets the result branch be `commit` by compare-and-swap and returns its full name; repeating it is fine.

    Raises:
        Refused: `branch-taken`, a branch of that name is not the one we made (`expected_old`, None: none);
            `branch-checked-out`, a worktree of the user has it as its HEAD, which would move.
        Failed: `ref-moved`, it moved in this very moment.
    """
    branch = branch_ref(run_id)
    found = repository.read_ref(branch)
    if found == commit:
        return branch
    if found != expected_old:
        raise _taken(branch, found)
    require_available(repository, run_id, ours=expected_old)
    place = checked_out_at(repository, branch)
    if place is not None:
        raise Refused(
            f"{_short(branch)} is checked out in {place}, so it is not moved.",
            code="branch-checked-out",
            hint=f"Switch to another branch there: git -C {place} switch -",
        )
    repository.update_ref(branch, commit, expected_old)
    return branch


def require_available(repository: Repository, run_id: RunId, *, ours: ObjectId | None = None) -> None:
    """Makes sure that the result branch of a run can be made, or is still at `ours`.

    Raises:
        Refused: `branch-taken`, it exists, or a branch `orchestrator` stands in the way of `orchestrator/…`.
    """
    branch = branch_ref(run_id)
    parent = branch.rsplit("/", 1)[0]
    for name in (branch, parent):
        found = repository.read_ref(name)
        if found is not None and (name == parent or found != ours):
            raise _taken(name, found)


def checked_out_at(repository: Repository, branch: str) -> str | None:
    """Returns the path of a worktree whose HEAD is `branch` (a full name), or None."""
    place = None
    for item in repository.git.zsplit("worktree", "list", "--porcelain", "-z"):
        key, _, value = item.decode("utf-8", "surrogateescape").partition(" ")
        if key == "worktree":
            place = value
        elif key == "branch" and value == branch:
            return place
    return None


def _is_commit_of(
    repository: Repository, commit: ObjectId, tree: ObjectId, parent: ObjectId, message: str
) -> bool:
    done = repository.git.run("cat-file", "commit", commit)
    head, _, body = done.stdout.partition(b"\n\n")
    lines = head.split(b"\n")
    parents = [line for line in lines if line.startswith(b"parent ")]
    return (
        lines[0] == f"tree {tree}".encode()
        and parents == [f"parent {parent}".encode()]
        and _without_session(body) == _without_session(_ended(message))
    )


def _without_session(body: bytes) -> bytes:
    """Returns a message without the trailer that a copied repository words anew: its session is another."""
    return b"\n".join(line for line in body.split(b"\n") if not line.startswith(b"Orchestrator-Session: "))


def _ended(message: str) -> bytes:
    return message.encode("utf-8", "surrogateescape").rstrip(b"\n") + b"\n"


def _short(branch: str) -> str:
    return branch.removeprefix("refs/heads/")


def _taken(branch: str, found: ObjectId | None) -> Refused:
    where = f"is at {found[:12]}, which this run did not make" if found else "was removed meanwhile"
    return Refused(
        f"The branch {_short(branch)} {where}.",
        code="branch-taken",
        hint=f"Keep it under another name: git branch -m {_short(branch)} NAME"
        if found
        else "Bring it back with: orchestrator undo",
    )
