"""Decides what is removed next so that the budgets are met; pure, one action at a time.

The order, as long as a budget is exceeded and always the run that ended first: trees of ended runs; logs and
outputs, compressed before they go; runs into the archive, and the database compacted. A run that is too old,
or one too many, goes into the archive whatever the disk holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from orchestrator.model.ids import RunId

BATCH = 50
"""Runs that go into the archive together: one commit, one lock."""
COMPRESSED = 0.2
"""What is left of outputs once compressed, for a preview; text of agents shrinks to less."""
WORTH_BYTES = 1024
"""Smaller outputs are not worth compressing."""

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Budgets:
    """What may be kept; bytes on the disk."""

    max_bytes: int
    max_session_bytes: int
    max_age: timedelta
    max_runs: int


@dataclass(frozen=True, slots=True)
class RunUse:
    """What one run takes, and whether it may be touched.

    `ended_at` is None while it has not ended. `held` says why it stays: somebody works on it, or it is not
    pushed yet. `plain_bytes` are outputs that could be compressed, `packed_bytes` those that are.
    """

    run_id: RunId
    ended_at: datetime | None
    held: str = ""
    tree_bytes: int = 0
    plain_bytes: int = 0
    packed_bytes: int = 0

    @property
    def may_go(self) -> bool:
        """Returns whether something of it may be removed."""
        return self.ended_at is not None and not self.held


@dataclass(frozen=True, slots=True)
class TreeUse:
    """What one state tree takes: `session` is its id, empty outside of sessions; `rest_bytes` all else.

    `log_bytes` are logs that were rotated, `packed_log_bytes` those of them that are compressed. `garbage`
    tells that rows were removed since it was compacted, `may_compact` that nobody works in it.
    """

    session: str
    runs: tuple[RunUse, ...]
    rest_bytes: int
    log_bytes: int = 0
    packed_log_bytes: int = 0
    garbage: bool = False
    may_compact: bool = True

    @property
    def total_bytes(self) -> int:
        """Returns everything it takes."""
        logs = self.log_bytes + self.packed_log_bytes
        return (
            self.rest_bytes
            + logs
            + sum(run.tree_bytes + run.plain_bytes + run.packed_bytes for run in self.runs)
        )


@dataclass(frozen=True, slots=True)
class RemoveTrees:
    """Removes the trees of a run, behind a checkpoint."""

    session: str
    run_id: RunId


@dataclass(frozen=True, slots=True)
class Compress:
    """Compresses the outputs of a run."""

    session: str
    run_id: RunId


@dataclass(frozen=True, slots=True)
class CompressLogs:
    """Compresses the logs of a state that were rotated."""

    session: str


@dataclass(frozen=True, slots=True)
class RemoveLogs:
    """Removes the logs of a state that are compressed, for good."""

    session: str


@dataclass(frozen=True, slots=True)
class RemoveOutputs:
    """Removes the outputs of a run for good."""

    session: str
    run_id: RunId


@dataclass(frozen=True, slots=True)
class Archive:
    """Puts runs into the archive and takes them out of the state."""

    session: str
    run_ids: tuple[RunId, ...]


@dataclass(frozen=True, slots=True)
class Compact:
    """Gives the room of removed rows back to the disk."""

    session: str


Action: TypeAlias = RemoveTrees | CompressLogs | Compress | RemoveLogs | RemoveOutputs | Archive | Compact


def next_action(trees: Sequence[TreeUse], budgets: Budgets, now: datetime) -> Action | None:
    """Returns what to do next; None when the budgets are met, or nothing that may go is left."""
    surplus = _surplus(trees, budgets, now)
    if surplus:
        return _into_archive(surplus)
    garbage = next((tree for tree in trees if tree.garbage and tree.may_compact), None)
    if garbage is not None:
        return Compact(garbage.session)
    large = _too_large(trees, budgets)
    runs = [(tree, run) for tree in large for run in tree.runs if run.may_go]
    return _make_room(large, sorted(runs, key=_age))


def _make_room(trees: Sequence[TreeUse], runs: Sequence[tuple[TreeUse, RunUse]]) -> Action | None:
    compactable = [(tree, run) for tree, run in runs if tree.may_compact]
    return next(_removals(trees, runs), _into_archive(compactable) if compactable else None)


def _removals(trees: Sequence[TreeUse], runs: Sequence[tuple[TreeUse, RunUse]]) -> Iterator[Action]:
    """Yields what may be removed without touching what the state knows of a run, in order."""
    for tree, run in runs:
        if run.tree_bytes:
            yield RemoveTrees(tree.session, run.run_id)
    yield from (CompressLogs(tree.session) for tree in trees if tree.log_bytes)
    for tree, run in runs:
        if run.plain_bytes > WORTH_BYTES:
            yield Compress(tree.session, run.run_id)
    yield from (RemoveLogs(tree.session) for tree in trees if tree.packed_log_bytes)
    for tree, run in runs:
        if run.packed_bytes + run.plain_bytes:
            yield RemoveOutputs(tree.session, run.run_id)


def _into_archive(runs: Sequence[tuple[TreeUse, RunUse]]) -> Action:
    """Returns the next step for runs that go: their trees first, then all of one state together."""
    for tree, run in runs:
        if run.tree_bytes:
            return RemoveTrees(tree.session, run.run_id)
    session = runs[0][0].session
    together = [run.run_id for tree, run in runs if tree.session == session]
    return Archive(session, tuple(together[:BATCH]))


def _surplus(trees: Sequence[TreeUse], budgets: Budgets, now: datetime) -> list[tuple[TreeUse, RunUse]]:
    """Returns the runs that are too old, or too many, the oldest first."""
    ended = sorted(((tree, run) for tree in trees for run in tree.runs if run.ended_at is not None), key=_age)
    too_many = max(len(ended) - budgets.max_runs, 0)
    found: list[tuple[TreeUse, RunUse]] = []
    for tree, run in ended:
        too_old = run.ended_at is not None and now - run.ended_at > budgets.max_age
        if run.may_go and (too_old or len(found) < too_many):
            found.append((tree, run))
    return found


def _age(pair: tuple[TreeUse, RunUse]) -> tuple[datetime, RunId]:
    return pair[1].ended_at or _EPOCH, pair[1].run_id


def _too_large(trees: Sequence[TreeUse], budgets: Budgets) -> list[TreeUse]:
    """Returns the states in which room must be made: all of them where they are too large together."""
    if sum(tree.total_bytes for tree in trees) > budgets.max_bytes:
        return list(trees)
    return [tree for tree in trees if tree.total_bytes > budgets.max_session_bytes]


def after(trees: Sequence[TreeUse], action: Action) -> tuple[TreeUse, ...]:
    """Returns what the states will take once an action was done, as far as that can be told before."""
    return tuple(_tree_after(tree, action) if tree.session == action.session else tree for tree in trees)


def _tree_after(tree: TreeUse, action: Action) -> TreeUse:
    match action:
        case RemoveTrees():
            return _changed(tree, action.run_id, tree_bytes=0)
        case Compress():
            run = next(run for run in tree.runs if run.run_id == action.run_id)
            packed = run.packed_bytes + int(run.plain_bytes * COMPRESSED)
            return _changed(tree, action.run_id, plain_bytes=0, packed_bytes=packed)
        case RemoveOutputs():
            return _changed(tree, action.run_id, plain_bytes=0, packed_bytes=0)
        case CompressLogs():
            packed = tree.packed_log_bytes + int(tree.log_bytes * COMPRESSED)
            return replace(tree, log_bytes=0, packed_log_bytes=packed)
        case RemoveLogs():
            return replace(tree, packed_log_bytes=0)
        case Archive():
            left = tuple(run for run in tree.runs if run.run_id not in action.run_ids)
            return replace(tree, runs=left, garbage=True)
        case Compact():
            return replace(tree, garbage=False)


def _changed(tree: TreeUse, run_id: RunId, **sizes: int) -> TreeUse:
    return replace(
        tree,
        runs=tuple(
            RunUse(run.run_id, run.ended_at, run.held, **{**_sizes(run), **sizes})
            if run.run_id == run_id
            else run
            for run in tree.runs
        ),
    )


def _sizes(run: RunUse) -> dict[str, int]:
    return {
        "tree_bytes": run.tree_bytes,
        "plain_bytes": run.plain_bytes,
        "packed_bytes": run.packed_bytes,
    }


def preview(trees: Sequence[TreeUse], budgets: Budgets, now: datetime) -> Iterable[Action]:
    """Yields the actions that would be taken, with sizes as far as they can be told before."""
    now_trees: tuple[TreeUse, ...] = tuple(trees)
    while (action := next_action(now_trees, budgets, now)) is not None:
        yield action
        now_trees = after(now_trees, action)
