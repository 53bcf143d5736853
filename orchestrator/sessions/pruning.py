"""Makes room: does what `budget` decides, one action after the other, each under the locks it needs.

A kill at any point leaves every run either as it was, or in the archive, or in both; the next call goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from orchestrator.config.schema import Session as Limits
from orchestrator.engine.context import EngineContext
from orchestrator.engine.local import is_alive
from orchestrator.errors import Locked, OrchestratorError
from orchestrator.fs.lock import FileLock
from orchestrator.model.ids import RunId
from orchestrator.model.run import ENDED_RUN, Run
from orchestrator.paths import OrchestratorPaths
from orchestrator.repo import removal
from orchestrator.sessions import disk_use, freeing
from orchestrator.sessions.budget import (
    Action,
    Archive,
    Budgets,
    Compact,
    Compress,
    CompressLogs,
    RemoveLogs,
    RemoveOutputs,
    RemoveTrees,
    RunUse,
    TreeUse,
    next_action,
)
from orchestrator.sessions.identity import Here, Session, list_lock, list_sessions
from orchestrator.sessions.identity import is_alive as session_is_alive

IsPushed = Callable[[Run], bool]
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Opened:
    """One state tree, open for writing."""

    session: Session | None
    context: EngineContext

    @property
    def key(self) -> str:
        """Returns the session's id, empty for the state outside of sessions."""
        return self.session.id if self.session is not None else ""


@dataclass(slots=True)
class Pruned:
    """What was done: bytes before and after, and how many of what went. `problems` are sentences."""

    before_bytes: int = 0
    after_bytes: int = 0
    trees: int = 0
    compressed: int = 0
    outputs: int = 0
    logs: int = 0
    archived: list[RunId] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def freed_bytes(self) -> int:
        """Returns by how much less the disk holds."""
        return max(self.before_bytes - self.after_bytes, 0)


def budgets_of(limits: Limits) -> Budgets:
    """Returns the budgets that the configuration sets."""
    return Budgets(
        limits.max_bytes, limits.max_session_bytes, timedelta(days=limits.max_age_days), limits.max_runs
    )


def everything_is_pushed(run: Run) -> bool:
    """Returns True: where nothing is ever pushed, nothing waits for it."""
    return True


def prune_lock(root: OrchestratorPaths) -> FileLock:
    """Returns the lock that lets one process at a time make room."""
    return FileLock(root.locks_dir / "prune.lock", what="Pruning", command="orchestrator prune")


def look(states: Sequence[Opened], is_pushed: IsPushed) -> tuple[TreeUse, ...]:
    """Returns what every state takes now, and what of it may go; changes nothing."""
    return tuple(_use(each, is_pushed) for each in states)


def prune(
    states: Sequence[Opened],
    budgets: Budgets,
    *,
    is_pushed: IsPushed,
    here: Here,
    now: datetime,
    report: Report,
    elsewhere: Sequence[TreeUse] = (),
) -> Pruned:
    """Removes what the budgets do not allow, in their order, and returns what was done.

    `elsewhere` are the states of sessions that other machines may be at work in: they count, and are not
    touched. Nor is a live run, or one that is not pushed. Sessions of other boots that know no run
    afterwards are removed. The caller holds `prune_lock`.

    Raises:
        StateLost: `.orchestrator/` was removed meanwhile.
    """
    done, opened = Pruned(), {each.key: each for each in states}
    trees = (*look(states, is_pushed), *elsewhere)
    done.before_bytes = sum(tree.total_bytes for tree in trees)
    while (action := next_action(trees, budgets, now)) is not None:
        trees = _perform(opened[action.session], action, trees, done, report)
    for each in states:
        _remove_if_empty(each, here, now, done, report)
    left = [each for each in states if each.key not in done.sessions]
    done.after_bytes = sum(remember(each.context) for each in left)
    done.after_bytes += sum(tree.total_bytes for tree in elsewhere)
    return done


