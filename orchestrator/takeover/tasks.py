"""The tasks of W's third generation: `.orchestrator/state.json` with `tasks`, a schema of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.model.json import JsonObject
from orchestrator.takeover import fields

MAX_TASKS = 200


@dataclass(frozen=True, slots=True)
class LegacyTask:
    """A task that an agent claimed. V3 keeps no word about what it was to do."""

    id: str
    agent: str
    phase: str
    claimed_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class TaskList:
    """The tasks of one file, oldest first; `left_out` counts those beyond the first 200."""

    source: str
    tasks: tuple[LegacyTask, ...]
    left_out: int


def is_task_list(document: JsonObject) -> bool:
    """Returns whether a JSON object is V3's state, by what it holds."""
    return isinstance(document.get("tasks"), Mapping) and "workflow_id" not in document


def parse_tasks(document: JsonObject, source: str) -> TaskList:
    """Returns the tasks of V3's state."""
    found = fields.mapping(document.get("tasks"))
    read = [_task(key, fields.mapping(found[key])) for key in found]
    tasks = [task for task in read if task.id]
    tasks.sort(key=lambda task: task.claimed_at.timestamp() if task.claimed_at else 0.0)
    return TaskList(source, tuple(tasks[:MAX_TASKS]), max(0, len(tasks) - MAX_TASKS))


def _task(key: str, state: JsonObject) -> LegacyTask:
    return LegacyTask(
        id=fields.line(key, 64),
        agent=fields.line(state.get("agent_id"), 64),
        phase=fields.line(state.get("phase"), 64),
        claimed_at=fields.moment(state.get("claimed_at")),
        completed_at=fields.moment(state.get("completed_at")),
    )
