"""Decides after each round through the steps of a workflow whether there is another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.engine.budget import remaining
from orchestrator.engine.work import Work
from orchestrator.engine.workflow import RoundLimits
from orchestrator.model.event import EventKind
from orchestrator.model.finding import RecordedFinding
from orchestrator.model.ids import PhaseId
from orchestrator.model.run import Execution, ExecutionProgress, Phase, Rounds
from orchestrator.verify.gate import over_thresholds


class Stop(StrEnum):
    """Why there is no further round."""

    UNCHANGED = "nothing changed"
    GATES_HOLD = "the gates hold"
    FEW_SUGGESTIONS = "few suggestions"
    OUT_OF_BUDGET = "the budget is used up"
    MAX_ITERATIONS = "no round is left"


@dataclass(frozen=True, slots=True)
class RoundEvidence:
    """What is known of a round when it ends.

    `proved` tells that every check passed and at least one was run, `objected` that what reviewers complain
    about exceeds the thresholds; `suggestions` is how many claims they made in this round; `out_of` names the
    part of the budget that is used up.
    """

    iteration: int
    changed: bool
    proved: bool
    objected: bool
    suggestions: int
    out_of: str | None = None


def why_stop(evidence: RoundEvidence, limits: RoundLimits) -> Stop | None:
    """Returns why there is no further round, None when there is one: pure."""
    if not evidence.changed:
        return Stop.UNCHANGED
    if evidence.proved and not evidence.objected:
        return Stop.GATES_HOLD
    if evidence.suggestions < limits.min_suggestions:
        return Stop.FEW_SUGGESTIONS
    if evidence.out_of is not None:
        return Stop.OUT_OF_BUDGET
    return Stop.MAX_ITERATIONS if evidence.iteration >= limits.max_iterations else None


def end_round(work: Work, phase: Phase, execution: Execution) -> None:
    """Records how a round ended: the attempt is to be judged, or its steps are gone through again."""
    evidence = _evidence(work, phase, execution)
    stop = why_stop(evidence, work.limits)
    progress = _next_round(execution.progress) if stop is None else _stopped(execution.progress, stop)
    with work.context.state.transaction():
        work.context.state.set_execution_progress(
            execution.id,
            progress,
            event=EventKind.ROUND_FINISHED,
            data={
                "phase": phase.id,
                "attempt": execution.attempt,
                "round": evidence.iteration,
                "rounds": work.limits.max_iterations,
                "suggestions": evidence.suggestions,
                "changed": evidence.changed,
                "gates_hold": evidence.proved and not evidence.objected,
                "stopped": stop,
            },
        )
        if stop is not None:
            work.note(f"{phase.id} stopped after {sentence(stop, evidence, work.limits)}")


def sentence(stop: Stop, evidence: RoundEvidence, limits: RoundLimits) -> str:
    """Returns after which round the steps were not gone through again, and why."""
    reason: str = stop
    if stop is Stop.FEW_SUGGESTIONS:
        reason = f"{evidence.suggestions} of the {limits.min_suggestions} suggestions that another one needs"
    return f"round {evidence.iteration} of {limits.max_iterations}: {reason}."


def open_review(work: Work, phase_id: PhaseId) -> tuple[RecordedFinding, ...]:
    """Returns what reviewers complain about in a phase."""
    executions = {e.id for e in work.context.state.get_executions(work.run_id, phase_id)}
    found = work.context.state.get_findings(work.run_id, unresolved_only=True)
    return tuple(each for each in found if each.finding.sources and each.execution_id in executions)


def _evidence(work: Work, phase: Phase, execution: Execution) -> RoundEvidence:
    progress = execution.progress
    objections = over_thresholds(
        [recorded.finding for recorded in open_review(work, phase.id)],
        work.config.thresholds,
        require_clean=work.run.metadata.options.require_clean,
    )
    doubtful = progress.over or progress.broken or progress.indeterminate or progress.unverified
    return RoundEvidence(
        iteration=progress.rounds.iteration,
        changed=progress.tree != progress.rounds.tree,
        proved=not doubtful,
        objected=bool(objections),
        suggestions=len(progress.rounds.suggested),
        out_of=remaining(work).used_up(),
    )


def _stopped(progress: ExecutionProgress, stop: Stop) -> ExecutionProgress:
    return replace(progress, rounds=replace(progress.rounds, stopped=stop.value))


def _next_round(progress: ExecutionProgress) -> ExecutionProgress:
    before = progress.rounds
    rounds = Rounds(
        iteration=before.iteration + 1,
        tree=progress.tree,
        reviewed=before.reviewed,
        outputs=tuple(each for each in before.outputs if each.iteration == before.iteration),
    )
    return replace(
        progress,
        checked=False,
        indeterminate=False,
        unverified=False,
        over=(),
        broken=(),
        rounds=rounds,
    )