def remember(context: EngineContext) -> int:
    """Measures a state tree, remembers the sum for `status`, and returns it."""
    runs = {run.id for run in context.state.list_runs()}
    total_bytes = disk_use.measure(context.paths, os.fspath(context.trees.root), runs).total_bytes
    disk_use.remember(context.paths, context.disk, total_bytes)
    return total_bytes


def _use(opened: Opened, is_pushed: IsPushed) -> TreeUse:
    context = opened.context
    runs = context.state.list_runs()
    measured = disk_use.measure(context.paths, os.fspath(context.trees.root), {run.id for run in runs})
    pending = {operation.run_id for operation in context.state.intended_operations()}
    living = {run.id for run in runs if is_alive(context, run.id) is not None}
    uses = []
    for run in runs:
        held = "an operation on it is not finished" if run.id in pending else ""
        held = _held(run, living, is_pushed) or held
        uses.append(
            RunUse(
                run.id,
                (run.completed_at or run.created_at) if run.status in ENDED_RUN else None,
                held,
                measured.trees.pop(run.id, 0),
                measured.plain.pop(run.id, 0),
                measured.packed.pop(run.id, 0),
            )
        )
    return TreeUse(
        opened.key,
        tuple(uses),
        measured.total_bytes - measured.logs_bytes - measured.packed_logs_bytes,  # of runs nobody knows, too
        measured.logs_bytes,
        measured.packed_logs_bytes,
        may_compact=not living,
    )


def _held(run: Run, living: set[RunId], is_pushed: IsPushed) -> str:
    if run.id in living:
        return "a process works on it"
    if run.status in ENDED_RUN and not is_pushed(run):
        return "it is not pushed yet"
    return ""


def _perform(
    opened: Opened, action: Action, trees: tuple[TreeUse, ...], done: Pruned, report: Report
) -> tuple[TreeUse, ...]:
    """Does one action and returns what the states take afterwards; what was refused is held from now on."""
    tree = next(tree for tree in trees if tree.session == opened.key)
    match action:
        case Archive():
            tree = _archive(opened, action, tree, done, report)
        case Compact():
            tree = _compact(opened, tree, done)
        case CompressLogs() | RemoveLogs():
            tree = _free_logs(opened, action, tree, done, report)
        case _:
            tree = _free(opened, action, tree, done, report)
    return tuple(tree if each.session == tree.session else each for each in trees)


def _free(
    opened: Opened,
    action: RemoveTrees | Compress | RemoveOutputs,
    tree: TreeUse,
    done: Pruned,
    report: Report,
) -> TreeUse:
    context, run = opened.context, next(run for run in tree.runs if run.run_id == action.run_id)
    try:
        with _run_lock(context, run.run_id):
            changed = _freed(context, action, run, done, report)
    except OrchestratorError as error:
        changed = _refused(run, error, done)
    return replace(tree, runs=tuple(changed if each is run else each for each in tree.runs))


def _freed(
    context: EngineContext,
    action: RemoveTrees | Compress | RemoveOutputs,
    run: RunUse,
    done: Pruned,
    report: Report,
) -> RunUse:
    match action:
        case RemoveTrees():
            way = freeing.remove_trees(context, run.run_id)
            done.trees += 1
            report(f"removed the tree of run {run.run_id}; what it held: {way}")
            return replace(run, tree_bytes=0)
        case Compress():
            packed_bytes = freeing.compress(context, run.run_id)
            done.compressed += 1
            report(f"compressed the outputs of run {run.run_id}")
            return replace(run, plain_bytes=0, packed_bytes=packed_bytes)
        case RemoveOutputs():
            freeing.remove_outputs(context, run.run_id)
            done.outputs += 1
            report(f"removed the outputs of run {run.run_id}")
            return replace(run, plain_bytes=0, packed_bytes=0)


