"""Answers of commands that read from where an earlier orchestrator left its state, until it is migrated."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.invocation import NO_RUNS, Invocation
from orchestrator.cli.terminal import escape, is_terminal, write
from orchestrator.errors import Refused
from orchestrator.migrate.known_names import any_found
from orchestrator.model.json import Json, JsonObject

if TYPE_CHECKING:
    from orchestrator.state.peek import RunGlance
    from orchestrator.takeover.legacy import LegacyReport, LegacyRun

_NOT_HERE = frozenset({"not-initialised", "foreign-directory", "unknown-run", "state-missing", NO_RUNS})
"""Refusals that say only that our own state does not know of it."""


def say_notice(call: Invocation) -> None:
    """Says on standard error that the answer comes from the old place; with an icon on a terminal alone."""
    from orchestrator.takeover.legacy import NOTICE

    text = NOTICE if is_terminal(sys.stderr) else NOTICE.removeprefix("⚡ ").replace("—", "-")
    call.screen.note(text)


def runs(call: Invocation) -> tuple[LegacyRun, ...]:
    """Returns the runs of an earlier orchestrator that still lie in their old place, newest first."""
    root = call.locate().home
    if not any_found(root, read_in_place=True):
        return ()
    from orchestrator.takeover.legacy import legacy_status

    return legacy_status(Path(root))


def may_lie_there(refusal: Refused) -> bool:
    """Returns whether a refusal of our own state leaves the question open."""
    return refusal.code in _NOT_HERE


def found(call: Invocation, run: str, refusal: Refused) -> LegacyReport:
    """Returns what is known of a run in the old place, after our own state refused.

    Raises:
        Refused: what was refused, when the old place does not know the run either.
    """
    if not may_lie_there(refusal) or not any_found(call.locate().home, read_in_place=True):
        raise refusal
    from orchestrator.takeover.legacy import legacy_report

    try:
        known = legacy_report(Path(call.locate().home), run)
    except Refused:
        raise refusal from None
    say_notice(call)
    return known


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
        "last_event_at": None,
        "interventions": 0,
    }


def show_log(call: Invocation, known: LegacyReport) -> int:
    """Prints what happened in a run of an earlier orchestrator."""
    if call.screen.as_json:
        events: list[Json] = [
            {"at": one.at.isoformat().replace("+00:00", "Z"), "kind": str(one.kind), "data": one.data}
            for one in known.past
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


def _worded(kind: str, data: JsonObject) -> str:
    told = " ".join(f"{name}={value}" for name, value in data.items() if isinstance(value, str | int | float))
    return f"{kind.replace('.', ' ').replace('_', ' ')} {told}".strip()
