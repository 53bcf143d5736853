"""Watches an agent's turn: whether anything new happens, and whether it keeps to the run's budget."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.engine.budget import MORE, UNLIMITED, Budget
from orchestrator.model.agent import (
    AgentEvent,
    AskedPermission,
    Ending,
    Finished,
    Opened,
    Said,
    Spent,
    Started,
    UsedTool,
)
from orchestrator.model.run import Usage

_MAX_SEEN = 20_000
_TURNING = re.compile(r"[\d\s.,:%|/\\\-\u2500-\u25ff\u2800-\u28ff…]+")
"""What a spinner, a clock or a progress bar changes while nothing happens."""


class Watch:
    """Sees the events of one turn, and says when it must stop.

    Progress is a tool used in a way, or a line said, that this turn has not seen yet, or a changed file in
    the tree; the tree is looked at only when nothing else has happened for `stuck_after_s` seconds. An agent
    that has not started, because it waits for its place, is not expected to make any. `left` is
    what the run may still use; what agents do not tell is not counted, but turns are: uses of tools, as long
    as the agent tells no number of its own. `now` is a clock in seconds.
    """

    def __init__(
        self,
        *,
        stuck_after_s: float,
        left: Budget,
        tree: Path,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stuck_after_s = stuck_after_s
        self._left = left
        self._tree = tree
        self._now = now
        self._progress_at = now()
        self._has_started = False
        self._seen: set[int] = set()
        self._calls: set[str] = set()
        self._told_turns: int | None = None
        self.spent = Usage()
        self.over: str | None = None
        self.is_stuck = False

    @property
    def turns(self) -> int:
        """Returns how many turns of the model the agent told, else how many uses of tools."""
        return len(self._calls) if self._told_turns is None else self._told_turns

    @property
    def ending(self) -> Ending | None:
        """Returns why the turn was stopped, None when it was not by this."""
        if self.over is not None:
            return Ending.LIMIT
        return Ending.STUCK if self.is_stuck else None

    @property
    def detail(self) -> str:
        """Returns the sentence for `ending`."""
        if self.over is not None:
            return f"the budget of this run is used up: it needs {MORE[self.over]}"
        return f"nothing new happened for {self._stuck_after_s:g} s"

    def see(self, event: AgentEvent) -> None:
        """Takes notice of an event."""
        match event:
            case UsedTool(tool, detail, reached, call):
                self._calls.add(call or f"{len(self._calls)}")
                self._note((tool, reached, repr(detail)))
                if self.turns > self._left.turns:
                    self.over = self.over or "turns"
            case Said(text):
                for line in text.splitlines():
                    if said := _TURNING.sub("", line):
                        self._note(said)
            case AskedPermission(tool, detail, _):
                self._note((tool, repr(detail)))
            case Started():
                self._has_started, self._progress_at = True, self._now()
            case Opened():
                self._progress_at = self._now()
            case Spent(usage):
                self.spent = usage
                self._told_turns = usage.turns if usage.turns is not None else self._told_turns
                self._count(usage)

    def must_stop(self) -> bool:
        """Returns whether the turn has to end now; `ending` then tells why."""
        if (
            self._has_started
            and self.ending is None
            and self._now() - self._progress_at >= self._stuck_after_s
        ):
            unchanged_s = time.time() - last_change(self._tree)
            self.is_stuck = unchanged_s >= self._stuck_after_s
            self._progress_at = self._now() - max(0.0, unchanged_s)
        return self.ending is not None

    def _note(self, what: Hashable) -> None:
        digest = hash(what)
        if digest not in self._seen:
            if len(self._seen) >= _MAX_SEEN:
                self._seen.clear()  # what comes round only after so many others may count once more
            self._seen.add(digest)
            self._progress_at = self._now()

    def _count(self, usage: Usage) -> None:
        left = self._left.less(replace(usage, wall_s=0.0, turns=0))
        # With its last turn it may still say what it did: only one more is one too many.
        left = replace(left, time_s=UNLIMITED, turns=self._left.turns - self.turns + 1)
        self.over = self.over or left.used_up()


def metered(finished: Finished, watch: Watch, price: Callable[[Usage, str], float | None]) -> Usage:
    """Returns what a turn consumed; of one that was stopped, what its agent had told until then."""
    usage, told = finished.usage, watch.spent
    if usage.input_tokens is None and usage.output_tokens is None:
        usage = replace(
            usage,
            input_tokens=told.input_tokens,
            output_tokens=told.output_tokens,
            cached_tokens=told.cached_tokens,
            cost_usd=usage.cost_usd if told.cost_usd is None else told.cost_usd,
        )
    if usage.turns is None and watch.turns:
        usage = replace(usage, turns=watch.turns)
    if usage.cost_usd is None:
        usage = replace(usage, cost_usd=price(usage, finished.model))
    return usage


def last_change(tree: Path) -> float:
    """Returns when anything in a tree, but in a `.git`, changed last, in seconds of the epoch.

    By the times of inodes, which no program sets back; 0 when nothing can be seen.
    """
    newest, waiting = 0.0, [os.fspath(tree)]
    while waiting:
        directory = waiting.pop()
        with suppress(OSError):  # removed meanwhile, or shut: what cannot be seen is no progress
            newest = max(newest, os.lstat(directory).st_ctime)
            for entry in os.scandir(directory):
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != ".git":
                        waiting.append(entry.path)
                else:
                    newest = max(newest, entry.stat(follow_symlinks=False).st_ctime)
    return newest
