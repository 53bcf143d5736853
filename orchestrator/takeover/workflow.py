"""A workflow of W (keevaspeyer10x/workflow-orchestrator), read from its state with everything optional.

Source: W's `src/schema.py` as of 2026-01 and the states committed in its repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from orchestrator.model.json import Json, JsonObject
from orchestrator.takeover import fields
from orchestrator.takeover.history import LegacyEvent
from orchestrator.takeover.reading import Unusable

UNKNOWN = datetime(1990, 1, 1, tzinfo=UTC)
"""Stands for a time that nobody wrote down."""

MAX_PHASES = 100
MAX_ITEMS = 200


class Standing(StrEnum):
    """Where a workflow, a phase or an item of it stands, in one vocabulary."""

    PENDING = "pending"
    ACTIVE = "active"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    ABANDONED = "abandoned"


DONE = frozenset({Standing.COMPLETED, Standing.SKIPPED})
_WORDS = {
    "active": Standing.ACTIVE,
    "in_progress": Standing.ACTIVE,
    "paused": Standing.ACTIVE,
    "completed": Standing.COMPLETED,
    "skipped": Standing.SKIPPED,
    "blocked": Standing.FAILED,
    "failed": Standing.FAILED,
    "abandoned": Standing.ABANDONED,
}


@dataclass(frozen=True, slots=True)
class Verification:
    """What W checked before it let an item count as done; `passed` None: it was not checked."""

    kind: str
    command: str
    path: str
    passed: bool | None
    exit_status: int | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a phase's checklist."""

    id: str
    name: str
    description: str
    standing: Standing
    retries: int
    note: str
    verification: Verification | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class WorkflowPhase:
    """A phase with its checklist, in the order of the definition."""

    id: str
    name: str
    description: str
    standing: Standing
    started_at: datetime | None
    completed_at: datetime | None
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    """One task that W worked on; `source` is the file that tells of it."""

    id: str
    type: str
    version: str
    task: str
    project: str
    standing: Standing
    current_phase: str
    phases: tuple[WorkflowPhase, ...]
    created_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    source: str


def is_workflow(document: JsonObject) -> bool:
    """Returns whether a JSON object is the state of a workflow of W, by what it holds."""
    return isinstance(document.get("workflow_id"), str) and isinstance(document.get("phases"), Mapping)


def parse_workflow(document: JsonObject, source: str) -> Workflow:
    """Returns the workflow that W's state describes; what it lacks is empty, what is too much is left out.

    Raises:
        Unusable: it is no state of W's, or its workflow has no id.
    """
    if not is_workflow(document):
        raise Unusable("is no state of a workflow: workflow_id or phases are missing")
    workflow_id = fields.line(document.get("workflow_id"))
    if not workflow_id:
        raise Unusable("names no workflow: its workflow_id is empty")
    return Workflow(
        id=workflow_id,
        type=fields.line(document.get("workflow_type")),
        version=fields.line(document.get("workflow_version")),
        task=fields.text(document.get("task_description"), fields.TASK_CHARACTERS),
        project=fields.line(document.get("project")),
        standing=_standing(document.get("status"), Standing.ACTIVE),
        current_phase=fields.line(document.get("current_phase_id")),
        phases=_phases(document),
        created_at=fields.moment(document.get("created_at")),
        updated_at=fields.moment(document.get("updated_at")),
        completed_at=fields.moment(document.get("completed_at")),
        source=source,
    )


def from_events(workflow_id: str, events: tuple[LegacyEvent, ...], source: str) -> Workflow:
    """Returns what a log tells of a workflow whose state is gone: abandoned, unless it says otherwise."""
    started = next((event for event in events if event.type == "workflow_started"), None)
    named: dict[str, WorkflowPhase] = {}
    for event in events:
        if event.phase and event.phase not in named and len(named) < MAX_PHASES:
            name = event.message.removeprefix("Started phase: ") if event.type == "phase_started" else ""
            named[event.phase] = WorkflowPhase(
                event.phase, name or event.phase, "", Standing.ACTIVE, event.at, None, ()
            )
    times = [event.at for event in events if event.at is not None]
    made = Workflow(
        id=workflow_id,
        type=fields.line(started.details.get("workflow_type")) if started else "",
        version="",
        task=started.message.removeprefix("Started workflow: ") if started else "",
        project=fields.line(started.details.get("project")) if started else "",
        standing=Standing.ABANDONED,
        current_phase=next(reversed(named), ""),
        phases=tuple(named.values()),
        created_at=min(times, default=None),
        updated_at=None,
        completed_at=None,
        source=source,
    )
    return brought_up_to_date(made, events)


