"""Where the state of this repository is saved: which remote, and whether the user agreed to its address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.config.schema import Session
from orchestrator.engine.context import EngineContext
from orchestrator.errors import Refused
from orchestrator.model.ids import RunId
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.repo.remote import Remote, fetch_url, push_url
from orchestrator.repo.repository import Repository
from orchestrator.sessions.clone import session_of
from orchestrator.sessions.consent import ConsentStore, shown_url, user_consent_directory
from orchestrator.sessions.persisting import Persister
from orchestrator.sessions.saving import Saver
from orchestrator.sessions.writing import Wish

DEFAULT_REMOTE = "origin"
NOBODY = "RUNS STAY ON THIS MACHINE: "


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
        return Place("", named)
    return Place(named, push_url(repository, named))


def place_to_fetch(repository: Repository, session: Session, store: ConsentStore) -> Place:
    """Returns where saved state is looked for; an address that is no remote only when the user agreed to it.

    Raises:
        Refused: `remote-unknown`, `remote-not-agreed`.
    """
    named = session.remote or DEFAULT_REMOTE
    if not _is_address(repository, named):
        return Place(named, fetch_url(repository, named))
    if not store.is_given(named):
        raise Refused(
            f"{shown_url(named)} is no remote of this repository, and you have not agreed to it.",
            code="remote-not-agreed",
            hint="Agree to it with: orchestrator init --push-state",
        )
    return Place("", named)


def _is_address(repository: Repository, named: str) -> bool:
    if named.startswith("-"):
        return False
    return named not in repository.git.lines("remote") and any(sign in named for sign in "/:\\")


def user_consents() -> ConsentStore:
    """Returns the user's consents."""
    return ConsentStore(user_consent_directory())


def session_of_run(repository: Repository, paths: OrchestratorPaths, run_id: RunId) -> str:
    """Returns the session of a run: the one it was saved or restored in, else the present one."""
    known = repository.git.lines(
        "for-each-ref", "--format=%(refname)", "--count=1", f"{names.SESSION_REFS}*/{run_id}"
    )
    return known[0].removeprefix(names.SESSION_REFS).partition("/")[0] if known else session_of(paths)


def persister_for(
    context: EngineContext, run_id: RunId, session: Session, tell: Callable[[str], None]
) -> Persister | None:
    """Returns what saves a run elsewhere while it is worked on; None when nobody agreed to that.

    Where the configuration wants it and it does not happen, `tell` hears why.
    """
    store = user_consents()
    if not store.holds_any and not session.push:
        return None
    try:
        place = place_to_push(context.repository, session)
    except Refused as refusal:
        _tell_if_wanted(session, tell, f"{NOBODY}{refusal.message}")
        return None
    if not store.is_given(place.url):
        _tell_if_wanted(
            session,
            tell,
            f"{NOBODY}you have not agreed that state is pushed to {place.shown}."
            " Agree with: orchestrator init --push-state",
        )
        return None
    wish = Wish(session_of_run(context.repository, context.paths, run_id), session.max_push_bytes, place.name)
    remote = Remote(context.repository, place.url, name=place.name)
    saver = Saver(context, run_id, remote, wish, session.transports, tell)
    return Persister(saver, every_s=session.persist_every_s)


def _tell_if_wanted(session: Session, tell: Callable[[str], None], sentence: str) -> None:
    if session.push:
        tell(sentence)
