"""Makes room for `prune`, `sessions prune`, and at the end of a run where that is on; says what was done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.invocation import Invocation
from orchestrator.cli.words import counted, size
from orchestrator.errors import Locked, OrchestratorError

if TYPE_CHECKING:
    from orchestrator.model.ids import RunId
    from orchestrator.model.json import Json
    from orchestrator.sessions.budget import Action, TreeUse
    from orchestrator.sessions.identity import Here
    from orchestrator.sessions.pruning import IsPushed, Opened, Pruned
    from orchestrator.workspace import Workspace


def make_room(call: Invocation, workspace: Workspace, *, dry_run: bool, only_sessions: bool) -> int:
    """Makes room, or says what would be removed; returns 1 when something could not be removed.

    Raises:
        Locked: another process makes room just now.
    """
    from orchestrator.sessions.budget import preview
    from orchestrator.sessions.pruning import budgets_of, look, prune, prune_lock

    budgets, is_pushed = budgets_of(workspace.loaded.config.session), pushed_check(workspace)
    with ExitStack() as opened:
        if not dry_run:
            opened.enter_context(prune_lock(workspace.paths.of_root()))
        states, elsewhere = _states(workspace, opened, only_sessions=only_sessions)
        if dry_run:
            trees = (*look(states, is_pushed), *elsewhere)
            return _show_preview(call, trees, list(preview(trees, budgets, datetime.now(UTC))))
        done = prune(
            states,
            budgets,
            is_pushed=is_pushed,
            here=here(workspace),
            now=datetime.now(UTC),
            report=lambda sentence: call.screen.detail(sentence),
            elsewhere=elsewhere,
        )
    _show(call, done)
    return 1 if done.problems else 0


def make_room_after_run(call: Invocation, workspace: Workspace) -> None:
    """Makes room where that is on, and remembers the disk use; whatever goes wrong stays a note."""
    from orchestrator.sessions.pruning import remember

    try:
        if workspace.web.prune:
            _prune_quietly(call, workspace)
        else:
            remember(workspace.context)
    except Locked:
        return  # another process makes room just now
    except OrchestratorError as error:
        call.screen.note(f"No room was made: {error.message}")


def _prune_quietly(call: Invocation, workspace: Workspace) -> None:
    from orchestrator.sessions.pruning import budgets_of, prune, prune_lock

    with ExitStack() as opened:
        opened.enter_context(prune_lock(workspace.paths.of_root()))
        states, elsewhere = _states(workspace, opened, only_sessions=False)
        done = prune(
            states,
            budgets_of(workspace.loaded.config.session),
            is_pushed=pushed_check(workspace),
            here=here(workspace),
            now=datetime.now(UTC),
            report=lambda sentence: call.screen.detail(sentence),
            elsewhere=elsewhere,
        )
    if _anything(done):
        call.screen.note(_sentence(done))
    for problem in done.problems:
        call.screen.note("note: ", problem)


def pushed_check(workspace: Workspace) -> IsPushed:
    """Returns what tells whether a run is pushed; nothing waits for that where nothing is pushed.

    The remote is asked once, and only when somebody wants to know. What it does not tell counts as not there.
    """
    from orchestrator.cli.keeping_safe import needs_no_carrying
    from orchestrator.sessions.pruning import everything_is_pushed
    from orchestrator.sessions.pushed import is_push_on, pushed_runs

    repository, session = workspace.repository, workspace.loaded.config.session
    if not is_push_on(repository, session):
        return everything_is_pushed

    @cache
    def pushed() -> frozenset[RunId]:
        try:
            return pushed_runs(repository, session)
        except OrchestratorError:
            return frozenset()

    return lambda run: run.id in pushed() or needs_no_carrying(workspace, run)


def here(workspace: Workspace) -> Here:
    """Returns where this process runs."""
    from orchestrator.sessions.identity import look_here

    return look_here(workspace.web.environment, workspace.repository.git_dir_identity)


def _states(
    workspace: Workspace, opened: ExitStack, *, only_sessions: bool
) -> tuple[list[Opened], list[TreeUse]]:
    """Returns the states to make room in, open for writing, and those that other machines may work in."""
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.sessions.choosing import state_trees
    from orchestrator.sessions.identity import is_alive
    from orchestrator.sessions.pruning import Opened, measured_elsewhere
    from orchestrator.workspace import open_beside

    states, elsewhere, place = [], [], here(workspace)
    for tree in state_trees(OrchestratorPaths(Path(workspace.located.home))):
        session = tree.session
        if session is None and only_sessions:
            continue
        alive = session is not None and is_alive(session, place, datetime.now(UTC))
        if session is not None and alive and not session.is_of(place):
            elsewhere.append(measured_elsewhere(session, tree.paths))
            continue
        beside = opened.enter_context(open_beside(workspace, tree))
        states.append(Opened(session, beside.context))
    return states, elsewhere


def _show_preview(call: Invocation, trees: tuple[TreeUse, ...], actions: list[Action]) -> int:
    total_bytes = sum(tree.total_bytes for tree in trees)
    sentences = list(_sentences(actions))
    if call.screen.as_json:
        listed: list[Json] = list(sentences)
        call.screen.json({"dry_run": True, "bytes": total_bytes, "actions": listed})
        return 0
    for sentence in sentences:
        call.screen.out("would ", sentence)
    call.screen.out(
        f"{size(total_bytes)} in all; {'nothing would be removed' if not actions else 'see above'}."
    )
    return 0


def _sentences(actions: list[Action]) -> Iterator[str]:
    from orchestrator.sessions.budget import (
        Archive,
        Compact,
        Compress,
        CompressLogs,
        RemoveLogs,
        RemoveOutputs,
        RemoveTrees,
    )

    for action in actions:
        match action:
            case RemoveTrees():
                yield f"remove the tree of run {action.run_id}, behind a checkpoint"
            case Compress():
                yield f"compress the outputs of run {action.run_id}"
            case RemoveOutputs():
                yield f"remove the outputs of run {action.run_id}"
            case Archive():
                yield f"archive {counted(len(action.run_ids), 'run')}: {', '.join(action.run_ids)}"
            case CompressLogs():
                yield f"compress old logs{f' of session {action.session}' if action.session else ''}"
            case RemoveLogs():
                yield f"remove old logs{f' of session {action.session}' if action.session else ''}"
            case Compact():
                yield f"compact the database{f' of session {action.session}' if action.session else ''}"


def _show(call: Invocation, done: Pruned) -> None:
    if call.screen.as_json:
        archived: list[Json] = list(done.archived)
        call.screen.json(
            {
                "dry_run": False,
                "freed_bytes": done.freed_bytes,
                "bytes": done.after_bytes,
                "trees": done.trees,
                "compressed": done.compressed,
                "outputs": done.outputs,
                "logs": done.logs,
                "archived": archived,
                "sessions": list(done.sessions),
                "problems": list(done.problems),
            }
        )
        return
    call.screen.out(_sentence(done))
    if done.archived:
        call.screen.note(f"An archived run comes back with: orchestrator restore {done.archived[0]}")
    for problem in done.problems:
        call.screen.warn(problem)


def _anything(done: Pruned) -> bool:
    return bool(done.trees or done.compressed or done.outputs or done.logs or done.archived or done.sessions)


def _sentence(done: Pruned) -> str:
    """Returns what was done, in one line."""
    if not _anything(done):
        return f"nothing to remove: {size(done.after_bytes)} in all"
    told = (
        (done.trees, counted(done.trees, "tree") + " removed"),
        (done.compressed, f"outputs of {counted(done.compressed, 'run')} compressed"),
        (done.outputs, f"outputs of {counted(done.outputs, 'run')} removed"),
        (done.logs, "old logs compressed or removed"),
        (len(done.archived), counted(len(done.archived), "run") + " archived"),
        (len(done.sessions), counted(len(done.sessions), "session") + " removed"),
    )
    parts = "; ".join(words for count, words in told if count)
    return f"freed {size(done.freed_bytes)} ({parts}); {size(done.after_bytes)} are left"
