"""Reads W's state where it still lies, for commands that read, until somebody migrates; writes nothing.

Ids are those that the runs will have after the migration.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.model.event import EventKind, PastEvent
from orchestrator.model.finding import DEFAULT_SEVERITY, Category, Finding
from orchestrator.model.ids import RunId
from orchestrator.paths import names
from orchestrator.takeover import naming, past, workflow
from orchestrator.takeover.gathering import Gathered, gather
from orchestrator.takeover.history import LegacyCheckpoint
from orchestrator.takeover.original import Original, Problem
from orchestrator.takeover.workflow import DONE, Standing, Workflow

NOTICE = "⚡ Using legacy paths — migrate with: orchestrator migrate"
"""What a command says on a terminal that answers from the old place."""

MAX_SESSIONS = 50
_LOG_BYTES = 4 * 1024 * 1024

_ROOT = (
    (".workflow_state.json", "state"),
    (".workflow_log.jsonl", "log"),
    (".workflow_checkpoints", "checkpoint"),
)
_INSIDE = (("state.json", "state"), ("log.jsonl", "log"), ("audit.jsonl", "log"))
_WORDS = {Standing.ACTIVE: "waiting", Standing.COMPLETED: "completed"}


@dataclass(frozen=True, slots=True)
class LegacyRun:
    """A workflow of an earlier tool as one line of `status`; `phase` is empty when it has ended."""

    id: RunId
    task: str
    status: str
    phase: str


@dataclass(frozen=True, slots=True)
class LegacyReport:
    """Everything that is known of one workflow of an earlier tool; `past` and `checkpoints` oldest first."""

    run: LegacyRun
    workflow: Workflow
    past: tuple[PastEvent, ...]
    checkpoints: tuple[LegacyCheckpoint, ...]
    source: str


@dataclass(frozen=True, slots=True)
class LegacyFinding:
    """A check that failed; `resolved` when the same one passed later."""

    finding: Finding
    resolved: bool


def legacy_status(root: Path) -> tuple[LegacyRun, ...]:
    """Returns the workflows of W below a checkout's root, newest first; none where nothing of it lies there.

    Never raises for what the files hold: what cannot be read is left out (`legacy_problems` tells of it).
    """
    return tuple(_line(found) for found in reversed(_gathered(root).workflows()))


def legacy_problems(root: Path) -> tuple[Problem, ...]:
    """Returns what of W's state cannot be read, and why."""
    return tuple(_gathered(root).problems)


def legacy_report(root: Path, run_id: str) -> LegacyReport:
    """Returns what is known of one workflow, by the id that `legacy_status` gives or the one W gave it.

    Raises:
        Refused: `unknown-run`.
    """
    gathered = _gathered(root)
    for found in gathered.workflows():
        if run_id in (found.id, naming.run_id(found.id)):
            return _report(found, gathered)
    raise Refused(
        f"There is no run {run_id!r}.", code="unknown-run", hint="List them with: orchestrator status"
    )


def legacy_findings(report: LegacyReport) -> tuple[LegacyFinding, ...]:
    """Returns the checks that failed by what the workflow's past says, each once, as it failed last."""
    failed: dict[str, Finding] = {}
    passed: set[str] = set()
    for event in report.past:
        if event.kind is not EventKind.CHECK_FINISHED:
            continue
        name = str(event.data.get("name", ""))
        if event.data.get("status") == "failed":
            failed[name] = _finding(
                name, str(event.data.get("command", "")), str(event.data.get("detail", ""))
            )
            passed.discard(name)
        else:
            passed.add(name)
    return tuple(LegacyFinding(finding, name in passed) for name, finding in failed.items())


def _finding(name: str, command: str, detail: str) -> Finding:
    said = ": ".join(part for part in (command, detail) if part)
    category = Category.CUSTOM
    return Finding(DEFAULT_SEVERITY[category], category, said or "the check failed", rule=name)


def _gathered(root: Path) -> Gathered:
    return gather(_originals(root), log_bytes=_LOG_BYTES)


def _originals(root: Path) -> list[Original]:
    found = [Original("w", kind, name, root / name) for name, kind in _ROOT]
    inside = root / names.DIRECTORY
    if not inside.is_symlink():
        found += [Original("w", kind, f"{names.DIRECTORY}/{name}", inside / name) for name, kind in _INSIDE]
        sessions = inside / names.SESSIONS
        for name in _names(sessions)[:MAX_SESSIONS]:
            found.append(
                Original("w", "state", f"{names.DIRECTORY}/{names.SESSIONS}/{name}", sessions / name)
            )
    return [original for original in found if os.path.lexists(original.path)]


def _names(directory: Path) -> list[str]:
    if directory.is_symlink():
        return []
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _line(found: Workflow) -> LegacyRun:
    status = _WORDS.get(found.standing, "cancelled")
    phase = next((each.id for each in found.phases if each.standing not in DONE), "")
    current = found.current_phase or phase
    return LegacyRun(naming.run_id(found.id), found.task, status, current if status == "waiting" else "")


def _report(found: Workflow, gathered: Gathered) -> LegacyReport:
    start = found.created_at or found.updated_at or workflow.UNKNOWN
    happened, _ = past.of_workflow(
        found,
        gathered.events.get(found.id, ()),
        gathered.checkpoints.get(found.id, ()),
        gathered.feedback.get(found.id, ()),
        start,
    )
    kept = sorted(gathered.checkpoints.get(found.id, ()), key=lambda each: each.at or workflow.UNKNOWN)
    return LegacyReport(_line(found), found, happened, tuple(kept), found.source)
