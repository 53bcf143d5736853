"""Reads everything the originals say, telling apart by content what earlier generations named alike."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.fs.disk import Disk
from orchestrator.migrate.sqlite import COMPANIONS
from orchestrator.model.json import JsonObject
from orchestrator.takeover import fields, history, reading, tasks, workflow
from orchestrator.takeover.original import Original, Problem
from orchestrator.takeover.reading import Unusable
from orchestrator.takeover.tasks import TaskList
from orchestrator.takeover.workflow import Workflow

if TYPE_CHECKING:
    from orchestrator.takeover.approvals import LegacyApproval

MAX_FILES = 2_000
_MAX_DEPTH = 5
_READ = frozenset({"state", "log", "checkpoint", "feedback", "database", "debris"})
_ENDINGS = (".json", ".jsonl", ".bak", ".migrated", ".db")


@dataclass(frozen=True, slots=True)
class Copies:
    """Where private copies of databases are made: an existing directory that nobody else uses."""

    disk: Disk
    scratch: Path


@dataclass(slots=True)
class Gathered:
    """What was found, by the earlier workflow id; `skipped` names originals that hold nothing of it."""

    log_bytes: int
    states: dict[str, list[Workflow]] = field(default_factory=dict)
    events: dict[str, list[history.LegacyEvent]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    checkpoints: dict[str, list[history.LegacyCheckpoint]] = field(default_factory=dict)
    feedback: dict[str, list[history.Feedback]] = field(default_factory=dict)
    task_lists: list[TaskList] = field(default_factory=list)
    tool_uses: list[history.ToolUse] = field(default_factory=list)
    approvals: list[LegacyApproval] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped: list[Problem] = field(default_factory=list)

    def workflows(self) -> list[Workflow]:
        """Returns each workflow once, as the newest account tells of it, oldest first."""
        found = []
        for workflow_id in dict.fromkeys([*self.states, *self.events]):
            events = tuple(self.events.get(workflow_id, ()))
            if workflow_id in self.states:
                known = workflow.newest(self.states[workflow_id])
                found.append(workflow.brought_up_to_date(known, events))
            else:
                found.append(workflow.from_events(workflow_id, events, self.logs[workflow_id]))
        return sorted(found, key=lambda each: each.created_at.timestamp() if each.created_at else 0.0)


def gather(
    originals: Iterable[Original], copies: Copies | None = None, *, log_bytes: int = reading.MAX_LINES_BYTES
) -> Gathered:
    """Returns what the originals say; they are not changed, and nothing is raised for what they hold.

    Without a place for copies databases are left alone. Of each log the last `log_bytes` are read.

    Raises:
        DiskFailed: a copy cannot be made.
    """
    gathered = Gathered(log_bytes)
    for original in originals:
        if original.kind not in _READ or original.source.endswith(COMPANIONS):
            continue
        if not any([_take(gathered, source, path, copies) for source, path in _files(original, gathered)]):
            gathered.skipped.append(Problem(original.source, "holds nothing that becomes a run; it is kept"))
    return gathered


def _files(original: Original, gathered: Gathered) -> Iterator[tuple[str, Path]]:
    """Yields the regular files of an original that may be read, sorted, never through a link."""
    if not _is_directory(original.path):
        yield original.source, original.path
        return
    seen = 0
    for directory, below, names in os.walk(original.path, followlinks=False):
        depth = len(Path(directory).relative_to(original.path).parts)
        below[:] = sorted(below) if depth < _MAX_DEPTH else []
        for name in sorted(names):
            if not name.endswith(_ENDINGS):
                continue
            seen += 1
            if seen > MAX_FILES:
                left = f"holds more than {MAX_FILES:,} files; the rest is kept and not read"
                gathered.problems.append(Problem(original.source, left))
                return
            path = Path(directory, name)
            yield f"{original.source}/{path.relative_to(original.path).as_posix()}", path


def _take(gathered: Gathered, source: str, path: Path, copies: Copies | None) -> bool:
    """Reads one file; returns whether something of it is used, or a problem tells why it is not."""
    try:
        if path.suffix == ".db":
            return _take_database(gathered, path, copies)
        if ".jsonl" in path.name:
            return _take_lines(gathered, source, path)
        return _take_object(gathered, source, reading.read_object(path))
    except Unusable as reason:
        gathered.problems.append(Problem(source, str(reason)))
        return True


def _take_database(gathered: Gathered, path: Path, copies: Copies | None) -> bool:
    if copies is None:
        return False
    from orchestrator.takeover.approvals import read_approvals  # SQLite, which dual reading does not need

    gathered.approvals += read_approvals(path, copies.disk, copies.scratch)
    return True


def _take_object(gathered: Gathered, source: str, document: JsonObject) -> bool:
    checkpoint = history.parse_checkpoint(document)
    if checkpoint is not None:
        gathered.checkpoints.setdefault(checkpoint.workflow_id, []).append(checkpoint)
        snapshot = fields.mapping(document.get("workflow_state_snapshot"))
        if workflow.is_workflow(snapshot):
            _add_state(gathered, workflow.parse_workflow(snapshot, source))
        return True
    if workflow.is_workflow(document):
        _add_state(gathered, workflow.parse_workflow(document, source))
        return True
    if tasks.is_task_list(document):
        found = tasks.parse_tasks(document, source)
        gathered.task_lists += [found] if found.tasks else []
        return bool(found.tasks)
    return False


def _add_state(gathered: Gathered, found: Workflow) -> None:
    gathered.states.setdefault(found.id, []).append(found)


def _take_lines(gathered: Gathered, source: str, path: Path) -> bool:
    lines = reading.read_lines(path, gathered.log_bytes)
    if lines.broken:
        count = f"{lines.broken} line" + ("s are" if lines.broken > 1 else " is")
        gathered.problems.append(Problem(source, f"{count} no JSON and left out"))
    if not lines.is_whole:
        gathered.problems.append(Problem(source, "is too long; its oldest lines are left out"))
    used = [_take_line(gathered, source, document) for document in lines.objects]
    return any(used) or bool(lines.broken)


def _take_line(gathered: Gathered, source: str, document: JsonObject) -> bool:
    event = history.parse_event(document)
    if event is not None:
        gathered.events.setdefault(event.workflow_id, []).append(event)
        gathered.logs.setdefault(event.workflow_id, source)
        return True
    use = history.parse_tool_use(document)
    if use is not None:
        gathered.tool_uses.append(use)
        return True
    told = history.parse_feedback(document)
    if told is not None:
        gathered.feedback.setdefault(told.workflow_id, []).append(told)
    return told is not None


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False
