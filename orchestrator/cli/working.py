"""Works on a run in front of the user: signals, live view and the last lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.cli.edge import INTERRUPTED, TERMINATED, Terminated, render
from orchestrator.cli.invocation import Invocation
from orchestrator.cli.keeping_safe import saved_elsewhere
from orchestrator.cli.live import Stream, view_for
from orchestrator.cli.screen import Screen, Styled
from orchestrator.cli.stopping import StopRequest
from orchestrator.cli.terminal import silence
from orchestrator.errors import DiskFailed, OrchestratorError
from orchestrator.model.event import Event
from orchestrator.model.ids import RunId
from orchestrator.model.run import Outcome, Run, RunStatus

if TYPE_CHECKING:
    from orchestrator.workspace import Workspace

_STYLES = {RunStatus.COMPLETED: "green", RunStatus.FAILED: "red", RunStatus.WAITING: "yellow"}


def work_and_show(
    call: Invocation, workspace: Workspace, run_id: RunId, *, begin: Callable[[], object], wait: bool
) -> int:
    """Begins, works until the run rests or is stopped, and returns the exit status of it all.

    Whatever ends it once it has begun, the last line of the NDJSON stream is `run.finished`.
    """
    from orchestrator.cli.making_room import make_room_after_run
    from orchestrator.engine.local import work
    from orchestrator.sessions.heartbeat import Heartbeat

    view = view_for(call.screen)

    def show(event: Event) -> None:
        if event.run_id != run_id:
            return
        try:
            view.event(event)
        except BrokenPipeError:  # nobody looks any more; the work goes on
            silence(sys.stdout)
            silence(sys.stderr)

    workspace.state.subscribe(show)
    try:
        with StopRequest(call.screen) as stop, view, Heartbeat(workspace.tree.session):
            begin()
            with saved_elsewhere(workspace, run_id, stop, call.screen) as (context, halt):
                run = work(context, run_id, stop=halt, wait=wait)
    except (OrchestratorError, KeyboardInterrupt, Terminated) as error:
        if isinstance(error, DiskFailed):
            error.hint = f"Free space or make the place writable, then: orchestrator resume {run_id}"
        if not isinstance(view, Stream):
            raise
        status = render(error, call.screen, debug=call.flags.debug)
        view.finish(_run_or_none(workspace, run_id), status, _now())
        return status
    make_room_after_run(call, workspace)
    status = stop.exit_status if _is_stopped(run, stop) else _exit_status(run)
    if isinstance(view, Stream):
        view.finish(run, status, _now())
    else:
        _say_end(call.screen, run, stopped=status in (INTERRUPTED, TERMINATED))
    return status


def _is_stopped(run: Run, stop: StopRequest) -> bool:
    unfinished = run.status in (RunStatus.PLANNING, RunStatus.EXECUTING, RunStatus.VERIFYING)
    return stop() and unfinished


def _exit_status(run: Run) -> int:
    from orchestrator.engine.report import exit_status

    return exit_status(run)


def _run_or_none(workspace: Workspace, run_id: RunId) -> Run | None:
    try:
        return workspace.state.get_run(run_id)
    except OrchestratorError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _say_end(screen: Screen, run: Run, *, stopped: bool) -> None:
    """Prints how a run ended, and the commands that go on from there."""
    from orchestrator.engine.report import next_commands

    if stopped:
        screen.error(
            Styled("error[interrupted]:", "red"), f" Run {run.id} was interrupted; its work is saved."
        )
        screen.error(Styled("hint: ", "cyan"), f"Go on with: orchestrator resume {run.id}")
        return
    screen.out(Styled(ending(run), _STYLES.get(run.status, "bold")))
    if run.metadata.progress.outcome is Outcome.UNVERIFIED:
        screen.warn("Nothing was proved: this result is UNVERIFIED. Configure checks under `verify:`.")
    for note in run.metadata.progress.notes:
        screen.note("note: ", note)
    for command in next_commands(run):
        screen.note(Styled("  next: ", "dim"), command)


def ending(run: Run) -> str:
    """Returns how a run stands, in one line: status, what was proved, the branch, the reason."""
    progress = run.metadata.progress
    parts = [run.status + (f" ({progress.outcome})" if progress.outcome else "")]
    if progress.branch:
        parts.append(f"branch {progress.branch.removeprefix('refs/heads/')}")
    if progress.waiting_for:
        parts.append(f"waits for {progress.waiting_for}")
    if progress.error:
        parts.append(progress.error)
    return f"run {run.id}: " + ", ".join(parts)
