from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PlanInvalid
from orchestrator.model.ids import PhaseId
from orchestrator.model.plan import Plan, PlannedPhase, single_phase


def phase(name: str, *dependencies: str) -> PlannedPhase:
    return PlannedPhase(PhaseId(name), name, "", tuple(PhaseId(one) for one in dependencies))


@st.composite
def acyclic(draw: st.DrawFn) -> tuple[PlannedPhase, ...]:
    """Returns phases that depend only on earlier ones, then shuffled."""
    names = draw(
        st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True), unique=True, min_size=1)
    )
    phases = [
        phase(name, *draw(st.lists(st.sampled_from(names[:index]), unique=True)) if index else ())
        for index, name in enumerate(names)
    ]
    return tuple(draw(st.permutations(phases)))


@given(phases=acyclic())
def test_every_phase_comes_after_what_it_depends_on(phases: tuple[PlannedPhase, ...]) -> None:
    plan = Plan.of(phases)

    place = {one.id: index for index, one in enumerate(plan.phases)}
    assert sorted(plan.phases, key=phases.index) == list(phases)
    assert all(place[needed] < place[one.id] for one in plan.phases for needed in one.dependencies)


@given(phases=acyclic())
def test_ordering_a_plan_again_changes_nothing(phases: tuple[PlannedPhase, ...]) -> None:
    ordered = Plan.of(phases).phases

    assert Plan.of(ordered).phases == ordered


@given(phases=acyclic(), data=st.data())
def test_a_cycle_anywhere_is_refused_and_names_a_phase_in_it(
    phases: tuple[PlannedPhase, ...], data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, 4))
    ring = [f"ring-{number}-of-it" for number in range(length)]
    circle = tuple(phase(name, ring[index - 1]) for index, name in enumerate(ring))

    with pytest.raises(PlanInvalid) as refused:
        Plan.of((*phases, *circle))

    assert "cycle" in refused.value.message
    assert all(name in refused.value.message for name in ring)


def test_phases_keep_their_order_where_dependencies_allow_it() -> None:
    plan = Plan.of((phase("c", "a"), phase("b"), phase("a"), phase("d")))

    assert [one.id for one in plan.phases] == ["b", "a", "c", "d"]


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ((), "no phases"),
        ((phase("a"), phase("a")), "Phase a occurs twice"),
        ((phase("a", "b"),), "Phase a depends on b"),
        ((phase("../x"),), "'../x' cannot be"),
        ((phase(""),), "'' cannot be"),
        ((phase("a/b"),), "'a/b' cannot be"),
        ((phase("a\n"),), "cannot be a phase id"),
        ((phase(".."),), "'..' cannot be"),
        ((phase("a" * 65),), "cannot be a phase id"),
    ],
)
def test_what_is_no_plan_is_refused_and_named(phases: tuple[PlannedPhase, ...], said: str) -> None:
    with pytest.raises(PlanInvalid) as refused:
        Plan.of(phases)

    assert said in refused.value.message
    assert refused.value.exit_status == 2


@pytest.mark.parametrize("task", ["fix it", "\n  fix it  \nand more", "x" * 500])
def test_a_task_is_a_plan_of_one_phase(task: str) -> None:
    [only] = single_phase(task).phases

    assert only.description == task
    assert 0 < len(only.name) <= 80
    assert "\n" not in only.name
    assert Plan.of((only,)).phases == (only,)
