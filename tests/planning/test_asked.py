from __future__ import annotations

import json

import pytest

from orchestrator.errors import PlanInvalid
from orchestrator.model.plan import PlanRequest
from orchestrator.planning.asked import ANSWER_FORMAT, AskingPlanner, plan_in
from orchestrator.planning.single import SinglePhase

ONE = {"phases": [{"id": "p1", "name": "First"}]}


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps(ONE),
        f"Here it is:\n```json\n{json.dumps(ONE)}\n```\n",
        f"I would do {json.dumps(ONE)}, I think.",
        json.dumps(ONE["phases"]),
        '{"phases": [{"id": "p1", "name": "First",},]}',
        ANSWER_FORMAT.rpartition("```")[0].replace("phase-001", "p1") + "```",
    ],
)
def test_a_plan_is_found_in_what_a_model_says(answer: str) -> None:
    assert [phase.id for phase in plan_in(answer).phases] == ["p1"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "no JSON object with `phases`"),
        ("Sorry.", "no JSON object with `phases`"),
        ('{"phases": []}', "no phases"),
        ('{"phases": [{"id": "a", "name": "A"}, {"id": "a", "name": "B"}]}', "Phase a occurs twice."),
        ('{"phases": [{"id": "a", "name": "A", "dependencies": ["b"]}]}', "depends on b"),
        ('{"phases": [{"id": "a", "name": "A", "dependencies": ["a"]}]}', "cycle: a"),
        ('{"phases": [{"id": "a", "name": "A", "effort": 3}]}', "phases.0.effort (phase a)"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_reason(answer: str, reason: str) -> None:
    with pytest.raises(PlanInvalid) as refused:
        plan_in(answer)

    assert reason in refused.value.message


def test_it_is_asked_again_twice_with_what_is_wrong_and_no_more() -> None:
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return f"answer {len(prompts)}"

    heard: list[str] = []
    planner = AskingPlanner(ask, "{task}", on_refused=heard.append)

    with pytest.raises(PlanInvalid, match="No usable plan came of 3 answers"):
        planner.plan(PlanRequest("do it"))

    assert len(prompts) == len(heard) == 3
    assert all("Answer with the plan as JSON" in prompt for prompt in prompts)
    assert "answer 2" in prompts[2]
    assert "answer 1" not in prompts[2]


def test_a_planner_that_is_stopped_has_no_plan() -> None:
    assert AskingPlanner(lambda prompt: None, "{task}").plan(PlanRequest("do it")) is None


def test_without_anybody_to_ask_the_task_is_one_phase() -> None:
    [phase] = SinglePhase().plan(PlanRequest("do it\nwell")).phases

    assert (phase.name, phase.description) == ("do it", "do it\nwell")