def _archive(opened: Opened, action: Archive, tree: TreeUse, done: Pruned, report: Report) -> TreeUse:
    context, problems, ready = opened.context, dict[RunId, OrchestratorError](), list[RunId]()
    with ExitStack() as held:
        for run_id in action.run_ids:
            try:
                held.enter_context(_run_lock(context, run_id))
                ready.append(run_id)
            except OrchestratorError as error:
                problems[run_id] = error
        try:
            for run_id, ref in freeing.archive(context, ready):
                done.archived.append(run_id)
                report(f"archived run {run_id} in {ref}; back with: orchestrator restore {run_id}")
        except OrchestratorError as error:
            problems.update({run_id: error for run_id in ready if run_id not in done.archived})
    gone = set(done.archived)
    runs = [run for run in tree.runs if run.run_id not in gone]
    runs = [_refused(run, problems[run.run_id], done) if run.run_id in problems else run for run in runs]
    return replace(tree, runs=tuple(runs), garbage=tree.garbage or bool(gone & set(action.run_ids)))


def _free_logs(
    opened: Opened, action: CompressLogs | RemoveLogs, tree: TreeUse, done: Pruned, report: Report
) -> TreeUse:
    """Compresses or removes logs; what is refused counts as something that cannot go from now on."""
    whose = f"session {opened.session.shown}" if opened.session is not None else "this repository"
    try:
        if isinstance(action, CompressLogs):
            packed_bytes = freeing.compress_logs(opened.context)
            report(f"compressed old logs of {whose}")
            changed = replace(tree, log_bytes=0, packed_log_bytes=packed_bytes)
        else:
            freeing.remove_logs(opened.context)
            report(f"removed old logs of {whose}")
            changed = replace(tree, packed_log_bytes=0)
    except OrchestratorError as error:
        if not isinstance(error, Locked):
            done.problems.append(f"Logs of {whose} stay: {error.message}")
        rest = tree.rest_bytes + tree.log_bytes + tree.packed_log_bytes
        return replace(tree, log_bytes=0, packed_log_bytes=0, rest_bytes=rest)
    done.logs += 1
    return changed


def _compact(opened: Opened, tree: TreeUse, done: Pruned) -> TreeUse:
    try:
        freed_bytes = freeing.compact(opened.context)
    except OrchestratorError as error:
        done.problems.append(f"The database was not compacted: {error.message}")
        return replace(tree, may_compact=False)
    return replace(tree, garbage=False, rest_bytes=max(tree.rest_bytes - freed_bytes, 0))


def _refused(run: RunUse, error: OrchestratorError, done: Pruned) -> RunUse:
    """Returns a run that stays as it is from now on."""
    if not isinstance(error, Locked):
        done.problems.append(f"Run {run.run_id} stays: {error.message}")
    return replace(run, held=error.message)


def _run_lock(context: EngineContext, run_id: RunId) -> FileLock:
    return FileLock(context.paths.run_lock(run_id), what=f"run {run_id}", command="orchestrator prune")


def _remove_if_empty(opened: Opened, here: Here, now: datetime, done: Pruned, report: Report) -> None:
    """Removes the session of another boot that knows no run any more."""
    session, context = opened.session, opened.context
    if session is None or session.is_of(here) or context.state.list_runs():
        return
    root = context.paths.of_root()
    try:
        with list_lock(root):  # so that nobody adopts it between the look and the removal
            known = {each.id: each for each in list_sessions(root)}
            again = known.get(session.id, session)
            if again.turn != session.turn or session_is_alive(again, here, now):
                return
            context.state.close()
            removal.remove_session(session.directory, root=root.sessions_dir, runs=0)
    except Locked:
        return  # somebody begins or adopts one just now
    except OrchestratorError as error:
        done.problems.append(f"Session {session.id} stays: {error.message}")
        return
    done.sessions.append(session.id)
    report(f"removed the session {session.shown}, which knew no run any more")


def measured_elsewhere(session: Session, paths: OrchestratorPaths) -> TreeUse:
    """Returns what the session of another machine takes, as a state in which nothing may go."""
    measured = disk_use.measure(paths, os.fspath(paths.worktrees_dir))
    return TreeUse(session.id, (), measured.total_bytes, may_compact=False)
