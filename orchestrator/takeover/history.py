"""What W and its V3 wrote down as it happened: events, uses of tools, checkpoints, feedback."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.model.json import JsonObject
from orchestrator.takeover import fields


@dataclass(frozen=True, slots=True)
class LegacyEvent:
    """A line of `.workflow_log.jsonl`; `phase` and `item` are empty where it is about none."""

    at: datetime | None
    type: str
    workflow_id: str
    phase: str
    item: str
    message: str
    actor: str
    details: JsonObject


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A line of V3's `audit.jsonl`; arguments and results stay in the original: they hold file contents."""

    at: datetime | None
    task_id: str
    phase: str
    tool: str
    succeeded: bool
    error: str


@dataclass(frozen=True, slots=True)
class LegacyCheckpoint:
    """A `cp_*.json`: what W wrote about a moment; it holds no file contents, so nothing can be restored."""

    id: str
    workflow_id: str
    phase: str
    at: datetime | None
    message: str
    summary: str
    decisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Feedback:
    """A line of W's process feedback: what was learned from one workflow."""

    workflow_id: str
    at: datetime | None
    text: str


def parse_event(document: JsonObject) -> LegacyEvent | None:
    """Returns an event of a workflow; None when the object is none."""
    workflow_id, kind = fields.line(document.get("workflow_id")), fields.word(document.get("event_type"))
    if not workflow_id or not kind:
        return None
    return LegacyEvent(
        at=fields.moment(document.get("timestamp")),
        type=kind,
        workflow_id=workflow_id,
        phase=fields.line(document.get("phase_id")),
        item=fields.line(document.get("item_id")),
        message=fields.text(document.get("message")),
        actor=fields.line(document.get("actor"), 64),
        details=fields.mapping(document.get("details")),
    )


def parse_tool_use(document: JsonObject) -> ToolUse | None:
    """Returns a use of a tool; None when the object is none."""
    task_id, tool = fields.line(document.get("task_id")), fields.line(document.get("tool_name"))
    if not task_id or not tool:
        return None
    return ToolUse(
        at=fields.moment(document.get("timestamp")),
        task_id=task_id,
        phase=fields.line(document.get("phase")),
        tool=tool,
        succeeded=document.get("success") is True,
        error=fields.line(document.get("error")),
    )


def parse_checkpoint(document: JsonObject) -> LegacyCheckpoint | None:
    """Returns a checkpoint's description; None when the object is none."""
    checkpoint_id = fields.line(document.get("checkpoint_id"))
    workflow_id = fields.line(document.get("workflow_id"))
    if not checkpoint_id or not workflow_id:
        return None
    decisions = (fields.line(each) for each in fields.sequence(document.get("key_decisions"))[:50])
    return LegacyCheckpoint(
        id=checkpoint_id,
        workflow_id=workflow_id,
        phase=fields.line(document.get("phase_id")),
        at=fields.moment(document.get("timestamp")),
        message=fields.text(document.get("message")),
        summary=fields.text(document.get("context_summary")),
        decisions=tuple(decision for decision in decisions if decision),
    )


def parse_feedback(document: JsonObject) -> Feedback | None:
    """Returns what was learned; None for anonymous metrics and anything else."""
    workflow_id = fields.line(document.get("workflow_id"))
    said = [fields.text(document.get(name)) for name in ("learnings", "challenges")]
    text = "\n".join(part for part in said if part)
    if not workflow_id or not text:
        return None
    return Feedback(workflow_id, fields.moment(document.get("timestamp")), text)
