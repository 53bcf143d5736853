"""Finds out how a remote takes our state, by a real push of next to nothing."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from orchestrator.errors import Failed, Refused
from orchestrator.model.ids import ObjectId
from orchestrator.paths import OrchestratorPaths
from orchestrator.repo.carrier import author_environment
from orchestrator.repo.remote import Outcome, Remote
from orchestrator.sessions import clone
from orchestrator.sessions.carrying import WORKING_BRANCH
from orchestrator.sessions.clone import TransportName
from orchestrator.sessions.lease import LOOK_S, remote_name


def probe_transport(
    remote: Remote,
    paths: OrchestratorPaths,
    transports: Sequence[TransportName],
    *,
    carried: Remote | None = None,
) -> TransportName:
    """Returns the first way in which the remote takes our state, and records it.

    A commit without files is pushed under a name of its own and taken away again; a remote that lets nothing
    be removed keeps it. `carried` is the working branch, where one may carry state; it must also let the
    commit be taken out again.

    Raises:
        Failed: `remote-unreachable`.
        Refused: `push-refused`, it takes nothing, or does not let it go.
    """
    commit = _empty_commit(remote)
    refusals = []
    for transport in transports:
        there = carried if transport == WORKING_BRANCH else remote
        if there is None:
            refusals.append(f"{transport}: HEAD is on no branch")
            continue
        name = remote_name(clone.this_clone(paths).id, f"probe-{secrets.token_hex(4)}", transport)
        done = there.push(commit, name, None, timeout_s=LOOK_S)
        if done.outcome is Outcome.DONE:
            taken = there.push(None, name, commit, timeout_s=LOOK_S)
            if transport == WORKING_BRANCH and taken.outcome is not Outcome.DONE:
                raise _not_taken_out(there, taken.said)
            clone.record_transport(paths, remote.url, transport)
            return transport
        if done.outcome is Outcome.UNREACHABLE:
            raise Failed(
                f"The remote {remote.name} cannot be reached: {done.said}.",
                code="remote-unreachable",
                hint="Your agreement stands, and a run tries again. By hand: git ls-remote " + remote.name,
            )
        refusals.append(f"{transport}: {done.said}")
    clone.record_transport(paths, remote.url, None)
    raise Refused(
        f"The remote {remote.name} takes no state ({'; '.join(refusals)}).",
        code="push-refused",
        hint="Runs stay on this machine; take one along with: orchestrator bundle export RUN FILE",
    )


def _not_taken_out(remote: Remote, said: str) -> Refused:
    return Refused(
        f"The remote {remote.name} took a commit of ours on your branch and does not let it be taken out"
        f" again ({said}). It changes no file and stays.",
        code="push-refused",
        hint="Take `working-branch` out of session.transports; runs stay on this machine",
    )


def _empty_commit(remote: Remote) -> ObjectId:
    git, who = remote.repository.git, author_environment()
    tree = git.run("hash-object", "-t", "tree", "-w", "--stdin", mutates=True).stdout.decode().strip()
    done = git.run("commit-tree", tree, "-m", "does this remote take our state?", env=who, mutates=True)
    return ObjectId(done.stdout.decode().strip())
