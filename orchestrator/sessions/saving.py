"""Saves one run at one remote: takes it up, adds to its chain, pushes; never the engine's business how."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.engine.context import EngineContext
from orchestrator.engine.persistence import PersistReason
from orchestrator.errors import Failed, OrchestratorError, TakenOver
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.paths import names
from orchestrator.repo.carried import CarriedRemote
from orchestrator.repo.remote import Outcome, Pushed, Remote
from orchestrator.sessions import clone, lease, segments
from orchestrator.sessions.carrying import WORKING_BRANCH, is_over, take_out, tell_taken_out
from orchestrator.sessions.clone import TransportName
from orchestrator.sessions.segments import Manifest, Save
from orchestrator.sessions.writing import Wish, next_save

PUSH_S = 60.0
STOP_S = 8.0
"""How long a push may take; on SIGTERM, whose grace is short, less."""
QUIET_S = 60.0
"""How long a remote that cannot be reached is left alone, except when the run rests or stops."""
AGAIN_S = 5.0
"""How long such a remote may take then: it may be back, but nobody waits long for it a second time."""
_LAST = frozenset({PersistReason.RESTS, PersistReason.STOPS, PersistReason.INTEGRATES})


@dataclass(slots=True)
class Saver:
    """One process's hold on the saves of one run. The caller holds the run's lock and calls one at a time.

    `tip` is what the remote holds as far as we know, `newest` the end of our own chain, pushed or not;
    `otherwise` saves a run that the remote does not take; `carried` is the branch that may carry it there.
    """

    context: EngineContext
    run_id: RunId
    remote: Remote
    wish: Wish
    transports: tuple[TransportName, ...]
    tell: Callable[[str], None]
    otherwise: Callable[[PersistReason], bool] | None = None
    carried: CarriedRemote | None = None
    transport: TransportName | None = None
    tip: ObjectId | None = None
    newest: Save | None = None
    has_begun: bool = False
    is_refused: bool = False
    _quiet_until: float = 0.0
    _told: set[str] = field(default_factory=set)

    def save(self, reason: PersistReason) -> bool:
        """Saves what is new and pushes it; returns whether the remote has everything now.

        A remote that cannot be reached or refuses, a secret that is found, a full disk: each is told once and
        changes nothing else. The run goes on, and the next call tries again.

        Raises:
            TakenOver: the run went on elsewhere; what was done here is kept as a fork.
        """
        if self.is_refused and self.otherwise is not None:
            return self.otherwise(reason)
        if self.is_refused or (time.monotonic() < self._quiet_until and reason not in _LAST):
            return False
        try:
            if not self.has_begun and not self._take_up():
                return False
            return reason is PersistReason.RESUMED or self._add(reason)
        except TakenOver:
            raise
        except OrchestratorError as error:
            self._not_saved(error)
            return False

    def _add(self, reason: PersistReason) -> bool:
        if self.is_refused:  # that was found out just now
            return self.otherwise is not None and self.otherwise(reason)
        made = self._written(reason)
        self.newest = made or self.newest
        if self._is_carried_for_nothing(reason):
            return self._take_out()
        return self._is_whole() or self._push(reason)

    def _is_carried_for_nothing(self, reason: PersistReason) -> bool:
        if self.transport != WORKING_BRANCH or reason is not PersistReason.RESTS:
            return False
        return is_over(self.context.repository, self.context.state.get_run(self.run_id))

    def _take_out(self) -> bool:
        """Lets the working branch no longer carry the run. Raises Failed: it could not be taken out."""
        assert self.carried is not None, "it carries the run"
        done = take_out(self.carried, self.wish.session, self.run_id)
        if done is not None:
            tell_taken_out(done, f"run {self.run_id}", self.remote.name, self.tell)
        self.tip = None
        return True

    def _is_whole(self) -> bool:
        return self.newest is not None and self.newest.commit == self.tip

    def _written(self, reason: PersistReason, *, begins: bool = False) -> Save | None:
        return next_save(
            self.context, self.run_id, self.wish, newest=self.newest, reason=reason, begins=begins
        )

    def _take_up(self) -> bool:
        """Begins an epoch of ours behind what the remote has; returns whether the remote took it."""
        local = self.context.repository.read_ref(segments.chain_ref(self.wish.session, self.run_id))
        self._look(local)
        if local is not None:
            self.newest = segments.read_save(
                self.context.repository.git, local, session=self.wish.session, run_id=self.run_id
            )
            self._tell_of_holder(self.newest.manifest)
        made = self._written(PersistReason.RESUMED, begins=True)
        assert made is not None, "an epoch is always news"
        self.newest = made
        try:
            self.has_begun = self._offer(made)
        except TakenOver:
            if local is not None:  # nothing was done yet, so nothing need be kept
                ref = segments.chain_ref(self.wish.session, self.run_id)
                self.context.repository.update_ref(ref, local, made.commit)
            raise
        return self.has_begun

    def _look(self, local: ObjectId | None) -> None:
        """Finds out what the remote has of the run.

        Raises:
            TakenOver: it has what is no part of our own chain.
        """
        for way, tip in self._found().items():
            self.transport, self.tip = way, tip
            clone.record_transport(self.context.paths, self.remote.url, way)
            if not lease.is_known(self.context.repository, tip, local):
                name = self._name_at(way)
                holder = lease.who_has(self._at(way), name, self.wish.session, self.run_id)
                raise TakenOver(run_id=self.run_id, session=self.wish.session, holder=holder)

    def _found(self) -> dict[TransportName, ObjectId]:
        """Returns where the run's chain ends at the remote, by each way in which it is there."""
        ways: tuple[TransportName, ...] = ("ref", "branch")
        tips = self.remote.tips(*map(self._name_at, ways), timeout_s=self._limit_s(lease.LOOK_S))
        found = {way: tips[self._name_at(way)] for way in ways if self._name_at(way) in tips}
        carried = self._stands_at(WORKING_BRANCH) if self.carried is not None else None
        return {**found, WORKING_BRANCH: carried} if carried is not None and not found else found

    def _tell_of_holder(self, said: Manifest) -> None:
        if said.holder != clone.this_clone(self.context.paths).id and not said.rests:
            self.tell(
                f"Run {self.run_id} was being worked on by {lease.describe(said)}. It goes on here now;"
                f" should that machine still work on it, what it does is kept under {names.FORK_REFS}."
            )

    def _offer(self, made: Save) -> bool:
        """Pushes the first save of an epoch in the first way that the remote takes."""
        if self.tip is not None:
            return self._settle(made, self._send(made, PUSH_S), begins=True)
        recorded = clone.transport_for(self.context.paths, self.remote.url)
        first = (recorded,) if recorded in self.transports else ()
        refusals = []
        for way in dict.fromkeys((*first, *self.transports)):
            if way == WORKING_BRANCH and self.carried is None:
                refusals.append(f"{way}: HEAD is on no branch")
                continue
            self.transport = way
            done = self._send(made, PUSH_S)
            if done.outcome is Outcome.REFUSED and self._stands_at(way) is None:
                refusals.append(f"{way}: {done.said}")
                continue
            if done.outcome is Outcome.DONE:
                clone.record_transport(self.context.paths, self.remote.url, way)
            return self._settle(made, done, begins=True)
        self.is_refused = True
        if self.otherwise is None:
            self._once("refused", self._refusal("; ".join(refusals)))
        return self.otherwise is not None

    def _push(self, reason: PersistReason) -> bool:
        assert self.newest is not None, "an epoch has begun"
        limit_s = STOP_S if reason is PersistReason.STOPS else self._limit_s(PUSH_S)
        return self._settle(self.newest, self._send(self.newest, limit_s))

    def _limit_s(self, usual_s: float) -> float:
        return min(usual_s, AGAIN_S) if time.monotonic() < self._quiet_until else usual_s

    def _send(self, save: Save, limit_s: float) -> Pushed:
        assert self.transport is not None, "a way is chosen before anything is sent"
        name = self._name_at(self.transport)
        return self._at(self.transport).push(save.commit, name, self.tip, timeout_s=limit_s)

    def _at(self, way: TransportName) -> Remote:
        """Returns what takes the run in this way."""
        carries = way == WORKING_BRANCH and self.carried is not None
        return self.carried if carries and self.carried is not None else self.remote

    def _name_at(self, way: TransportName) -> str:
        return lease.remote_name(self.wish.session, self.run_id, way)

    def _stands_at(self, way: TransportName) -> ObjectId | None:
        """Returns where the run's ref is at the remote. Raises Failed where it cannot be reached."""
        name = self._name_at(way)
        return self._at(way).tips(name, timeout_s=self._limit_s(lease.LOOK_S)).get(name)

    def _settle(self, save: Save, done: Pushed, *, begins: bool = False, again: bool = False) -> bool:
        """Draws the consequences of a push; returns whether the remote has everything.

        Raises:
            TakenOver: somebody else went on.
            Failed: the remote cannot be reached.
        """
        if done.outcome is Outcome.DONE:
            self.tip = save.commit
            self._told -= {"remote-unreachable", "refused"}
            self._quiet_until = 0.0
            return True
        if done.outcome is Outcome.UNREACHABLE:
            raise Failed(done.said or "the remote did not answer", code="remote-unreachable")
        assert self.transport is not None, "something was sent"
        now = self._stands_at(self.transport)
        if now == self.tip or again:
            self._once("refused", self._refusal(done.said))
            return False
        if now is not None and not lease.is_known(self.context.repository, now, save.commit):
            raise self._lost(save, begins=begins)
        self.tip = now  # a push of ours whose answer was lost, or somebody took the ref away there
        return self._settle(save, self._send(save, PUSH_S), begins=begins, again=True)

    def _lost(self, save: Save, *, begins: bool) -> TakenOver:
        assert self.transport is not None, "something was sent"
        name = self._name_at(self.transport)
        there = self._at(self.transport)
        holder = lease.who_has(there, name, self.wish.session, self.run_id)
        kept = "" if begins else lease.keep_fork(there, save, self.transport)
        return TakenOver(run_id=self.run_id, session=self.wish.session, holder=holder, kept=kept)

    def _refusal(self, said: str) -> str:
        return (
            f"The remote {self.remote.name or 'for state'} takes no state ({said})."
            f" RUN {self.run_id} STAYS ON THIS MACHINE."
            f" Take it along yourself: orchestrator bundle export {self.run_id} FILE"
        )

    def _not_saved(self, error: OrchestratorError) -> None:
        if error.code == "remote-unreachable":
            self._quiet_until = time.monotonic() + QUIET_S
        hint = f" {error.hint}." if error.hint else ""
        self._once(error.code, f"Run {self.run_id} is not saved elsewhere for now. {error.message}{hint}")

    def _once(self, kind: str, sentence: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self.tell(sentence)
