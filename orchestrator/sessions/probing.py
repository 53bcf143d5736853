"""Finds out how a remote takes our state, by a real push of next to nothing."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from orchestrator.errors import Failed, Refused
from orchestrator.model.ids import ObjectId
from orchestrator.paths import OrchestratorPaths
from orchestrator.repo.borrowing import AUTHOR
from orchestrator.repo.remote import Outcome, Remote
from orchestrator.sessions import clone
from orchestrator.sessions.clone import TransportName
from orchestrator.sessions.lease import LOOK_S, remote_name


def probe_transport(
    remote: Remote, paths: OrchestratorPaths, transports: Sequence[TransportName]
) -> TransportName:
    """Returns the first way in which the remote takes our state, and records it.

    A commit without files is pushed under a name of its own and taken away again; a remote that lets nothing
    be removed keeps it.

    Raises:
        Failed: `remote-unreachable`.
        Refused: `push-refused`, it takes nothing.
    """
    commit = _empty_commit(remote)
    refusals = []
    for transport in transports:
        name = remote_name(clone.this_clone(paths).id, f"probe-{secrets.token_hex(4)}", transport)
        done = remote.push(commit, name, None, timeout_s=LOOK_S)
        if done.outcome is Outcome.DONE:
            remote.push(None, name, commit, timeout_s=LOOK_S)
            clone.record_transport(paths, remote.url, transport)
            return transport
        if done.outcome is Outcome.UNREACHABLE:
            raise Failed(
                f"The remote {remote.name} cannot be reached: {done.said}", code="remote-unreachable"
            )
        refusals.append(f"{transport}: {done.said}")
    clone.record_transport(paths, remote.url, None)
    raise Refused(
        f"The remote {remote.name} takes no state ({'; '.join(refusals)}).",
        code="push-refused",
        hint="Runs stay on this machine; take one along with: orchestrator bundle export RUN FILE",
    )


def _empty_commit(remote: Remote) -> ObjectId:
    git = remote.repository.git
    name, _, rest = AUTHOR.partition(" <")
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", name), ("EMAIL", rest.rstrip(">")), ("DATE", "@0 +0000"))
    }
    tree = git.run("hash-object", "-t", "tree", "-w", "--stdin", mutates=True).stdout.decode().strip()
    done = git.run("commit-tree", tree, "-m", "does this remote take our state?", env=who, mutates=True)
    return ObjectId(done.stdout.decode().strip())
