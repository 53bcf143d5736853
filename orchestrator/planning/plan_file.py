"""Reads a plan that a person or a program wrote down as JSON."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import PlanInvalid
from orchestrator.model.ids import PhaseId
from orchestrator.model.plan import Level, Plan, PlannedPhase

MAX_BYTES = 4 * 1024 * 1024
_SHAPE = '{"phases": [{"id": "phase-001", "name": "…", "description": "…", "dependencies": []}]}'


class _PhaseEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str = Field(min_length=1)
    description: str = ""
    dependencies: tuple[str, ...] = ()
    estimated_complexity: Level = Level.MEDIUM
    risk_level: Level = Level.LOW
    verification_criteria: tuple[str, ...] = ()

    def planned(self) -> PlannedPhase:
        return PlannedPhase(
            id=PhaseId(self.id),
            name=self.name,
            description=self.description,
            dependencies=tuple(PhaseId(dependency) for dependency in self.dependencies),
            estimated_complexity=self.estimated_complexity,
            risk_level=self.risk_level,
            verification_criteria=self.verification_criteria,
        )


class _PlanDocument(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    phases: tuple[_PhaseEntry, ...]


def read_plan(path: Path) -> Plan:
    """Returns the plan in the JSON file at `path`, at most 4 MiB.

    Raises:
        PlanInvalid: unreadable, not the documented shape, a cycle, an unknown dependency or a double id.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PlanInvalid(f"The plan {os.fspath(path)} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise PlanInvalid(f"The plan {os.fspath(path)} is larger than {MAX_BYTES:,} bytes.")
    return parse_plan(data)


def parse_plan(data: bytes) -> Plan:
    """Returns the plan in a JSON document.

    Raises:
        PlanInvalid: as `read_plan`.
    """
    try:
        document = _PlanDocument.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        where = f" at {place}{_phase_name(data, problem['loc'])}" if place else ""
        raise PlanInvalid(
            f"The plan is invalid{where}: {problem['msg']}.", hint=f"Its shape is: {_SHAPE}"
        ) from error
    return Plan.of(tuple(entry.planned() for entry in document.phases))


def _phase_name(data: bytes, place: tuple[int | str, ...]) -> str:
    """Returns ` (phase ID)` when the problem lies in a phase whose id can be read."""
    import json

    if len(place) < 2 or place[0] != "phases" or not isinstance(place[1], int):
        return ""
    entry = json.loads(data)["phases"][place[1]]
    name = entry.get("id") if isinstance(entry, dict) else None
    return f" (phase {name})" if isinstance(name, str) else ""
