"""Tells which runs are safe elsewhere as they stand, for those who want to remove them here."""

from __future__ import annotations

from orchestrator.config.schema import Session
from orchestrator.errors import Refused
from orchestrator.model.ids import RunId
from orchestrator.paths import names
from orchestrator.repo.remote import Remote
from orchestrator.repo.repository import Repository
from orchestrator.sessions.carrying import carried_anywhere
from orchestrator.sessions.lease import LOOK_S, parse_remote_name
from orchestrator.sessions.place import place_to_push, user_consents
from orchestrator.sessions.segments import chain_ref, read_save, read_tips


def is_push_on(repository: Repository, session: Session) -> bool:
    """Returns whether the user agreed that state is pushed to the remote of this repository."""
    store = user_consents()
    if not store.holds_any:
        return False
    try:
        return store.is_given(place_to_push(repository, session).url)
    except Refused:
        return False


def pushed_runs(repository: Repository, session: Session) -> frozenset[RunId]:
    """Returns the runs of which the remote holds all that our refs hold; asks the remote once.

    Raises:
        Failed: `remote-unreachable`.
        Refused: `remote-unknown`.
    """
    place = place_to_push(repository, session)
    remote = Remote(repository, place.url, name=place.name, timeout_s=LOOK_S)
    safe = set()
    there = [remote, *carried_anywhere(remote, session)]
    found = [each.tips(names.SESSION_REFS, names.STATE_BRANCHES) for each in there]
    for name, tip in (pair for tips in found for pair in tips.items()):
        parsed = parse_remote_name(name)
        if parsed is None or repository.read_ref(chain_ref(parsed[0], parsed[1])) != tip:
            continue
        run_id = RunId(parsed[1])
        said = read_save(repository.git, tip, session=parsed[0], run_id=run_id).manifest
        here = read_tips(repository, run_id)
        if (said.checkpoint, said.result) == (here.checkpoint, here.result):
            safe.add(run_id)
    return frozenset(safe)
