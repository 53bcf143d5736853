"""Events: what happened in a run, in order, each chained to the one before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.model.ids import RunId
from orchestrator.model.json import JsonObject


class EventKind(StrEnum):
    """Every kind of event; scripts depend on the values."""

    RUN_STARTED = "run.started"
    RUN_RESUMED = "run.resumed"
    RUN_WAITING = "run.waiting"
    RUN_CANCEL_REQUESTED = "run.cancel_requested"
    RUN_RECOVERED = "run.recovered"
    RUN_ARCHIVED = "run.archived"
    RUN_IMPORTED = "run.imported"
    RUN_STATUS = "run.status"
    RUN_FINISHED = "run.finished"
    PLAN_ASKED = "plan.asked"
    PLAN_REFUSED = "plan.refused"
    PLAN_READY = "plan.ready"
    PHASE_STARTED = "phase.started"
    PHASE_WAITING = "phase.waiting"
    PHASE_FINISHED = "phase.finished"
    EXECUTION_STARTED = "execution.started"
    EXECUTION_FINISHED = "execution.finished"
    STEP_STARTED = "step.started"
    STEP_FINISHED = "step.finished"
    AGENT_CHECKED = "agent.checked"
    AGENT_SESSION = "agent.session"
    AGENT_SAID = "agent.said"
    AGENT_TOOL = "agent.tool"
    AGENT_PERMISSION = "agent.permission"
    AGENT_USAGE = "agent.usage"
    AGENT_REQUEST = "agent.request"
    ROUND_FINISHED = "round.finished"
    CHECKPOINT_CREATED = "checkpoint.created"
    CHECK_STARTED = "check.started"
    CHECK_FINISHED = "check.finished"
    FINDING_ADDED = "finding.added"
    FINDING_MERGED = "finding.merged"
    FINDING_RESOLVED = "finding.resolved"
    VERDICT_REACHED = "verdict.reached"
    APPROVAL_REQUESTED = "approval.requested"
    BRANCH_UPDATED = "branch.updated"
    INTERVENTION_REQUESTED = "intervention.requested"
    INTERVENTION_RESOLVED = "intervention.resolved"
    FINGERPRINT_CHANGED = "fingerprint.changed"
    ARTIFACT_ADDED = "artifact.added"
    OPERATION_STARTED = "operation.started"
    OPERATION_FINISHED = "operation.finished"


@dataclass(frozen=True, slots=True)
class Event:
    """One recorded fact.

    `seq` counts all events of a database from 1 without gaps, `run_seq` those of its run.

    `hash` is SHA-256 over the previous event's hash and this event's content, so that a changed or
    removed row shows (`doctor` verifies the chain).
    """

    seq: int
    run_seq: int
    at: datetime
    run_id: RunId | None
    kind: EventKind
    data: JsonObject
    trace_id: str
    duration_ms: float | None
    hash: str


@dataclass(frozen=True, slots=True)
class PastEvent:
    """Something that happened before we kept record, in the words of our events; `at` is when it happened."""

    at: datetime
    kind: EventKind
    data: JsonObject
