"""Takes what carries runs off a working branch: when a run is over, or the user takes the word back."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.config.schema import Session
from orchestrator.errors import OrchestratorError, Refused
from orchestrator.model.run import Run
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.repo.carried import CarriedRemote
from orchestrator.repo.remote import Remote
from orchestrator.repo.repository import Repository
from orchestrator.sessions import clone
from orchestrator.sessions.carrying import WORKING_BRANCH, carried_by, is_over, take_out, tell_taken_out
from orchestrator.sessions.lease import LOOK_S
from orchestrator.sessions.place import place_to_push, user_consents
from orchestrator.sessions.segments import chain_ref

Tell = Callable[[str], None]


def needs_no_carrying(repository: Repository, paths: OrchestratorPaths, session: Session, run: Run) -> bool:
    """Returns whether a run is over, and a working branch is what carries runs at this remote.

    Raises:
        Refused: `remote-unknown`.
    """
    if WORKING_BRANCH not in session.transports:
        return False
    url = place_to_push(repository, session).url
    return clone.transport_for(paths, url) == WORKING_BRANCH and is_over(repository, run)


def take_out_if_over(
    repository: Repository, paths: OrchestratorPaths, session: Session, run: Run, tell: Tell
) -> None:
    """Lets the working branch no longer carry a run that is over; says what stays.

    What stands in the way is told; `resume RUN` tries again.
    """
    if WORKING_BRANCH not in session.transports or not is_over(repository, run):
        return
    try:
        place = place_to_push(repository, session)
        remote = Remote(repository, place.url, name=place.name)
        carried = carried_by(remote, session, run.metadata.origin.branch)
        owner = clone.session_of_run(repository, paths, run.id)
        if carried is not None and _still_carries(carried, owner, run):
            clone.record_transport(paths, place.url, WORKING_BRANCH)
            _require_consent(place.url, place.shown, carried)
            _take_out(carried, owner, run.id, tell)
    except OrchestratorError as error:
        hint = f" {error.hint}." if error.hint else ""
        tell(f"{error.message}{hint} Then: orchestrator resume {run.id}")


def _still_carries(carried: CarriedRemote, session: str, run: Run) -> bool:
    name = chain_ref(session, run.id)
    return name in carried.tips(name, timeout_s=LOOK_S)


def _require_consent(url: str, shown: str, carried: CarriedRemote) -> None:
    if not user_consents().is_given(url):
        raise Refused(
            f"{carried.short} at {shown} still carries the run, and you have not agreed to a push there.",
            code="remote-not-agreed",
            hint="Agree: orchestrator init --push-state",
        )


def take_out_known(carried: CarriedRemote, tell: Tell) -> None:
    """Lets a branch no longer carry any run that is here as a whole; says what stays.

    Raises:
        Failed: `remote-unreachable`, or `not-taken-out`.
    """
    for name, tip in carried.tips(names.SESSION_REFS, timeout_s=LOOK_S).items():
        if carried.repository.read_ref(name) == tip:
            session, _, run_id = name.removeprefix(names.SESSION_REFS).partition("/")
            _take_out(carried, session, run_id, tell)


def _take_out(carried: CarriedRemote, session: str, run_id: str, tell: Tell) -> None:
    done = take_out(carried, session, run_id)
    if done is not None:
        tell_taken_out(done, f"run {run_id}", carried.name, tell)
