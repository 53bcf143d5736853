"""What happened to a workflow of W, in the words of our events, oldest first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from orchestrator.model.event import EventKind, PastEvent
from orchestrator.model.json import Json
from orchestrator.takeover import fields
from orchestrator.takeover.history import Feedback, LegacyCheckpoint, LegacyEvent, ToolUse
from orchestrator.takeover.workflow import Item, Verification, Workflow

MAX_EVENTS = 20_000
IMPORTED = "imported"
"""Marks, in the data of an event, that it was taken over and not written when it happened."""

_SAID = {
    "note_added": EventKind.AGENT_SAID,
    "phase_started": EventKind.PHASE_STARTED,
    "phase_completed": EventKind.PHASE_FINISHED,
    "item_started": EventKind.STEP_STARTED,
    "verification_passed": EventKind.CHECK_FINISHED,
    "verification_failed": EventKind.CHECK_FINISHED,
}
"""W's words for what we record too. Its beginning and end of a workflow are told in W's own words: they name
no commit and no exit status, which readers of ours rely on."""
_NO_AGENTS = frozenset({"", "system", "human"})


def of_workflow(
    workflow: Workflow,
    events: Iterable[LegacyEvent],
    checkpoints: Iterable[LegacyCheckpoint],
    feedback: Iterable[Feedback],
    start: datetime,
) -> tuple[tuple[PastEvent, ...], int]:
    """Returns the past of a workflow, and how many of its oldest events are left out beyond 20,000.

    What has no time of its own happened when what stands before it did, the first at `start`.
    """
    logged = list(events)
    told = [_timed(event.at, _logged(event)) for event in logged]
    if not logged:
        told += [_timed(phase.started_at, _phase(phase.id)) for phase in workflow.phases if phase.started_at]
    told += [_timed(_time(item), _checked(item, v)) for item, v in _checks(workflow)]
    told += [_timed(each.at, _noted(each)) for each in checkpoints]
    told += [_timed(each.at, (EventKind.RUN_IMPORTED, {"text": each.text})) for each in feedback]
    return _ordered(told, start)


def of_tasks(uses: Iterable[ToolUse], start: datetime) -> tuple[tuple[PastEvent, ...], int]:
    """Returns the uses of tools as the past of a run, and how many of the oldest are left out."""
    return _ordered([_timed(use.at, _used(use)) for use in uses], start)


_Told = tuple[EventKind, dict[str, Json]]


def _timed(at: datetime | None, told: _Told) -> tuple[datetime | None, _Told]:
    return at, told


def _ordered(told: list[tuple[datetime | None, _Told]], start: datetime) -> tuple[tuple[PastEvent, ...], int]:
    last, timed = start, list[tuple[datetime, _Told]]()
    for at, what in told:
        last = at or last
        timed.append((last, what))
    timed.sort(key=lambda pair: pair[0])
    kept = timed[-MAX_EVENTS:]
    past = tuple(PastEvent(at, kind, {**data, IMPORTED: True}) for at, (kind, data) in kept)
    return past, len(timed) - len(kept)


def _logged(event: LegacyEvent) -> _Told:
    kind = _SAID.get(event.type)
    data: dict[str, Json] = {"earlier_kind": event.type, "text": event.message, "actor": event.actor}
    if kind is None or (kind is EventKind.STEP_STARTED and event.actor in _NO_AGENTS):
        return EventKind.RUN_IMPORTED, {**data, "phase": event.phase, "item": event.item}
    return kind, {**data, **_particulars(event)}


def _particulars(event: LegacyEvent) -> dict[str, Json]:
    """Returns the fields that our own events of that kind have."""
    what, _, how = event.type.rpartition("_")
    match what:
        case "phase":
            return {"phase_id": event.phase, "status": "in_progress" if how == "started" else how}
        case "item":
            return {"phase": event.phase, "step": event.item, "agent": event.actor}
        case "verification":
            return {"name": event.item, "status": how, "phase": event.phase, "detail": event.message}
        case _:
            return {"phase": event.phase, "item": event.item}


def _phase(phase_id: str) -> _Told:
    return EventKind.PHASE_STARTED, {"phase_id": phase_id, "status": "in_progress"}


def _checks(workflow: Workflow) -> list[tuple[Item, Verification]]:
    pairs = [(item, item.verification) for phase in workflow.phases for item in phase.items]
    return [(item, v) for item, v in pairs if v is not None and v.passed is not None and v.kind == "command"]


def _time(item: Item) -> datetime | None:
    return (item.verification.at if item.verification else None) or item.ended_at


def _checked(item: Item, verification: Verification) -> _Told:
    status = "passed" if verification.passed else "failed"
    detail = "" if verification.exit_status is None else f"exit status {verification.exit_status}"
    return EventKind.CHECK_FINISHED, {
        "name": item.id,
        "command": verification.command,
        "status": status,
        "detail": detail,
    }


def _noted(checkpoint: LegacyCheckpoint) -> _Told:
    said = "; ".join(filter(None, (checkpoint.message, checkpoint.summary, *checkpoint.decisions)))
    text = f"checkpoint {checkpoint.id} (no file contents)" + (f": {said}" if said else "")
    return EventKind.RUN_IMPORTED, {"text": fields.text(text), "phase": checkpoint.phase}


def _used(use: ToolUse) -> _Told:
    detail: dict[str, Json] = {"task": use.task_id, "phase": use.phase, "success": use.succeeded}
    if use.error:
        detail["error"] = use.error
    return EventKind.AGENT_TOOL, {"tool": use.tool, "detail": detail}
