"""Answers of commands that read from where an earlier orchestrator left its state, until it is migrated."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from orchestrator.cli.invocation import NO_RUNS, Invocation
from orchestrator.cli.table import columns
from orchestrator.cli.terminal import escape, is_terminal, write
from orchestrator.errors import Refused
from orchestrator.migrate.known_names import any_found
from orchestrator.model.json import Json, JsonObject
from orchestrator.paths import names

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.cli.finding_formats import Format
    from orchestrator.state.peek import RunGlance
    from orchestrator.takeover.legacy import LegacyReport, LegacyRun

_NOT_HERE = frozenset(
    {"not-initialised", "foreign-directory", "unknown-run", "run-id-invalid", "state-missing", NO_RUNS}
)
"""Refusals that say only that our own state does not know of it."""


def say_notice(call: Invocation) -> None:
    """Says on standard error that the answer comes from the old place; with an icon on a terminal alone."""
    from orchestrator.takeover.legacy import NOTICE

    text = NOTICE if is_terminal(sys.stderr) else NOTICE.removeprefix("⚡ ").replace("—", "-")
    call.screen.note(text)


def runs(call: Invocation) -> tuple[LegacyRun, ...]:
    """Returns the runs of an earlier orchestrator that still lie in their old place, newest first."""
    root = call.locate().home
    if not _may_hold(root):
        return ()
    from orchestrator.takeover.legacy import legacy_status

    return legacy_status(Path(root))


def _may_hold(root: str) -> bool:
    """Returns whether the old place is worth reading: by a name, or because `.orchestrator/` is not ours."""
    if any_found(root, read_in_place=True):
        return True
    from orchestrator.state.ownership import Ownership, read_ownership

    return read_ownership(os.path.join(root, names.DIRECTORY)) is Ownership.FOREIGN


def may_lie_there(refusal: Refused) -> bool:
    """Returns whether a refusal of our own state leaves the question open."""
    return refusal.code in _NOT_HERE


def found(call: Invocation, run: str, refusal: Refused) -> LegacyReport:
    """Returns what is known of a run in the old place, after our own state refused.

    Raises:
        Refused: what was refused, when the old place does not know the run either.
    """
    if not may_lie_there(refusal) or not _may_hold(call.locate().home):
        raise refusal
    from orchestrator.takeover.legacy import legacy_report

    try:
        known = legacy_report(Path(call.locate().home), run)
    except Refused:
        raise refusal from None
    say_notice(call)
    return known


def explained(call: Invocation, refusal: Refused) -> Refused:
    """Returns a refusal of our own state with the way on where an earlier orchestrator left its own."""
    if refusal.code not in ("not-initialised", "foreign-directory"):
        return refusal
    root = call.locate().home
    hint = "An earlier orchestrator left its state here. Take it over: orchestrator migrate"
    if refusal.code == "foreign-directory":
        from orchestrator.migrate.present import layout_inside

        layout = layout_inside(Path(root))
        if layout is None:
            return refusal
        message = f"{call.locate().orchestrator_dir} holds what {layout.title.partition(',')[0]} left."
        return Refused(message, code=refusal.code, hint=hint)
    return Refused(refusal.message, code=refusal.code, hint=hint) if any_found(root) else refusal


def glanced(run: LegacyRun) -> RunGlance:
    """Returns a run of an earlier orchestrator as a line of `status`."""
    return {
        "id": run.id,
        "task": run.task,
        "status": run.status,
        "created_at": "",
        "branch": None,
        "base": "",
        "phases": [],
        "executions": 0,
        "agent": None,
        "outcome": None,
        "verdict": None,
        "waiting_for": "orchestrator migrate" if run.status == "waiting" else None,
        "wake_at": None,
        "cancel_requested": False,
        "usage": {"input_tokens": None, "output_tokens": None, "cost_usd": None},
        "spent": [],
        "last_event_at": None,
        "interventions": 0,
    }


def show_log(call: Invocation, known: LegacyReport) -> int:
    """Prints what happened in a run of an earlier orchestrator."""
    if call.screen.as_json:
        events: list[Json] = [
            {"at": _moment(one.at), "kind": str(one.kind), "data": one.data} for one in known.past
        ]
        call.screen.json({"run_id": known.run.id, "events": events, "legacy": True})
        return 0
    for one in known.past:
        write(sys.stdout, f"{one.at:%Y-%m-%d %H:%M:%S} {escape(_worded(str(one.kind), one.data))}\n")
    return 0


def show_report(call: Invocation, known: LegacyReport) -> int:
    """Prints what an earlier orchestrator recorded of a run, in Markdown."""
    workflow, run = known.workflow, known.run
    lines = [
        f"# {run.task}",
        "",
        f"Run {run.id} of an earlier orchestrator ({workflow.id}): {run.status}.",
        "",
    ]
    for phase in workflow.phases:
        lines.append(f"- {phase.id}: {phase.standing}")
        lines += [
            f"  - {item.id}: {item.standing}" + (f" ({item.note})" if item.note else "")
            for item in phase.items
        ]
    lines += ["", f"Read from {known.source}. Migrate with: orchestrator migrate"]
    text = "\n".join(lines) + "\n"
    if call.screen.as_json:
        call.screen.json(
            {"run_id": run.id, "task": run.task, "status": run.status, "report": text, "legacy": True}
        )
    else:
        write(sys.stdout, escape(text))
    return 0


def show_findings(call: Invocation, known: LegacyReport, form: Format, *, open_only: bool) -> int:
    """Prints the checks that failed in a run of an earlier orchestrator, in the form asked for."""
    from orchestrator.cli.finding_formats import Format, Listed, as_json, in_order, render
    from orchestrator.takeover.legacy import legacy_findings

    told = [
        Listed(each.finding, resolved=each.resolved)
        for each in legacy_findings(known)
        if not (open_only and each.resolved)
    ]
    if call.screen.as_json or form is Format.JSON:
        findings: list[Json] = [as_json(each) for each in in_order(told)]
        call.screen.json({"findings": findings, "legacy": True})
        return 0
    text = render(told, form)
    write(sys.stdout, escape(text) if form is Format.TEXT else text)
    if not told:
        call.screen.note(f"Run {known.run.id} has no findings.")
    return 0


def show_checkpoints(call: Invocation, known: LegacyReport) -> int:
    """Lists the checkpoints that an earlier orchestrator wrote of a run, newest first; they hold no files."""
    kept = known.checkpoints[::-1]
    if call.screen.as_json:
        listed: list[Json] = [
            {"id": each.id, "at": _moment(each.at), "label": each.message, "files": False} for each in kept
        ]
        call.screen.json({"run_id": known.run.id, "checkpoints": listed, "legacy": True})
        return 0
    rows = [("CHECKPOINT", "AT", "LABEL")]
    rows += [(e.id, f"{e.at:%Y-%m-%d %H:%M:%S}" if e.at else "-", " ".join(e.message.split())) for e in kept]
    for parts in columns(rows) if kept else []:
        call.screen.out(*parts)
    if kept:
        call.screen.note("These checkpoints hold no files: there is nothing to restore from them.")
    else:
        call.screen.note(f"There is no checkpoint of a run {known.run.id}.")
    return 0


def refuse_diff(known: LegacyReport) -> NoReturn:
    """Raises what is to be said about the files of a run of an earlier orchestrator.

    Raises:
        Refused: `legacy-without-files`.
    """
    raise Refused(
        f"Run {known.run.id} is of an earlier orchestrator, which kept no files of its runs: "
        "there is nothing to compare.",
        code="legacy-without-files",
        hint="Take over what it did keep: orchestrator migrate",
    )


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _worded(kind: str, data: JsonObject) -> str:
    told = " ".join(f"{name}={value}" for name, value in data.items() if isinstance(value, str | int | float))
    return f"{kind.replace('.', ' ').replace('_', ' ')} {told}".strip()
