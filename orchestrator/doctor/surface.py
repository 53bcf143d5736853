"""What can be seen of a repository at once. Standard library only, for the front door.

Where more has to be known, `Surface` raises `LookCloser` and `Context`, which extends it, looks: a check that
is made with either gives the same answer.
"""

from __future__ import annotations

import os

from orchestrator.doctor.fact import Fact
from orchestrator.doctor.isolation import LookCloser
from orchestrator.errors import Refused
from orchestrator.migrate.known_names import any_found
from orchestrator.migrate.standing import all_ended
from orchestrator.paths import names
from orchestrator.repo import asking
from orchestrator.sessions.finding import session_names
from orchestrator.sessions.glimpse import glimpse
from orchestrator.state.ownership import Ownership, read_ownership

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.discovery import Located
    from orchestrator.model.ids import ObjectId, RunId
    from orchestrator.sessions.environment import WebMode
    from orchestrator.sessions.glimpse import Glimpse
else:  # their module imports typing
    RunId = ObjectId = str

_LISTED = (names.SESSIONS, names.LAYOUTS)
"""Directories of ours in which files of earlier layouts may lie, or descriptions of them."""
_LOCK_PREFIX, _LOCK_SUFFIX = "run-", ".lock"


class EarlierState:
    """What earlier orchestrators left here: `lines` name it; `is_safe` tells that it may move unasked."""

    __slots__ = ("is_safe", "lines")

    def __init__(self, lines: tuple[str, ...], is_safe: bool) -> None:
        self.lines = lines
        self.is_safe = is_safe


class Interrupted:
    """A migration that was begun and neither finished nor taken back; `lines` are its moves."""

    __slots__ = ("id", "lines", "state")

    def __init__(self, id: str, state: str, lines: tuple[str, ...]) -> None:
        self.id = id
        self.state = state
        self.lines = lines


class Surface:
    """One repository as far as it can be read without a library: each part is a `Fact`.

    Nothing here writes, takes a lock that lasts, or runs anything of the repository.
    """

    def __init__(self, start: str, environment: Mapping[str, str]) -> None:
        self.start = start
        self.environment = environment
        self.located: Fact[Located] = Fact(lambda: asking.find_repository(start, environment))
        self.ownership: Fact[Ownership] = Fact(lambda: read_ownership(self.directory()))
        self.head = Fact(lambda: asking.head(self.located().checkout))
        self.refs: Fact[Mapping[str, ObjectId]] = Fact(lambda: self._our_refs())

    def directory(self) -> str:
        """Returns the path of `.orchestrator/`, which may not exist."""
        return self.located().orchestrator_dir

    def insist_ours(self) -> str:
        """Returns the path of an `.orchestrator/` that is ours.

        Raises:
            Refused: `not-initialised`; what else is wrong with it the check of its ownership says.
        """
        if self.ownership() is not Ownership.OURS:
            raise Refused("It is not initialised here.", code="not-initialised", hint="orchestrator init")
        return self.directory()

    def entries(self) -> list[str]:
        """Returns the names directly under `.orchestrator/`; none where it is no directory."""
        place = self.directory()
        if os.path.islink(place) or not os.path.isdir(place):
            return []
        return sorted(os.listdir(place))

    def run_locks(self) -> dict[RunId, str]:
        """Returns the paths of the locks that runs have ever had, in every session."""
        sessions = os.path.join(self.directory(), names.SESSIONS)
        trees = [os.path.join(sessions, name) for name in session_names(sessions)]
        found = {}
        for place in (os.path.join(tree, names.LOCKS) for tree in (self.directory(), *trees)):
            for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
                if name.startswith(_LOCK_PREFIX) and name.endswith(_LOCK_SUFFIX):
                    run_id = RunId(name[len(_LOCK_PREFIX) : -len(_LOCK_SUFFIX)])
                    found[run_id] = os.path.join(place, name)
        return found

    def state_dir(self) -> str:
        """Returns the directory of the state that a command reading here would use."""
        return self._glimpse().state_dir

    def session(self) -> str | None:
        """Returns the id of the session in use, None outside of any."""
        return self._glimpse().session

    def web_mode(self) -> WebMode:
        """Returns what holds of web mode here."""
        return self._glimpse().web

    def known_elsewhere(self) -> frozenset[RunId]:
        """Returns the runs that other sessions know."""
        if session_names(os.path.join(self.directory(), names.SESSIONS)):
            raise LookCloser
        return frozenset()

    def _glimpse(self) -> Glimpse:
        found = glimpse(self.located(), self.environment)
        if found is None:
            raise LookCloser
        return found

    def run_count(self) -> int:
        """Returns how many runs the database holds.

        Raises:
            OrchestratorError: it is missing, or of another version or program, or damaged.
        """
        path = self.existing_state()
        from orchestrator.state.vitals import count_runs  # imports sqlite3, which nobody needs without runs

        found = count_runs(path)
        return found if found is not None else self._run_count()

    def existing_state(self) -> str:
        """Returns the path of the database.

        Raises:
            Refused: `state-missing`, nobody has started a run here yet; and as `insist_ours`.
        """
        self.insist_ours()
        path = os.path.join(self.state_dir(), names.STATE)
        if not os.path.lexists(path):
            raise Refused("No run has been started here.", code="state-missing", hint="orchestrator run")
        return path

    def earlier_state(self) -> EarlierState:
        """Returns what earlier orchestrators left that would move into `.orchestrator/`."""
        home, inside = self.located().home, self.directory()
        if any_found(home) or any(_holds_something(os.path.join(inside, name)) for name in _LISTED):
            return self._earlier_state()
        return EarlierState((), is_safe=False)

    def is_earlier(self) -> bool:
        """Returns whether a directory that is not ours holds what an earlier orchestrator left in it."""
        return any_found(self.located().home) and self._is_earlier()

    def interrupted_migration(self) -> Interrupted | None:
        """Returns the migration that is half done; there is at most one."""
        return None if all_ended(self.located().home) else self._interrupted_migration()

    def _our_refs(self) -> dict[str, ObjectId]:
        found = asking.our_refs(self.located().checkout)
        return {name: ObjectId(oid) for name, oid in found.items()}

    def _run_count(self) -> int:
        raise LookCloser

    def _earlier_state(self) -> EarlierState:
        raise LookCloser

    def _is_earlier(self) -> bool:
        raise LookCloser

    def _interrupted_migration(self) -> Interrupted | None:
        raise LookCloser


def _holds_something(directory: str) -> bool:
    return os.path.isdir(directory) and bool(os.listdir(directory))
