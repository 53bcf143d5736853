"""Events in words: one line each, for the log, the live view and the log file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.model.event import Event, EventKind
from orchestrator.model.json import Json, JsonObject

Told = Callable[[JsonObject], str]


def describe(event: Event) -> str:
    """Returns what happened in one line; never empty."""
    told = _WORDS.get(event.kind)
    text = told(event.data) if told is not None else _plain(event)
    return " ".join(text.split())


def text_of(data: JsonObject, name: str) -> str:
    """Returns a field as text, empty when it is absent."""
    value = data.get(name)
    if value is None or isinstance(value, Mapping):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return " ".join(str(part) for part in value)


def _plain(event: Event) -> str:
    details = " ".join(f"{name}={text_of(event.data, name)}" for name in event.data)
    return f"{event.kind.replace('.', ' ').replace('_', ' ')} {details}"


def _checked(data: JsonObject) -> str:
    seconds = data.get("duration_s")
    took = f" ({seconds:.1f} s)" if isinstance(seconds, int | float) else ""
    return f"check {text_of(data, 'category')}: {text_of(data, 'status')}  {text_of(data, 'command')}{took}"


def _found(data: JsonObject) -> str:
    new = "new " if data.get("new") else ""
    place = text_of(data, "location")
    where = f"{place}: " if place else ""
    return f"{new}{text_of(data, 'severity')} {text_of(data, 'category')}: {where}{text_of(data, 'message')}"


def _decided(data: JsonObject) -> str:
    reasons = text_of(data, "reasons")
    return f"verdict: {text_of(data, 'decision')}" + (f" because {reasons}" if reasons else "")


def _finished(data: JsonObject) -> str:
    parts = (text_of(data, "status"), text_of(data, "outcome"), text_of(data, "branch"))
    return "run finished: " + ", ".join(part for part in parts if part)


def _commit(data: Mapping[str, Json]) -> str:
    return text_of(data, "commit")[:12]


_WORDS: dict[EventKind, Told] = {
    EventKind.PHASE_STARTED: lambda d: f"phase {text_of(d, 'phase')} {text_of(d, 'name')} started",
    EventKind.PHASE_FINISHED: lambda d: f"phase {text_of(d, 'phase')} finished {text_of(d, 'status')}",
    EventKind.STEP_STARTED: lambda d: (
        f"step {text_of(d, 'step')}: {text_of(d, 'agent')} {text_of(d, 'task')}"
    ),
    EventKind.AGENT_SAID: lambda d: f"agent: {text_of(d, 'text')}",
    EventKind.CHECK_FINISHED: _checked,
    EventKind.CHECKPOINT_CREATED: lambda d: f"checkpoint {_commit(d)} {text_of(d, 'label')}",
    EventKind.FINDING_ADDED: _found,
    EventKind.VERDICT_REACHED: _decided,
    EventKind.RUN_FINISHED: _finished,
}
