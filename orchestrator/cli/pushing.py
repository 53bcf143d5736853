"""`init --push-state`: the user's word that state is pushed to one exact address, and a first small push."""

from __future__ import annotations

from pathlib import Path

from orchestrator.cli.invocation import Invocation
from orchestrator.errors import OrchestratorError, Refused
from orchestrator.model.json import Json

_TAKES = {
    "ref": "refs of our own",
    "branch": "branches orchestrator/state/…",
    "working-branch": "a commit on {}, which changes no file and is taken out when a result is merged",
}


def agree(call: Invocation, *, wanted: bool) -> dict[str, Json]:
    """Records or takes back the consent for the remote's address, and tries whether it takes state.

    Raises:
        Refused: `remote-unknown`, or `consent-store-unsafe`.
        Failed: `remote-unreachable`, or `push-refused`: the consent stands, so that a run tries again.
    """
    from orchestrator.cli.config import load_configuration
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.repo.remote import Remote
    from orchestrator.repo.repository import Repository
    from orchestrator.sessions.carrying import carried_by
    from orchestrator.sessions.place import place_to_push, user_consents
    from orchestrator.sessions.probing import probe_transport
    from orchestrator.sessions.withdrawing import take_out_known

    located = call.locate()
    repository = Repository(located, trusted=False)
    session = load_configuration(call).config.session
    place, store = place_to_push(repository, session), user_consents()
    remote = Remote(repository, place.url, name=place.name)
    carried = carried_by(remote, session)
    if not wanted:
        if carried is not None and store.is_given(place.url):
            take_out_known(carried, call.screen.warn)
        store.withdraw(place.url)
        call.screen.out(f"State is no longer pushed to {place.shown}.")
        return {"remote": place.shown, "agreed": False, "transport": None}
    store.give(place.url)
    agreed = f"You agreed that state of runs is pushed to {place.shown}."
    paths = OrchestratorPaths(Path(located.home))
    try:
        found = probe_transport(remote, paths, session.transports, carried=carried)
    except Refused as refusal:
        call.screen.out(agreed)
        call.screen.warn(f"{refusal.message} {refusal.hint}")
        return {"remote": place.shown, "agreed": True, "transport": None}
    except OrchestratorError:
        call.screen.out(agreed)
        raise
    call.screen.out(f"State of runs is pushed to {place.shown} from now on.")
    call.screen.note(f"It takes {_TAKES[found].format(carried.short if carried else '')}.")
    return {"remote": place.shown, "agreed": True, "transport": found}


def agree_again(call: Invocation) -> None:
    """Asks whether what is brought back shall go on being pushed, where this home knows no word on that.

    Where nobody can be asked it is told that nothing is pushed.
    """
    from orchestrator.cli.config import load_quietly
    from orchestrator.repo.repository import Repository
    from orchestrator.sessions.place import place_to_push, user_consents

    session = load_quietly(call).config.session
    place, store = place_to_push(Repository(call.locate(), trusted=False), session), user_consents()
    if store.is_given(place.url):
        return
    if call.may_ask and call.confirm(f"Push what is done here to {place.shown}, as before?", otherwise=""):
        store.give(place.url)
        return
    call.screen.warn(
        "What is done here from now on STAYS ON THIS MACHINE: this home knows no word of yours that state is"
        f" pushed to {place.shown}. Give it again: orchestrator init --push-state"
    )
