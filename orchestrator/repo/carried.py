"""A remote that takes nothing but one branch of the user's: refs of ours travel in a commit on top of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.errors import Failed
from orchestrator.model.ids import ObjectId
from orchestrator.repo.asking import OURS
from orchestrator.repo.carrier import beneath, carriers_in, is_carried_name, read_carrier, write_carrier
from orchestrator.repo.remote import DEFAULT_TIMEOUT_S, Outcome, Pushed, Remote, is_below
from orchestrator.repo.repository import Repository

_TRIES = 6
"""How often somebody else may move the branch between our look and our push."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the branch is there, what is beneath our commits on top of it, and what they carry."""

    tip: ObjectId | None = None
    beneath: ObjectId | None = None
    refs: Mapping[str, ObjectId] = field(default_factory=dict)


class CarriedRemote(Remote):
    """The refs of ours that one branch at a remote carries; used as any remote is.

    The branch is moved by compare-and-swap alone, from a commit of ours to another, and back to the commit
    beneath when nothing is carried any more. What somebody pushed on top of ours stays.
    """

    def __init__(
        self,
        repository: Repository,
        url: str,
        branch: str,
        *,
        name: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        super().__init__(repository, url, name=name, timeout_s=timeout_s)
        self.branch = branch
        self._last: Standing | None = None

    @property
    def short(self) -> str:
        """Returns the name of the branch as people write it."""
        return self.branch.removeprefix("refs/heads/")

    def tips(self, *prefixes: str, timeout_s: float | None = None) -> Mapping[str, ObjectId]:
        """Returns the carried refs below prefixes that end in `/`, or named exactly.

        Raises:
            Failed: `remote-unreachable`.
        """
        refs = self._look(self._deadline(timeout_s)).refs
        return {name: oid for name, oid in refs.items() if any(is_below(name, each) for each in prefixes)}

    def fetch_all(self, refs: Mapping[str, str], *, timeout_s: float | None = None) -> None:
        """Fetches what is carried and lets refs of ours stand for it; a name that is not carried is left out.

        Raises:
            Failed: `remote-unreachable`.
            ValueError: one is not one of our refs.
        """
        for into in refs.values():
            if not into.startswith(OURS):
                raise ValueError(f"{into} is not ours to move")
        carried = self._look(self._deadline(timeout_s)).refs
        for name, into in refs.items():
            found, wanted = self.repository.read_ref(into), carried.get(name)
            if wanted is not None and found != wanted:
                self.repository.update_ref(into, wanted, found)

    def push(
        self, commit: ObjectId | None, name: str, expected: ObjectId | None, *, timeout_s: float | None = None
    ) -> Pushed:
        """Lets the branch carry `commit` under `name` (None: no more) if it carries `expected` there.

        A kill leaves the branch as it was or as it shall be.

        Raises:
            ValueError: nothing of that name is carried.
        """
        if not is_carried_name(name):
            raise ValueError(f"{name} is not carried")
        deadline = self._deadline(timeout_s)
        try:
            for _ in range(_TRIES):
                believed = self._last
                at = believed or self._look(deadline)
                done = self._push_on(at, commit, name, expected, deadline)
                is_another = believed is None and at.refs.get(name) != expected
                if done.outcome is not Outcome.STALE or is_another:
                    return done
                self._last = None  # what was believed is old
        except Failed as error:
            return Pushed(Outcome.UNREACHABLE, error.message)
        return Pushed(Outcome.STALE, f"others move {self.short} all the time")

    def left_behind(self, name: str, *, timeout_s: float | None = None) -> ObjectId | None:
        """Returns the newest commit of ours that carries `name` and on which others built, if any.

        Raises:
            Failed: `remote-unreachable`.
        """
        at = self._look(self._deadline(timeout_s))
        if at.beneath is None:
            return None
        found = carriers_in(self.repository.git, [at.beneath])
        return next((carrier.commit for carrier in found if name in carrier.refs), None)

    def _push_on(
        self,
        at: Standing,
        commit: ObjectId | None,
        name: str,
        expected: ObjectId | None,
        deadline: float,
    ) -> Pushed:
        self._last = None
        if at.tip is None or at.beneath is None:
            return Pushed(Outcome.REFUSED, f"it has no branch {self.short} yet")
        if at.refs.get(name) != expected:
            return Pushed(Outcome.STALE, f"{self.short} carries another {name}")
        refs = {other: oid for other, oid in at.refs.items() if other != name}
        if commit is not None:
            refs[name] = commit
        wanted = at.tip if refs == at.refs else at.beneath
        if refs and refs != at.refs:
            wanted = write_carrier(self.repository, at.beneath, refs, at_s=int(time.time()))
        if wanted != at.tip:
            done = super().push(wanted, self.branch, at.tip, timeout_s=_left(deadline))
            if done.outcome is not Outcome.DONE:
                return done
        self._last = Standing(wanted, at.beneath, refs)
        return Pushed(Outcome.DONE)

    def _look(self, deadline: float) -> Standing:
        """Finds out where the branch is and what it carries, with the objects here.

        Raises:
            Failed: `remote-unreachable`.
        """
        for _ in range(_TRIES):
            tip = super().tips(self.branch, timeout_s=_left(deadline)).get(self.branch)
            if tip is None:
                self._last = Standing()
                return self._last
            if self._last is not None and self._last.tip == tip:
                return self._last
            if self._is_here(tip) or self._fetch(tip, deadline):
                self._last = self._read(tip)
                return self._last
        raise self._unreachable(f"others move {self.short} all the time")

    def _is_here(self, tip: ObjectId) -> bool:
        """Returns whether refs here hold the tip with all it reaches, so that nothing need be fetched."""
        return tip in self.repository.refs("refs/remotes/").values()

    def _fetch(self, tip: ObjectId, deadline: float) -> bool:
        words = ("--no-tags", "--no-auto-maintenance", "--no-recurse-submodules", "--no-prune")
        self._reach(
            "fetch",
            "-q",
            "--no-write-fetch-head",
            *words,
            "--",
            self.url,
            self.branch,
            timeout_s=_left(deadline),
            mutates=True,
        )
        return self.repository.git.run("cat-file", "-e", tip, ok=None).status == 0

    def _read(self, tip: ObjectId) -> Standing:
        """Returns what a tip carries: a commit of ours names it all, beneath others it must be looked for."""
        git = self.repository.git
        carrier = read_carrier(git, tip)
        if carrier is not None:
            return Standing(tip, beneath(git, tip), carrier.refs)
        refs: dict[str, ObjectId] = {}
        for older in carriers_in(git, [tip]):
            refs = {**older.refs, **refs}
        return Standing(tip, tip, refs)

    def _deadline(self, timeout_s: float | None) -> float:
        return time.monotonic() + (timeout_s or self.timeout_s)


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
