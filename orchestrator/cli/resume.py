"""`resume`: goes on with a run that was interrupted, failed or waits."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation, invocation
from orchestrator.cli.keeping_safe import save_what_is_left
from orchestrator.cli.lookups import MaybeRunArgument, find_run
from orchestrator.cli.screen import Styled
from orchestrator.cli.trusting import require_vouched
from orchestrator.errors import Refused

if TYPE_CHECKING:
    from orchestrator.model.ids import RunId
    from orchestrator.model.run import Run
    from orchestrator.workspace import Workspace

WATCH_INTERVAL_S = 5.0


def resume(
    ctx: typer.Context,
    run: MaybeRunArgument = None,
    due: Annotated[bool, typer.Option("--due", help="Every waiting run whose time has come.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="With --due: stay and look again.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Trust this repository for this call.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait here instead of ending with status 6.")] = False,
) -> int:
    """Says what will be skipped, repeated and why, then goes on."""
    call = invocation(ctx)
    from orchestrator.cli.trusting import open_trusted

    if watch and not due:
        raise Refused("--watch goes with --due.", code="usage", hint="orchestrator resume --due --watch")
    if due and run is not None:
        raise Refused("--due takes no run id.", code="usage", hint="orchestrator resume --due")
    if not due:
        from orchestrator.cli.elsewhere import bring_back_missing
        from orchestrator.model.ids import parse_run_id

        bring_back_missing(call, parse_run_id(run) if run is not None else None)
    if run is None and not due:
        run = _only_one_of_all(call)
    with open_trusted(call, trust_now=trust, run=run) as workspace:
        if due:
            return _resume_due(call, workspace, watch=watch, trust_now=trust)
        chosen = find_run(workspace, run) if run is not None else _only_one(call, workspace)
        if chosen is None:
            return 0
        return _resume(call, workspace, chosen, wait=wait, trust_now=trust)


def _only_one_of_all(call: Invocation) -> str | None:
    """Returns the only run of all sessions here that can go on; None without sessions, or when there is none.

    Raises:
        Refused: `run-ambiguous`, there are several; lists them.
    """
    from orchestrator.sessions.resuming import resumable_runs

    trees = call.trees()
    if all(tree.session is None for tree in trees):
        return None
    found = resumable_runs(trees)
    if len(found) > 1:
        for each in found:
            call.screen.error(f"  {each.run_id}  {each.status}  {_title(each.task)}")
        raise _ambiguous(len(found), found[0].run_id)
    return found[0].run_id if found else None


def _title(task: str) -> str:
    return task.strip().partition("\n")[0][:60]


def _ambiguous(count: int, first: str) -> Refused:
    return Refused(
        f"{count} runs can go on; name one.", code="run-ambiguous", hint=f"orchestrator resume {first}"
    )


def _only_one(call: Invocation, workspace: Workspace) -> Run | None:
    """Returns the only run that can go on; None when there is none.

    Raises:
        Refused: `run-ambiguous`, there are several; lists them.
    """
    from orchestrator.engine.local import resumable
    from orchestrator.model.run import ENDED_RUN, RunStatus

    rests = ENDED_RUN | {RunStatus.WAITING}
    found = resumable(workspace.context)
    if not found:
        call.screen.out("Nothing to resume.")
        if call.screen.as_json:
            call.screen.json({"resumed": []})
        return None
    if len(found) > 1:
        for each in found:
            status = each.status if each.status in rests else "interrupted"
            call.screen.error(f"  {each.id}  {status}  {_title(each.task)}")
        raise _ambiguous(len(found), found[0].id)
    return found[0]


def _resume(call: Invocation, workspace: Workspace, run: Run, *, wait: bool, trust_now: bool) -> int:
    from orchestrator.cli.working import work_and_show
    from orchestrator.engine.local import prepare_resume, resumption
    from orchestrator.engine.secrets import require_secrets_of
    from orchestrator.model.run import RunStatus

    if run.status is RunStatus.COMPLETED:
        call.screen.out(f"Run {run.id} is completed; there is nothing to resume.")
        save_what_is_left(workspace, run, call.screen)
        if call.screen.as_json:
            call.screen.json({"resumed": [], "run_id": run.id, "status": run.status})
        return 0
    _require_resumable(workspace, run)
    if not trust_now:
        require_vouched(call, workspace, run)
    require_secrets_of(workspace.context, run)
    plan = resumption(workspace.context, run)
    call.screen.note(f"resume {run.id}: {plan.reason}")
    for name, sentences in (("skipped", plan.skipped), ("repeated", plan.repeated)):
        for sentence in sentences:
            call.screen.note(Styled(f"  {name:<9}", "dim"), sentence)
    return work_and_show(
        call, workspace, run.id, begin=lambda: prepare_resume(workspace.context, run), wait=wait
    )


def _require_resumable(workspace: Workspace, run: Run) -> None:
    """Makes sure that the run can go on, before anything is said or recorded.

    Raises:
        Refused: `run-cancelled`.
        NotTrusted: what the repository supplies would run, and nobody has approved it.
        CredentialMissing: a secret that is not kept with the run is no longer in the configuration.
        Locked: another process works on it.
    """
    from orchestrator.engine.local import is_alive
    from orchestrator.engine.work import require_secrets
    from orchestrator.errors import Locked
    from orchestrator.model.record import OperationKind, OperationStatus
    from orchestrator.model.run import RunStatus

    if run.status is RunStatus.CANCELLED:
        cancels = (
            operation.id
            for operation in workspace.state.get_operations()
            if (operation.run_id, operation.kind, operation.status)
            == (run.id, OperationKind.CANCEL, OperationStatus.DONE)
        )
        found = next(cancels, None)
        hint = f"Take that back first: orchestrator undo {found}" if found else "orchestrator ops"
        raise Refused(f"Run {run.id} was cancelled.", code="run-cancelled", hint=hint)
    workspace.trust.require()
    require_secrets(workspace.context, run)
    holder = is_alive(workspace.context, run.id)
    if holder is not None:
        raise Locked(what=f"run {run.id}", holder=holder.describe())


def _resume_due(call: Invocation, workspace: Workspace, *, watch: bool, trust_now: bool) -> int:
    """Resumes every run whose time has come and returns the worst status of them; with `watch`, for ever."""
    from orchestrator.engine.local import due

    worst = 0
    if watch:
        call.screen.note("Watching for runs whose time has come; Ctrl-C ends it.")
    while True:
        ripe = [run.id for run in due(workspace.context, datetime.now(UTC))]
        for run_id in ripe:
            run = workspace.state.get_run(run_id)
            worst = max(worst, _resume(call, workspace, run, wait=False, trust_now=trust_now))
        for run_id in _due_elsewhere(call, workspace):
            ripe.append(run_id)
            with call.open(writes=True, trust_now=workspace.trust.trusted, run=run_id) as other:
                run = find_run(other, run_id)
                worst = max(worst, _resume(call, other, run, wait=False, trust_now=trust_now))
        if not watch:
            if not ripe:
                _say_nothing_is_due(call)
            return worst
        time.sleep(WATCH_INTERVAL_S)


def _due_elsewhere(call: Invocation, workspace: Workspace) -> list[RunId]:
    """Returns the runs of other sessions whose time has come."""
    from orchestrator.sessions.resuming import due_runs

    others = [tree for tree in call.trees() if tree.paths.state_file != workspace.paths.state_file]
    return due_runs(others, datetime.now(UTC))


def _say_nothing_is_due(call: Invocation) -> None:
    call.screen.out("No run is due.")
    if call.screen.as_json:
        call.screen.json({"resumed": []})
