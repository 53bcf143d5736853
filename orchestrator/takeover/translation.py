"""A workflow of W as a run of ours: its document, as checkpoints carry it, and what happened before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.model.ids import ExecutionId, ObjectId, PhaseId
from orchestrator.model.plan import Plan, PlannedPhase
from orchestrator.model.record import InterventionStatus, ManualIntervention
from orchestrator.model.run import (
    Execution,
    ExecutionProgress,
    ExecutionStatus,
    Outcome,
    Phase,
    PhaseStatus,
    Run,
    RunMetadata,
    RunOptions,
    RunOrigin,
    RunProgress,
    RunStatus,
)
from orchestrator.state.document import RunDocument
from orchestrator.takeover import fields, naming
from orchestrator.takeover.approvals import LegacyApproval
from orchestrator.takeover.workflow import DONE, Item, Standing, Workflow, WorkflowPhase

WAITING_FOR = "you: it was taken over from an earlier orchestrator"
NO_BASE = ObjectId("0" * 40)
"""Stands for the commit that an ended run started from, which nobody recorded."""

_TOOL = "workflow-orchestrator"
_STATUS = {
    Standing.COMPLETED: RunStatus.COMPLETED,
    Standing.ABANDONED: RunStatus.CANCELLED,
    Standing.FAILED: RunStatus.CANCELLED,
    Standing.SKIPPED: RunStatus.CANCELLED,
}
_DECIDED = {"approved": "approved", "auto_approved": "approved by a rule", "rejected": "rejected"}


@dataclass(frozen=True, slots=True)
class Ground:
    """What runs that are taken over stand on: the commit to go on from, and the configuration frozen in them.

    `base` is None in a repository without a commit, where nothing can be gone on with. `branch` is the full
    name of the ref that the checkout is on, `config` what `config.frozen.freeze` gave.
    """

    base: ObjectId | None
    branch: str | None
    checkout: str
    config: str
    workflow_yaml: str | None
    max_retries: int
    now: datetime


def translated(workflow: Workflow, approvals: tuple[LegacyApproval, ...], ground: Ground) -> RunDocument:
    """Returns the run of a workflow with phases, attempts and what needs a person.

    One that was not finished waits for a person: finished phases are completed, the others are its plan.
    """
    run = _run(workflow, ground)
    phases = _phases(workflow, run, ground)
    attempts = tuple(
        _attempt(workflow, run, old, phase)
        for old, phase in zip(workflow.phases, phases, strict=True)
        if phase.status in (PhaseStatus.COMPLETED, PhaseStatus.IN_PROGRESS)
    )
    asked = [_approval(run, phases, approval) for approval in approvals]
    if run.status is RunStatus.WAITING:
        asked.append(_question(workflow, run))
    return RunDocument(1, run, phases, attempts, (), tuple(asked), (), ())


def can_go_on(workflow: Workflow, ground: Ground) -> bool:
    """Returns whether a workflow becomes a run that `resume` takes up."""
    return workflow.standing is Standing.ACTIVE and ground.base is not None and bool(_remaining(workflow))


def title(workflow: Workflow) -> str:
    """Returns the task of a workflow; never empty."""
    return workflow.task or f"Go on with {workflow.type or 'the workflow'} {workflow.id}"


def _remaining(workflow: Workflow) -> list[WorkflowPhase]:
    return [phase for phase in workflow.phases if phase.standing not in DONE]


def _run(workflow: Workflow, ground: Ground) -> Run:
    status = _status(workflow, ground)
    created = workflow.created_at or workflow.updated_at or ground.now
    ended = workflow.completed_at or workflow.updated_at or created
    metadata = RunMetadata(
        options=RunOptions(),
        origin=RunOrigin(ground.base or NO_BASE, ground.branch, ground.checkout),
        config=ground.config,
        trace_id=naming.trace_id(workflow.id),
        workflow_yaml=ground.workflow_yaml,
        progress=_progress(workflow, status, ground),
    )
    completed = None if status is RunStatus.WAITING else ended
    return Run(naming.run_id(workflow.id), title(workflow), status, created, created, completed, metadata)


def _status(workflow: Workflow, ground: Ground) -> RunStatus:
    if can_go_on(workflow, ground):
        return RunStatus.WAITING
    if workflow.standing is Standing.ACTIVE and not _remaining(workflow):
        return RunStatus.COMPLETED
    return _STATUS.get(workflow.standing, RunStatus.CANCELLED)


def _progress(workflow: Workflow, status: RunStatus, ground: Ground) -> RunProgress:
    version = f" {workflow.version}" if workflow.version else ""
    origin = (
        f"Taken over from {_TOOL} ({workflow.type or 'workflow'}{version}, {workflow.id}, {workflow.source})."
    )
    notes = [origin, "What it changed lies in your own commits and working tree; no result of ours holds it."]
    if workflow.standing is Standing.ACTIVE and ground.base is None:
        notes.append("It was not finished, and this repository has no commit to go on from.")
    return RunProgress(
        outcome=Outcome.UNVERIFIED if status is RunStatus.COMPLETED else None,
        waiting_for=WAITING_FOR if status is RunStatus.WAITING else None,
        error="It was given up before it was taken over." if status is RunStatus.CANCELLED else None,
        notes=tuple(notes),
    )


def _phases(workflow: Workflow, run: Run, ground: Ground) -> tuple[Phase, ...]:
    made: list[Phase] = []
    for position, old in enumerate(workflow.phases):
        planned = _planned(old, position, made)
        status = _phase_status(old, run.status)
        began = old.started_at or run.created_at
        made.append(
            Phase(
                run_id=run.id,
                position=position,
                plan=planned,
                status=status,
                retries=min(sum(item.retries for item in old.items), fields.MAX_COUNT),
                max_retries=ground.max_retries,
                created_at=run.created_at,
                started_at=None if status in (PhaseStatus.PENDING, PhaseStatus.SKIPPED) else began,
                completed_at=(old.completed_at or began) if status in _ENDED_PHASE else None,
            )
        )
    if made:
        Plan.of(tuple(phase.plan for phase in made))
    return tuple(made)


_ENDED_PHASE = frozenset({PhaseStatus.COMPLETED, PhaseStatus.SKIPPED})


def _phase_status(old: WorkflowPhase, run: RunStatus) -> PhaseStatus:
    """Returns where a phase stands; one that a resumed run has to do is pending, however far it was."""
    if old.standing is Standing.COMPLETED:
        return PhaseStatus.COMPLETED
    if old.standing is Standing.SKIPPED:
        return PhaseStatus.SKIPPED
    if run is RunStatus.COMPLETED:
        return PhaseStatus.SKIPPED
    if run is RunStatus.CANCELLED and old.standing is not Standing.PENDING:
        return PhaseStatus.IN_PROGRESS
    return PhaseStatus.PENDING


def _planned(old: WorkflowPhase, position: int, before: list[Phase]) -> PlannedPhase:
    wished = naming.phase_id(old.id, position)
    return PlannedPhase(
        id=_free(wished, position, {phase.id for phase in before}),
        name=old.name or wished,
        description=_description(old),
        dependencies=(before[-1].id,) if before else (),
        verification_criteria=tuple(filter(None, (_criterion(item) for item in old.items))),
    )


def _free(wished: PhaseId, position: int, taken: set[PhaseId]) -> PhaseId:
    """Returns an id that no earlier phase has; two may be alike once they are cleaned."""
    chosen = wished
    while chosen in taken:
        position += 1
        chosen = PhaseId(f"{wished[:50]}-{position}")
    return chosen


def _description(old: WorkflowPhase) -> str:
    parts = [old.description]
    for heading, wanted in (("Still to do:", False), ("Done before it was taken over:", True)):
        lines = [_item_line(item) for item in old.items if (item.standing in DONE) is wanted]
        if lines:
            parts.append(heading + "\n" + "\n".join(lines))
    return fields.text("\n\n".join(part for part in parts if part), 8_000)


def _item_line(item: Item) -> str:
    said = item.note if item.standing in DONE else item.description
    skipped = " (skipped)" if item.standing is Standing.SKIPPED else ""
    return f"- {item.name}{skipped}" + (f": {fields.line(said, 400)}" if said else "")


def _criterion(item: Item) -> str | None:
    wanted = item.verification
    if wanted is None or item.standing in DONE:
        return None
    if wanted.command:
        return f"`{wanted.command}` succeeds"
    return f"{wanted.path} exists" if wanted.kind == "file_exists" and wanted.path else None


def _attempt(workflow: Workflow, run: Run, old: WorkflowPhase, phase: Phase) -> Execution:
    finished = phase.status is PhaseStatus.COMPLETED
    began = phase.started_at or run.created_at
    return Execution(
        id=ExecutionId(naming.child_id("execution", workflow.id, phase.id)),
        run_id=run.id,
        phase_id=phase.id,
        attempt=1,
        status=ExecutionStatus.SUCCEEDED if finished else ExecutionStatus.INTERRUPTED,
        error=None if finished else "it was given up",
        created_at=began,
        completed_at=phase.completed_at or run.completed_at or began,
        progress=ExecutionProgress(steps_done=sum(item.standing in DONE for item in old.items)),
    )


def _approval(run: Run, phases: tuple[Phase, ...], old: LegacyApproval) -> ManualIntervention:
    is_open = old.status == "pending" and run.status is RunStatus.WAITING
    decided = _DECIDED.get(old.status, old.status or "never decided")
    created = old.created_at or run.created_at
    asked = old.operation or "for approval"
    intervention = naming.intervention_id(run.id, old.id)
    return ManualIntervention(
        id=intervention,
        run_id=run.id,
        phase_id=next((phase.id for phase in phases if phase.id == old.phase), None),
        reason=f"{old.agent or 'An agent'} asked: {asked} (risk: {old.risk or 'unknown'})",
        action_required=f"Say what is to be done: orchestrator resolve {intervention}",
        status=InterventionStatus.OPEN if is_open else InterventionStatus.RESOLVED,
        note=None if is_open else decided + (f": {old.reason}" if old.reason else ""),
        resolved_at=None if is_open else old.decided_at or created,
        created_at=created,
    )


def _question(workflow: Workflow, run: Run) -> ManualIntervention:
    names = ", ".join(phase.name for phase in _remaining(workflow)[:5])
    base = run.metadata.origin.base[:12]
    return ManualIntervention(
        id=naming.intervention_id(run.id, "taken over"),
        run_id=run.id,
        phase_id=None,
        reason=f"{_TOOL} had not finished it: {names} remain.",
        action_required=f"It goes on from commit {base}; what is not committed there is not in it."
        f" Look at it (orchestrator report {run.id}), then: orchestrator resume {run.id}",
        status=InterventionStatus.OPEN,
        note=None,
        resolved_at=None,
        created_at=workflow.updated_at or run.created_at,
    )
