from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from orchestrator.model.ids import PhaseId, RunId
from orchestrator.model.plan import PlannedPhase
from orchestrator.model.record import OPERATION_TRANSITIONS, OperationStatus
from orchestrator.model.run import (
    ENDED_RUN,
    EXECUTION_TRANSITIONS,
    PHASE_TRANSITIONS,
    RUN_TRANSITIONS,
    ExecutionStatus,
    Phase,
    PhaseStatus,
    RunStatus,
)
from tests.state.making import START

TABLES: list[tuple[type[StrEnum], Mapping[Any, frozenset[Any]], Any]] = [
    (RunStatus, RUN_TRANSITIONS, RunStatus.PLANNING),
    (PhaseStatus, PHASE_TRANSITIONS, PhaseStatus.PENDING),
    (ExecutionStatus, EXECUTION_TRANSITIONS, ExecutionStatus.RUNNING),
    (OperationStatus, OPERATION_TRANSITIONS, OperationStatus.INTENDED),
]


@pytest.mark.parametrize(("statuses", "table", "first"), TABLES)
def test_every_status_can_be_reached_from_the_first(
    statuses: type[StrEnum], table: Mapping[Any, frozenset[Any]], first: Any
) -> None:
    reached, waiting = {first}, [first]
    while waiting:
        fresh = table[waiting.pop()] - reached
        reached |= fresh
        waiting += fresh

    assert set(table) == set(statuses)
    assert reached == set(statuses)


@pytest.mark.parametrize(("statuses", "table", "first"), TABLES)
def test_nothing_goes_back_to_the_first_status(
    statuses: type[StrEnum], table: Mapping[Any, frozenset[Any]], first: Any
) -> None:
    assert all(first not in following for following in table.values())


def test_a_run_can_fail_or_be_cancelled_until_it_is_completed() -> None:
    for status in set(RunStatus) - ENDED_RUN:
        assert {RunStatus.FAILED, RunStatus.CANCELLED} <= RUN_TRANSITIONS[status]
    assert RUN_TRANSITIONS[RunStatus.COMPLETED] == frozenset()
    assert RunStatus.EXECUTING in RUN_TRANSITIONS[RunStatus.FAILED] & RUN_TRANSITIONS[RunStatus.CANCELLED]


def test_what_has_ended_well_stays() -> None:
    assert PHASE_TRANSITIONS[PhaseStatus.COMPLETED] == frozenset()
    assert all(
        not EXECUTION_TRANSITIONS[status] for status in set(ExecutionStatus) - {ExecutionStatus.RUNNING}
    )


def test_a_phase_is_known_by_the_id_of_its_plan() -> None:
    phase = Phase(
        RunId("r1"), 0, PlannedPhase(PhaseId("p"), "n", ""), PhaseStatus.PENDING, 0, 0, START, None, None
    )

    assert phase.id == "p"
