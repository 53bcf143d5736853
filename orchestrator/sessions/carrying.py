"""Which branch of the user's carries the state of runs where nothing else is taken, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.config.schema import Session
from orchestrator.errors import Failed
from orchestrator.model.ids import ObjectId
from orchestrator.model.run import Run, RunStatus
from orchestrator.paths import names
from orchestrator.repo.carried import CarriedRemote
from orchestrator.repo.carrier import carrying
from orchestrator.repo.remote import Outcome, Remote
from orchestrator.repo.repository import Repository
from orchestrator.sessions import clone
from orchestrator.sessions.lease import LOOK_S
from orchestrator.sessions.segments import chain_ref

WORKING_BRANCH: clone.TransportName = "working-branch"
_HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True)
class TakenOut:
    """What became of a commit of ours: `left` names the one on which others built, so that it stays."""

    branch: str
    left: ObjectId | None


def is_over(repository: Repository, run: Run) -> bool:
    """Returns whether nothing of a run is left to go on with or to merge, so that nothing need be carried."""
    progress = run.metadata.progress
    if run.status is RunStatus.COMPLETED:
        is_done = progress.merged or progress.result is None
        return is_done or repository.read_ref(names.DISCARDED_REFS + run.id) is not None
    return run.status is RunStatus.CANCELLED


def branch_for(repository: Repository, remote: str, local: str | None) -> str | None:
    """Returns the full name at the remote of the branch that a local one (the present one) is pushed to.

    None where HEAD is on no branch.
    """
    local = local or repository.head().branch
    if local is None:
        return None
    short = local.removeprefix(_HEADS)
    if remote and repository.git.text("config", "--get", f"branch.{short}.remote", ok=(0, 1)) == remote:
        upstream = repository.git.text("config", "--get", f"branch.{short}.merge", ok=(0, 1))
        if upstream.startswith(_HEADS):
            return upstream
    return local


def carried_by(remote: Remote, session: Session, local: str | None = None) -> CarriedRemote | None:
    """Returns the working branch as a remote of its own; None where the configuration does not allow it."""
    if WORKING_BRANCH not in session.transports:
        return None
    branch = branch_for(remote.repository, remote.name, local)
    return _carried(remote, branch) if branch is not None else None


def carried_anywhere(remote: Remote, session: Session) -> list[CarriedRemote]:
    """Returns the branches at the remote that may carry something: the present one, and all known to.

    Raises:
        Failed: `remote-unreachable`.
    """
    present = carried_by(remote, session)
    if WORKING_BRANCH not in session.transports:
        return []
    heads = remote.tips(_HEADS, timeout_s=LOOK_S)
    known = carrying(remote.repository.git, heads.values()) if heads else frozenset()
    found = [_carried(remote, name) for name, tip in heads.items() if tip in known]
    if present is not None and present.branch in heads:
        found.append(present)
    return list({each.branch: each for each in found}.values())


def _carried(remote: Remote, branch: str) -> CarriedRemote:
    return CarriedRemote(remote.repository, remote.url, branch, name=remote.name, timeout_s=remote.timeout_s)


def take_out(carried: CarriedRemote, session: str, run_id: str) -> TakenOut | None:
    """Lets the branch no longer carry a run; None where it did not.

    Raises:
        Failed: `remote-unreachable`, or `not-taken-out`: the branch is as it was.
    """
    name = chain_ref(session, run_id)
    there = carried.tips(name, timeout_s=LOOK_S).get(name)
    if there is None:
        return None
    done = carried.push(None, name, there, timeout_s=LOOK_S)
    if done.outcome is Outcome.UNREACHABLE:
        raise Failed(done.said or "the remote did not answer", code="remote-unreachable")
    if done.outcome is not Outcome.DONE:
        raise Failed(
            f"{carried.short} at {carried.name or 'the remote'} still carries run {run_id}: {done.said}.",
            code="not-taken-out",
            hint="Look at it with: git log " + carried.branch,
        )
    return TakenOut(carried.short, carried.left_behind(name, timeout_s=LOOK_S))


def tell_taken_out(done: TakenOut, run: str, remote: str, tell: Callable[[str], None]) -> None:
    """Says what stays of a commit of ours, and what can be done about it; nothing where nothing stays."""
    if done.left is not None:
        tell(
            f"{done.left[:12]}, which carried {run}, stays in the history of {done.branch} at"
            f" {remote or 'the remote'}: somebody built on it. It changes no file. To take it out, everybody"
            f" who has it must agree to: git rebase --onto {done.left[:12]}^ {done.left[:12]} {done.branch}"
        )