def brought_up_to_date(workflow: Workflow, events: tuple[LegacyEvent, ...]) -> Workflow:
    """Returns the workflow with the ends that a log records after its state was written."""
    for event in events:
        if not _is_later(event.at, workflow.updated_at):
            continue
        if event.type == "workflow_completed":
            workflow = replace(workflow, standing=Standing.COMPLETED, completed_at=event.at)
        elif event.type == "workflow_abandoned":
            workflow = replace(workflow, standing=Standing.ABANDONED, completed_at=event.at)
        elif event.type == "phase_completed":
            workflow = replace(
                workflow,
                phases=tuple(
                    replace(phase, standing=Standing.COMPLETED, completed_at=event.at)
                    if phase.id == event.phase
                    else phase
                    for phase in workflow.phases
                ),
            )
    return workflow


def newest(workflows: list[Workflow]) -> Workflow:
    """Returns the account of a workflow that was written last; the first one where none says when."""
    return max(workflows, key=lambda each: each.updated_at.timestamp() if each.updated_at else 0.0)


def _is_later(at: datetime | None, than: datetime | None) -> bool:
    return than is None or (at is not None and at > than)


def _phases(document: JsonObject) -> tuple[WorkflowPhase, ...]:
    states = fields.mapping(document.get("phases"))
    defined = _by_id(fields.mapping(document.get("workflow_definition")).get("phases"))
    order = [*defined, *(key for key in states if key not in defined)][:MAX_PHASES]
    return tuple(_phase(key, fields.mapping(states.get(key)), defined.get(key, {})) for key in order)


def _phase(key: str, state: JsonObject, defined: JsonObject) -> WorkflowPhase:
    states = fields.mapping(state.get("items"))
    items = _by_id(defined.get("items"))
    order = [*items, *(name for name in states if name not in items)][:MAX_ITEMS]
    return WorkflowPhase(
        id=fields.line(key),
        name=fields.line(defined.get("name")) or fields.line(key),
        description=fields.text(defined.get("description")),
        standing=_standing(state.get("status"), Standing.PENDING),
        started_at=fields.moment(state.get("started_at")),
        completed_at=fields.moment(state.get("completed_at")),
        items=tuple(_item(name, fields.mapping(states.get(name)), items.get(name, {})) for name in order),
    )


def _item(key: str, state: JsonObject, defined: JsonObject) -> Item:
    return Item(
        id=fields.line(key),
        name=fields.line(defined.get("name")) or fields.line(key),
        description=fields.text(defined.get("description"), 1_000),
        standing=_standing(state.get("status"), Standing.PENDING),
        retries=fields.count(state.get("retry_count")),
        note=fields.text(state.get("notes"), 1_000) or fields.text(state.get("skip_reason"), 1_000),
        verification=_verification(state.get("verification_result"), defined.get("verification")),
        ended_at=fields.moment(state.get("completed_at")) or fields.moment(state.get("skipped_at")),
    )


def _verification(result: Json, defined: Json) -> Verification | None:
    """Returns what was checked, or is still to be; a template that W never filled in is left out."""
    found, wanted = fields.mapping(result), fields.mapping(defined)
    kind = fields.word(found.get("type")) or fields.word(wanted.get("type"))
    if kind in ("", "none"):
        return None
    command = fields.line(found.get("command")) or fields.line(wanted.get("command"))
    status = found.get("exit_code")
    exit_status = status if isinstance(status, int) and abs(status) < 2**31 else None
    return Verification(
        kind=kind,
        command="" if "{{" in command else command,
        path=fields.line(found.get("path")) or fields.line(wanted.get("path")),
        passed=_passed(found, exit_status, wanted.get("expect_exit_code")),
        exit_status=exit_status,
        at=fields.moment(found.get("timestamp")) or fields.moment(found.get("approved_at")),
    )


def _passed(found: JsonObject, exit_status: int | None, expected: Json) -> bool | None:
    if exit_status is not None:
        return exit_status == (expected if isinstance(expected, int) else 0)
    for name in ("exists", "approved", "success", "passed"):
        value = found.get(name)
        if isinstance(value, bool):
            return value
    return None


def _by_id(value: Json) -> dict[str, JsonObject]:
    found: dict[str, JsonObject] = {}
    for each in fields.sequence(value):
        defined = fields.mapping(each)
        name = defined.get("id")
        if isinstance(name, str) and name:
            found.setdefault(name, defined)
    return found


def _standing(value: Json, default: Standing) -> Standing:
    return _WORDS.get(fields.word(value), default) if value is not None else default
