"""A plan: phases that depend on each other, in an order that respects the dependencies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import PlanInvalid
from orchestrator.model.ids import PhaseId

_PHASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Level(StrEnum):
    """How complex or risky a planner thinks a phase is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """One piece of work of a plan, before it has ever been tried."""

    id: PhaseId
    name: str
    description: str
    dependencies: tuple[PhaseId, ...] = ()
    estimated_complexity: Level = Level.MEDIUM
    risk_level: Level = Level.LOW
    verification_criteria: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Phases in an order in which each comes after everything it depends on."""

    phases: tuple[PlannedPhase, ...]

    @classmethod
    def of(cls, phases: tuple[PlannedPhase, ...]) -> Plan:
        """Returns the phases as a plan, kept in the given order wherever dependencies allow it.

        Raises:
            PlanInvalid: no phase, an unusable or double id, an unknown dependency, or a cycle; it is named.
        """
        _check_ids(phases)
        _check_dependencies(phases)
        return cls(_in_dependency_order(phases))


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a planner is asked: the task, the paths of the repository's files, and the checks that decide."""

    task: str
    files: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


def single_phase(task: str) -> Plan:
    """Returns the plan that treats the whole task as one phase."""
    name = task.strip().splitlines()[0][:80]
    return Plan((PlannedPhase(PhaseId("phase-001"), name, task),))


def _check_ids(phases: tuple[PlannedPhase, ...]) -> None:
    if not phases:
        raise PlanInvalid("The plan has no phases.")
    seen: set[str] = set()
    for phase in phases:
        if not _PHASE_ID.fullmatch(phase.id):
            raise PlanInvalid(f"{phase.id!r} cannot be a phase id.")
        if phase.id in seen:
            raise PlanInvalid(f"Phase {phase.id} occurs twice.")
        seen.add(phase.id)


def _check_dependencies(phases: tuple[PlannedPhase, ...]) -> None:
    known = {phase.id for phase in phases}
    for phase in phases:
        for dependency in phase.dependencies:
            if dependency not in known:
                raise PlanInvalid(f"Phase {phase.id} depends on {dependency}, which is not in the plan.")


def _in_dependency_order(phases: tuple[PlannedPhase, ...]) -> tuple[PlannedPhase, ...]:
    waiting, done, ordered = list(phases), set[str](), []
    while waiting:
        ready = next((phase for phase in waiting if done.issuperset(phase.dependencies)), None)
        if ready is None:
            names = ", ".join(phase.id for phase in waiting)
            raise PlanInvalid(f"These phases wait for each other in a cycle: {names}.")
        waiting.remove(ready)
        done.add(ready.id)
        ordered.append(ready)
    return tuple(ordered)
