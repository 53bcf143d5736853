from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.engine.budget import Budget
from orchestrator.engine.watching import Watch, last_change
from orchestrator.model.agent import AgentEvent, Ending, Said, Spent, Started, ToolState, UsedTool
from orchestrator.model.run import Usage


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(tree: Path, clock: Clock, **left: float) -> Watch:
    made = Watch(stuck_after_s=60.0, left=Budget(**left), tree=tree, now=clock)
    made.see(Started((1, 1)))
    return made


@pytest.mark.parametrize(
    "event",
    [
        Said("\u280b thinking 12 %"),
        Said("[=====|  3/10"),
        UsedTool("read", {"path": "a"}, call="1"),
        Spent(Usage(input_tokens=5)),
    ],
)
def test_what_comes_again_and_again_is_no_progress(tmp_path: Path, event: AgentEvent) -> None:
    clock = Clock()
    seen = watch(tmp_path / "gone", clock)
    seen.see(event)

    for _ in range(13):
        clock.now += 5
        seen.see(event)

    assert seen.must_stop()
    assert seen.ending is Ending.STUCK


def test_a_new_word_or_use_of_a_tool_is_progress(tmp_path: Path) -> None:
    clock = Clock()
    seen = watch(tmp_path / "gone", clock)
    new: list[AgentEvent] = [
        Said("found it"),
        UsedTool("read", {"path": "b"}),
        UsedTool("read", {"path": "b"}, ToolState.FAILED),
    ]

    for each in new:
        clock.now += 59
        assert not seen.must_stop()
        seen.see(each)

    assert seen.ending is None


def test_a_tree_that_changed_just_now_is_progress(tmp_path: Path) -> None:
    clock = Clock()
    seen = watch(tmp_path, clock)
    clock.now += 1000

    stops = seen.must_stop()

    assert not stops


def test_a_file_that_was_just_written_removed_or_renamed_is_seen(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep" / "er" / "file").write_text("x")
    before = last_change(tmp_path)

    (tmp_path / ".git" / "index").write_text("not work")
    unchanged = last_change(tmp_path)
    os.utime(tmp_path / "deep" / "er" / "file", (1, 1))
    touched = last_change(tmp_path)
    (tmp_path / "deep" / "er" / "file").unlink()
    removed = last_change(tmp_path)

    assert unchanged == before
    assert before <= touched <= removed
    assert last_change(tmp_path / "nowhere") == 0.0


@pytest.mark.parametrize(
    ("left", "usage", "over"),
    [
        ({"cost_usd": 1.0}, Usage(cost_usd=0.99), None),
        ({"cost_usd": 1.0}, Usage(cost_usd=1.0), "cost"),
        ({"tokens": 100}, Usage(input_tokens=60, output_tokens=40), "tokens"),
        ({"turns": 3}, Usage(turns=3), None),
        ({"turns": 3}, Usage(turns=4), "turns"),
        ({"cost_usd": 1.0, "tokens": 10, "turns": 1}, Usage(), None),
    ],
)
def test_what_agents_tell_is_held_against_what_is_left(
    tmp_path: Path, left: dict[str, float], usage: Usage, over: str | None
) -> None:
    seen = watch(tmp_path, Clock(), **left)

    seen.see(Spent(usage))

    assert seen.over == over
    assert seen.must_stop() is (over is not None)


def test_one_use_of_a_tool_counts_once_whatever_is_told_of_it(tmp_path: Path) -> None:
    seen = watch(tmp_path, Clock(), turns=1)

    for state in ToolState:
        seen.see(UsedTool("write", {}, state, call="the-one"))

    assert seen.turns == 1
    assert not seen.must_stop()


def test_an_agent_that_waits_to_be_started_is_not_stuck(tmp_path: Path) -> None:
    clock = Clock()
    seen = Watch(stuck_after_s=60.0, left=Budget(), tree=tmp_path / "gone", now=clock)
    clock.now += 1000

    waits = seen.must_stop()
    seen.see(Started((1, 1)))
    begins = seen.must_stop()
    clock.now += 60

    assert not waits
    assert not begins
    assert seen.must_stop()


def test_whoever_has_said_very_much_makes_progress_all_the_same(tmp_path: Path) -> None:
    clock = Clock()
    seen = watch(tmp_path / "gone", clock)
    seen.see(Said("\n".join(f"line {chr(65 + n % 26)}" + "x" * (n // 26) for n in range(260))))
    for number in range(25_000):
        seen.see(UsedTool("read", {"path": str(number)}))
    clock.now += 59

    seen.see(UsedTool("read", {"path": "another"}))
    clock.now += 59

    assert not seen.must_stop()
