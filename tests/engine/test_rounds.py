from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.engine import schedule
from orchestrator.engine.rounds import RoundEvidence, Stop, why_stop
from orchestrator.engine.schedule import RunState, next_action
from orchestrator.engine.workflow import RoundLimits
from orchestrator.model.run import ExecutionProgress, PhaseStatus, Rounds, RunStatus
from tests.engine.test_schedule import NOW, execution, phase, run_with

LIMITS = RoundLimits(max_iterations=3, min_suggestions=2)
GOES_ON = RoundEvidence(iteration=1, changed=True, proved=False, objected=False, suggestions=2)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"changed": False, "proved": True}, Stop.UNCHANGED),
        ({"proved": True}, Stop.GATES_HOLD),
        ({"proved": True, "objected": True}, None),
        ({"suggestions": 1}, Stop.FEW_SUGGESTIONS),
        ({"out_of": "cost"}, Stop.OUT_OF_BUDGET),
        ({"iteration": 2}, None),
        ({"iteration": 3}, Stop.MAX_ITERATIONS),
    ],
)
def test_every_reason_stops_and_nothing_else_does(change: dict[str, object], expected: Stop | None) -> None:
    evidence = replace(GOES_ON, **change)  # type: ignore[arg-type]  # names are checked by replace

    assert why_stop(evidence, LIMITS) is expected


def test_with_a_threshold_of_zero_rounds_go_on_without_any_suggestion() -> None:
    assert why_stop(replace(GOES_ON, suggestions=0), RoundLimits(3, 0)) is None


def of(progress: ExecutionProgress) -> schedule.Action:
    """Returns what comes next in a workflow of two steps and three rounds."""
    attempt = replace(execution(), progress=progress)
    phases = (phase("a", PhaseStatus.IN_PROGRESS),)
    return next_action(RunState(run_with(), phases, (attempt,), steps=2, max_iterations=3), NOW)


def test_a_round_ends_behind_its_checks_and_the_next_begins_with_the_first_step() -> None:
    assert isinstance(of(ExecutionProgress(steps_done=2)), schedule.Check)
    assert isinstance(of(ExecutionProgress(steps_done=2, checked=True)), schedule.EndRound)
    second = of(ExecutionProgress(steps_done=2, rounds=Rounds(iteration=2)))
    assert isinstance(second, schedule.RunStep)
    assert second.index == 0
    third = of(ExecutionProgress(steps_done=5, rounds=Rounds(iteration=3)))
    assert isinstance(third, schedule.RunStep)
    assert third.index == 1
    stopped = Rounds(iteration=3, stopped="nothing changed")
    assert isinstance(of(ExecutionProgress(steps_done=6, checked=True, rounds=stopped)), schedule.Decide)


def test_an_agent_that_failed_ends_the_rounds() -> None:
    failed = ExecutionProgress(steps_done=3, checked=True, agent_failure="it broke", rounds=Rounds(2))

    assert isinstance(of(failed), schedule.Decide)


def test_a_run_without_phases_is_planned_first() -> None:
    state = RunState(run_with(RunStatus.PLANNING), (), (), steps=1)

    assert next_action(state, NOW) == schedule.MakePlan()
