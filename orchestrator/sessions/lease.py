"""Who may work on a run: whoever's save the remote has taken last; the epoch in it counts the takeovers.

No clock decides. Two machines that take a run up at once push at the same ref by compare-and-swap, and one of
them fails. Who worked on without knowing finds out at the next push, and what it did is kept as a fork.
"""

from __future__ import annotations

from orchestrator.errors import OrchestratorError
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.paths import names
from orchestrator.repo.remote import Remote
from orchestrator.repo.repository import Repository
from orchestrator.repo.settle import is_ancestor
from orchestrator.sessions.clone import TransportName
from orchestrator.sessions.segments import Manifest, Save, chain_ref, read_save

LOOK_S = 20.0
"""How long the remote may take to say what it has."""


def remote_name(session: str, run_id: str, transport: TransportName) -> str:
    """Returns the ref of a run's saves at the remote, or the name by which a working branch carries them."""
    if transport == "branch":
        return f"{names.STATE_BRANCHES}{session}/{run_id}"
    return chain_ref(session, run_id)


def parse_remote_name(name: str) -> tuple[str, str, TransportName] | None:
    """Returns session, run and transport of a ref at the remote; None for any other."""
    kinds: tuple[tuple[str, TransportName], ...] = (
        (names.SESSION_REFS, "ref"),
        (names.STATE_BRANCHES, "branch"),
    )
    for prefix, transport in kinds:
        if name.startswith(prefix):
            session, _, run_id = name.removeprefix(prefix).partition("/")
            return session, run_id, transport
    return None


def is_known(repository: Repository, tip: ObjectId, local: ObjectId | None) -> bool:
    """Returns whether what the remote has is part of our own chain, so that nobody else went on from it."""
    return local is not None and (tip == local or is_ancestor(repository, tip, local))


def describe(manifest: Manifest) -> str:
    """Returns who saved something, in words."""
    return (
        f"{manifest.host or 'a machine'} ({manifest.holder}, epoch {manifest.epoch},"
        f" saved {manifest.at:%Y-%m-%d %H:%M:%S} UTC)"
    )


def who_has(remote: Remote, name: str, session: str, run_id: RunId) -> str:
    """Returns in words who saved a run last at the remote."""
    into = f"{names.INCOMING_REFS}{session}/{run_id}"
    try:
        remote.fetch(name, into, timeout_s=LOOK_S)
        tip = remote.repository.read_ref(into)
        if tip is not None:
            save = read_save(remote.repository.git, tip, session=session, run_id=run_id)
            return describe(save.manifest)
    except OrchestratorError:
        pass
    return "another machine"


def keep_fork(remote: Remote, save: Save, transport: TransportName) -> str:
    """Keeps a chain that lost under a name of its own, here and at the remote; returns the name.

    Raises:
        Failed: it could not be kept here.
    """
    said = save.manifest
    tail = f"{said.session}/{said.run_id}/{said.epoch}-{said.holder}"
    repository = remote.repository
    found = repository.read_ref(f"{names.FORK_REFS}{tail}")
    if found is not None and not is_ancestor(repository, found, save.commit):
        tail, found = f"{tail}-{save.commit[:16]}", None
    fork = f"{names.FORK_REFS}{tail}"
    if found != save.commit:
        repository.update_ref(fork, save.commit, found)
    there = f"{names.STATE_BRANCHES}forks/{tail}" if transport == "branch" else fork
    remote.push(save.commit, there, None, timeout_s=LOOK_S)
    return fork
