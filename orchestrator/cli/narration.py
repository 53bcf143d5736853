"""Events in words: one line each, for the log, the live view and the log file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.model.event import Event, EventKind
from orchestrator.model.finding import REVIEW
from orchestrator.model.json import JsonObject

Told = Callable[[JsonObject], str]


def describe(event: Event) -> str:
    """Returns what happened in one line; never empty."""
    told = _WORDS.get(event.kind)
    text = told(event.data) if told is not None else _plain(event)
    return " ".join(text.split()) or str(event.kind)


def headline(event: Event) -> str:
    """Returns what a live view shows as the current activity, empty when the event changes none."""
    activities = (
        EventKind.STEP_STARTED,
        EventKind.CHECK_STARTED,
        EventKind.RUN_WAITING,
        EventKind.PLAN_ASKED,
    )
    return describe(event) if event.kind in activities else ""


def text_of(data: JsonObject, name: str) -> str:
    """Returns a field as text, empty when it is absent."""
    value = data.get(name)
    if value is None or isinstance(value, Mapping):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return " ".join(str(part) for part in value if not isinstance(part, Mapping))


def phase_of(data: JsonObject) -> str:
    """Returns the id of the phase that an event is about, empty when it is about none."""
    return text_of(data, "phase_id") or text_of(data, "phase")


def planned_phases(data: JsonObject) -> list[tuple[str, str]]:
    """Returns id and name of each phase of a `plan.ready` event."""
    phases = data.get("phases")
    if not isinstance(phases, list | tuple):
        return []
    found = [phase for phase in phases if isinstance(phase, Mapping)]
    return [(text_of(phase, "id"), text_of(phase, "name")) for phase in found]


def _plain(event: Event) -> str:
    details = " ".join(f"{name}={text_of(event.data, name)}" for name in event.data)
    return f"{event.kind.replace('.', ' ').replace('_', ' ')} {details}"


def _planned(data: JsonObject) -> str:
    return "plan: " + ", ".join(f"{phase} {name}" for phase, name in planned_phases(data))


def _asked(data: JsonObject) -> str:
    again = text_of(data, "step") not in ("", "1")
    return f"{text_of(data, 'agent') or 'somebody'} is asked for a plan{' again' if again else ''}"


def _rounded(data: JsonObject) -> str:
    count = text_of(data, "suggestions")
    brought = f", {count} suggestion{'' if count == '1' else 's'}" if count else ""
    stopped = text_of(data, "stopped")
    after = f"no further one: {stopped}" if stopped else "another one follows"
    return f"round {text_of(data, 'round')} of {text_of(data, 'rounds')} ended{brought}; {after}"


def _stepped(data: JsonObject) -> str:
    of = f" of {text_of(data, 'steps')}" if text_of(data, "steps") not in ("", "1") else ""
    round_ = f", round {text_of(data, 'round')}" if text_of(data, "rounds") not in ("", "1") else ""
    attempt = f", attempt {text_of(data, 'attempt')}" if text_of(data, "attempt") not in ("", "1") else ""
    what = f" ({text_of(data, 'task')})" if text_of(data, "task") else ""
    return f"step {text_of(data, 'step')}{of}{round_}{attempt}: {text_of(data, 'agent')}{what}"


def _checked(data: JsonObject) -> str:
    seconds = data.get("duration_s")
    took = f" ({seconds:.1f} s)" if isinstance(seconds, int | float) else ""
    again = ", known from before" if data.get("reused") else ""
    on_base = " on the base" if text_of(data, "tree") == "base" else ""
    detail = f": {text_of(data, 'detail')}" if text_of(data, "detail") else ""
    return f"check {_check_name(data)}{on_base}: {text_of(data, 'status')}{detail}{again}{took}"


def _check_name(data: JsonObject) -> str:
    name = text_of(data, "name") or text_of(data, "category")
    command = text_of(data, "command")
    return f"{name} ({command})" if command else name


def _found(data: JsonObject) -> str:
    by = text_of(data, "rule").removeprefix(REVIEW) if text_of(data, "rule").startswith(REVIEW) else ""
    said = f" ({by.replace(',', ', ')})" if by else ""
    old = "" if data.get("is_new", data.get("new", True)) else " (in the base too)"
    place = text_of(data, "location")
    where = f"{place}: " if place else ""
    what = f"{text_of(data, 'severity')} {text_of(data, 'category')}"
    return f"{what}: {where}{text_of(data, 'message')}{old}{said}"


def _decided(data: JsonObject) -> str:
    reasons = text_of(data, "reasons")
    return f"verdict: {text_of(data, 'decision')}" + (f" ({reasons})" if reasons else "")


def _finished(data: JsonObject) -> str:
    branch = text_of(data, "branch").removeprefix("refs/heads/")
    parts = (text_of(data, "status"), text_of(data, "outcome"), branch, text_of(data, "error"))
    return "run finished: " + ", ".join(part for part in parts if part)


def _changed(data: JsonObject) -> str:
    warning = text_of(data, "warning")
    return f"warning: {warning}" if warning else f"run is {text_of(data, 'status')}"


def _waits(data: JsonObject) -> str:
    until = f", until {text_of(data, 'wake_at')}" if text_of(data, "wake_at") else ""
    return f"run waits for {text_of(data, 'waiting_for') or 'you'}{until}"


def _attempted(data: JsonObject) -> str:
    error = f": {text_of(data, 'error')}" if text_of(data, "error") else ""
    return f"attempt {text_of(data, 'attempt')} of {phase_of(data)} {text_of(data, 'status')}{error}"


def _requested(data: JsonObject) -> str:
    answer = text_of(data, "status") or "no answer"
    return f"{text_of(data, 'method')} to {text_of(data, 'host')}: {answer}, {text_of(data, 'bytes')} bytes"


_WORDS: dict[EventKind, Told] = {
    EventKind.RUN_IMPORTED: lambda d: text_of(d, "text") or "taken over from an earlier orchestrator",
    EventKind.RUN_STARTED: lambda d: f"run started from {text_of(d, 'base')[:12]}",
    EventKind.RUN_RESUMED: lambda d: f"run resumed: {text_of(d, 'reason') or text_of(d, 'status')}",
    EventKind.RUN_STATUS: _changed,
    EventKind.RUN_WAITING: _waits,
    EventKind.RUN_CANCEL_REQUESTED: lambda d: "somebody asked the run to stop",
    EventKind.RUN_ARCHIVED: lambda d: f"run archived in {text_of(d, 'ref')}",
    EventKind.RUN_FINISHED: _finished,
    EventKind.PLAN_ASKED: _asked,
    EventKind.PLAN_REFUSED: lambda d: f"that is no plan: {text_of(d, 'reason')}",
    EventKind.PLAN_READY: _planned,
    EventKind.PHASE_STARTED: lambda d: f"phase {phase_of(d)} started",
    EventKind.PHASE_FINISHED: lambda d: f"phase {phase_of(d)} {text_of(d, 'status')}",
    EventKind.EXECUTION_STARTED: lambda d: f"attempt {text_of(d, 'attempt')} of {phase_of(d)} started",
    EventKind.EXECUTION_FINISHED: _attempted,
    EventKind.STEP_STARTED: _stepped,
    EventKind.STEP_FINISHED: lambda d: f"step {text_of(d, 'step')} {text_of(d, 'ending')}",
    EventKind.AGENT_SAID: lambda d: f"agent: {text_of(d, 'text')}",
    EventKind.AGENT_TOOL: lambda d: f"agent uses {text_of(d, 'tool')}",
    EventKind.AGENT_SESSION: lambda d: f"agent session {text_of(d, 'agent_session')}",
    EventKind.AGENT_PERMISSION: lambda d: (
        f"agent asks for {text_of(d, 'tool')}: {'granted' if d.get('granted') else 'denied'}"
    ),
    EventKind.AGENT_REQUEST: _requested,
    EventKind.CHECK_STARTED: lambda d: f"check {_check_name(d)} started",
    EventKind.CHECK_FINISHED: _checked,
    EventKind.ROUND_FINISHED: _rounded,
    EventKind.CHECKPOINT_CREATED: lambda d: f"checkpoint {text_of(d, 'commit')[:12]} {text_of(d, 'label')}",
    EventKind.FINDING_ADDED: lambda d: f"finding: {_found(d)}",
    EventKind.FINDING_MERGED: lambda d: f"found by another too: {_found(d)}",
    EventKind.FINDING_RESOLVED: lambda d: f"resolved: {_found(d)}",
    EventKind.VERDICT_REACHED: _decided,
    EventKind.BRANCH_UPDATED: lambda d: (
        f"branch {text_of(d, 'branch').removeprefix('refs/heads/')} is at {text_of(d, 'head')[:12]}"
    ),
    EventKind.INTERVENTION_REQUESTED: lambda d: f"needs you: {text_of(d, 'reason')}",
    EventKind.OPERATION_STARTED: lambda d: f"{text_of(d, 'operation')} begun",
    EventKind.OPERATION_FINISHED: lambda d: f"{text_of(d, 'operation')} {text_of(d, 'status')}",
}
