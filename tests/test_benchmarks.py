"""Each benchmark runs; how fast anything is, no test says."""

from __future__ import annotations

import json
import os

import pytest

from benchmarks import run
from benchmarks.place import Sizes

SMALL = Sizes(
    runs=3,
    few_runs=1,
    large_files=40,
    tree_files=40,
    steps=2,
    legacy_files=120,
    carried_files=120,
    restored_files=60,
    restored_commits=3,
    commands=2,
    redacted_mb=1,
    held_agents=3,
    agent_events=200,
)


@pytest.mark.parametrize("name", run.BENCHMARKS)
def test_a_benchmark_measures_something_and_leaves_the_environment_alone(name: str) -> None:
    before = dict(os.environ)

    results = run.measure(name, rounds=2, sizes=SMALL)

    assert results
    assert all(result.name == name and result.rounds >= 2 and result.floor_ms > 0 for result in results)
    assert dict(os.environ) == before


def test_every_goal_is_held_against_a_number() -> None:
    wanted = {"status", "help", "doctor-quick", "doctor", "which", "step", "checkpoint", "tree"}
    wanted |= {"migrate", "carry"}
    assert wanted <= set(run.BENCHMARKS)


def test_a_run_prints_one_row_for_each_result_and_the_machine_without_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run.main(["--only", "help", "--rounds", "2", "--json"], SMALL)
    report = json.loads(capsys.readouterr().out)
    run.main(["--only", "help", "--rounds", "2"], SMALL)
    table = capsys.readouterr().out

    assert [row["name"] for row in report["results"]] == ["help"]
    assert set(report["machine"]) == {"date", "processors", "system", "python", "git", "sqlite"}
    assert "| help | " in table


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--only", "nothing"]])
def test_a_mistyped_request_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(words)
