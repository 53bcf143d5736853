"""The order in which room is made; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.ids import RunId
from orchestrator.sessions.budget import (
    BATCH,
    Action,
    Archive,
    Budgets,
    Compact,
    Compress,
    CompressLogs,
    RemoveLogs,
    RemoveOutputs,
    RemoveTrees,
    RunUse,
    TreeUse,
    after,
    next_action,
    preview,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ROOMY = Budgets(10**9, 10**9, timedelta(days=30), 500)


def run(name: str, days: float | None = 1, **sizes: int) -> RunUse:
    ended = NOW - timedelta(days=days) if days is not None else None
    return RunUse(RunId(name), ended, "", **sizes)


def tree(*runs: RunUse, session: str = "", rest: int = 0) -> TreeUse:
    return TreeUse(session, runs, rest)


def actions(trees: list[TreeUse], budgets: Budgets, now: datetime = NOW) -> list[Action]:
    return list(preview(trees, budgets, now))


def test_within_the_budgets_nothing_goes() -> None:
    assert actions([tree(run("a", tree_bytes=5, plain_bytes=5))], ROOMY) == []


def test_trees_go_first_then_outputs_compressed_before_they_go_then_runs() -> None:
    old = run("old", 3, tree_bytes=100_000, plain_bytes=100_000)
    new = run("new", 1, tree_bytes=100_000, plain_bytes=100_000)

    logs = replace(tree(new, old, rest=100), log_bytes=1000)
    done = actions([logs], replace(ROOMY, max_bytes=50))

    assert done == [
        RemoveTrees("", RunId("old")),
        RemoveTrees("", RunId("new")),
        CompressLogs(""),
        Compress("", RunId("old")),
        Compress("", RunId("new")),
        RemoveLogs(""),
        RemoveOutputs("", RunId("old")),
        RemoveOutputs("", RunId("new")),
        Archive("", (RunId("old"), RunId("new"))),
        Compact(""),
    ]


def test_no_more_goes_than_the_budget_demands() -> None:
    runs = [run(f"r{number}", 9 - number, tree_bytes=10_000) for number in range(5)]

    done = actions([tree(*runs)], replace(ROOMY, max_bytes=30_000))

    assert done == [RemoveTrees("", RunId("r0")), RemoveTrees("", RunId("r1"))]


def test_only_the_session_that_is_too_large_loses_something() -> None:
    large = tree(run("a", tree_bytes=10_000), session="large")
    small = tree(run("b", 5, tree_bytes=10), session="small")

    assert actions([large, small], replace(ROOMY, max_session_bytes=5000)) == [
        RemoveTrees("large", RunId("a"))
    ]


def test_too_old_and_too_many_go_into_the_archive_whatever_the_disk_holds() -> None:
    runs = [run("old", 31, tree_bytes=1), run("a", 3), run("b", 2), run("c", 1)]

    assert actions([tree(*runs)], replace(ROOMY, max_runs=2)) == [
        RemoveTrees("", RunId("old")),
        Archive("", (RunId("old"), RunId("a"))),
        Compact(""),
    ]


@pytest.mark.parametrize(
    "held",
    [
        run("a", None, tree_bytes=10_000),
        replace(run("a", 99, tree_bytes=10_000), held="a process works on it"),
        replace(run("a", 99, tree_bytes=10_000), held="it is not pushed yet"),
    ],
)
def test_what_is_held_or_has_not_ended_stays(held: RunUse) -> None:
    assert actions([tree(held)], Budgets(1, 1, timedelta(days=1), 1)) == []


def test_no_run_leaves_a_database_that_cannot_be_compacted_for_its_room() -> None:
    busy = replace(tree(run("a"), rest=10_000), may_compact=False)

    assert actions([busy], replace(ROOMY, max_bytes=1)) == []


def test_runs_are_archived_in_batches() -> None:
    runs = [run(f"r{number:03}", 40) for number in range(BATCH + 1)]

    done = actions([tree(*runs)], ROOMY)

    assert [len(action.run_ids) for action in done if isinstance(action, Archive)] == [BATCH, 1]


def test_a_clock_set_back_makes_nothing_old() -> None:
    assert actions([tree(run("future", -4000, tree_bytes=5))], ROOMY) == []


def test_a_clock_set_forward_archives_and_loses_nothing() -> None:
    done = actions([tree(run("a", tree_bytes=5))], ROOMY, NOW + timedelta(days=4000))

    assert done == [RemoveTrees("", RunId("a")), Archive("", (RunId("a"),)), Compact("")]


SIZES = st.integers(0, 50_000)
RUNS = st.builds(
    RunUse,
    st.integers(0, 20).map(lambda number: RunId(f"r{number}")),
    st.none() | st.integers(-10, 60).map(lambda days: NOW - timedelta(days=days)),
    st.sampled_from(["", "", "held"]),
    SIZES,
    SIZES,
    SIZES,
)
TREES = st.builds(
    TreeUse,
    st.just(""),
    st.lists(RUNS, max_size=6, unique_by=lambda one: one.run_id).map(tuple),
    SIZES,
    SIZES,
    SIZES,
    st.booleans(),
    st.booleans(),
)


@given(
    st.lists(TREES, max_size=3).map(
        lambda found: [replace(one, session=str(number)) for number, one in enumerate(found)]
    ),
    st.builds(
        Budgets,
        st.integers(1, 200_000),
        st.integers(1, 200_000),
        st.just(timedelta(days=30)),
        st.integers(1, 9),
    ),
)
def test_it_ends_and_never_touches_what_may_not_go(trees: list[TreeUse], budgets: Budgets) -> None:
    untouchable = {(one.session, each.run_id) for one in trees for each in one.runs if not each.may_go}
    now_trees = tuple(trees)

    for action in preview(trees, budgets, NOW):
        named = getattr(action, "run_ids", None) or [getattr(action, "run_id", None)]
        assert not {(action.session, run_id) for run_id in named} & untouchable
        now_trees = after(now_trees, action)

    assert next_action(now_trees, budgets, NOW) is None
    movable = [each for one in now_trees for each in one.runs if each.may_go]
    too_large = sum(one.total_bytes for one in now_trees) > budgets.max_bytes
    assert not too_large or not any(each.tree_bytes for each in movable)
