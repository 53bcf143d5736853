"""Where the state of this repository is saved: which remote, and whether the user agreed to its address."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.schema import Session
from orchestrator.engine.context import EngineContext
from orchestrator.engine.persistence import PersistReason
from orchestrator.errors import Refused
from orchestrator.model.ids import RunId
from orchestrator.repo.remote import Remote, fetch_url, push_url
from orchestrator.repo.repository import Repository
from orchestrator.sessions.carrying import carried_by
from orchestrator.sessions.clone import session_of_run
from orchestrator.sessions.consent import ConsentStore, shown_url, user_consent_directory
from orchestrator.sessions.persisting import Persister
from orchestrator.sessions.saving import Saver
from orchestrator.sessions.shelving import Shelf
from orchestrator.sessions.writing import Wish

DEFAULT_REMOTE = "origin"


@dataclass(frozen=True, slots=True)
class Place:
    """A remote that takes state: its name (empty for a plain address) and its address."""

    name: str
    url: str

    @property
    def shown(self) -> str:
        """Returns it as people are told of it, without a password."""
        address = shown_url(self.url)
        return f"{self.name} ({address})" if self.name else address


def place_to_push(repository: Repository, session: Session) -> Place:
    """Returns where state would be pushed.

    Raises:
        Refused: `remote-unknown`.
    """
    named = session.remote or DEFAULT_REMOTE
    if _is_address(repository, named):
        return Place("", _exact(repository, named))
    return Place(named, _exact(repository, push_url(repository, named)))


def place_to_fetch(repository: Repository, session: Session, store: ConsentStore) -> Place:
    """Returns where saved state is looked for; an address that is no remote only when the user agreed to it.

    Raises:
        Refused: `remote-unknown`, `remote-not-agreed`.
    """
    named = session.remote or DEFAULT_REMOTE
    if not _is_address(repository, named):
        return Place(named, fetch_url(repository, named))
    address = _exact(repository, named)
    if not store.is_given(address):
        raise Refused(
            f"{shown_url(named)} is no remote of this repository, and you have not agreed to it.",
            code="remote-not-agreed",
            hint="Agree to it with: orchestrator init --push-state",
        )
    return Place("", address)


def _exact(repository: Repository, url: str) -> str:
    """Returns an address that means the same from everywhere: a path without its `..`, from the root on."""
    head, slash, _ = url.partition("/")
    if "://" in url or ":" in head or (not slash and ":" in url):
        return url
    return os.path.realpath(os.path.join(repository.checkout, os.path.expanduser(url)))


def _is_address(repository: Repository, named: str) -> bool:
    if named.startswith("-"):
        return False
    return named not in repository.git.lines("remote") and any(sign in named for sign in "/:\\")


def user_consents() -> ConsentStore:
    """Returns the user's consents."""
    return ConsentStore(user_consent_directory())


def persister_for(
    context: EngineContext, run_id: RunId, session: Session, tell: Callable[[str], None]
) -> Persister | None:
    """Returns what saves a run elsewhere while it is worked on; None when nobody agreed to that.

    Where the configuration wants it and it does not happen, `tell` hears why.
    """
    store = user_consents()
    if not (store.holds_any or session.push or session.directory):
        return None
    try:
        place = place_to_push(context.repository, session)
        agreed = store.is_given(place.url)
        why = f"you have not agreed to a push to {place.shown}. Agree: orchestrator init --push-state"
    except Refused as refusal:
        place, agreed, why = Place("", ""), False, refusal.message
    wish = Wish(session_of_run(context.repository, context.paths, run_id), session.max_push_bytes, place.name)
    shelf = _shelf(context, run_id, session, wish, tell)
    if agreed:
        remote = Remote(context.repository, place.url, name=place.name)
        started_on = context.state.get_run(run_id).metadata.origin.branch
        carried = carried_by(remote, session, started_on)
        saver = Saver(context, run_id, remote, wish, session.transports, tell, shelf, carried)
        return Persister(context, run_id, saver.save, tell, every_s=session.persist_every_s)
    if shelf is not None:
        return Persister(context, run_id, shelf, tell, every_s=session.persist_every_s)
    if session.push:
        tell(f"RUN {run_id} STAYS ON THIS MACHINE: {why}")
    return None


def _shelf(
    context: EngineContext, run_id: RunId, session: Session, wish: Wish, tell: Callable[[str], None]
) -> Callable[[PersistReason], bool] | None:
    if session.directory is None:
        return None
    directory = Path(session.directory).expanduser()
    if not directory.is_absolute():
        tell(f"session.directory is not used: {session.directory} is no absolute path.")
        return None
    return Shelf(context, run_id, wish, directory, tell).save
