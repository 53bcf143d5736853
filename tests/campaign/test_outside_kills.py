"""What is left when the command is killed at random, crowded, or out of space, as seen from outside."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.campaign.conftest import MakeScene
from tests.campaign.scene import AGENT, Scene, finish_all, kill_all
from tests.conftest import GitCall

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc")

RUN = ("run", "job", "--run-id", "one", "--command", f"sh -c '{AGENT}'")


def kill_at_random(make_scene: MakeScene, times: int, seed: int) -> None:
    """Kills everything of a run at random moments, `times` runs, and demands the undisturbed end of each."""
    undisturbed, moments = make_scene("undisturbed"), random.Random(seed)
    began = time.monotonic()
    assert finish_all([undisturbed.start(*RUN)])[0][0] == 0
    whole_s = time.monotonic() - began
    wanted = undisturbed.ends("one")
    for number in range(times):
        scene = make_scene(f"killed-{number}")
        users = scene.of_the_user()
        for words in [RUN] if number % 2 else [RUN, ("resume", "one")]:
            process = scene.start(*words)
            try:
                process.wait(moments.uniform(0.1 * whole_s, whole_s))
            except subprocess.TimeoutExpired:
                kill_all(scene.place)
            process.communicate()
        known = json.loads(scene.call("status", "--json").stdout)["runs"]
        done = scene.call("resume", "one") if known else scene.call(*RUN)
        assert done.returncode == 0, done.stderr
        assert scene.ends("one") == wanted
        assert scene.of_the_user() == users
        scene.check_whole()
        assert scene.call("doctor").returncode == 0
        shutil.rmtree(scene.place)


def run_at_once(scene: Scene, runs: int) -> None:
    """Starts several runs at once, each of which says what it sees, and demands that none sees another's."""
    users = scene.of_the_user()
    script = "echo mine > own-{0}.txt; touch last.txt; sleep 0.5; ls -A > seen-{0}.txt"
    ended = finish_all(
        [
            scene.start("run", "job", "--run-id", f"r{n}", "--command", f"sh -c '{script.format(n)}'")
            for n in range(runs)
        ]
    )
    assert [status for status, _ in ended] == [0] * runs, ended
    for number in range(runs):
        seen = scene.git(scene.place, "show", f"orchestrator/r{number}:seen-{number}.txt")
        names = scene.git(scene.place, "ls-tree", "--name-only", f"orchestrator/r{number}")
        found = set(re.findall(r"(?:own|seen)-(\d+)", seen + names))
        assert found == {str(number)}
    assert scene.of_the_user() == users
    scene.check_whole()


def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(make_scene: MakeScene) -> None:
    kill_at_random(make_scene, times=2, seed=20261120)


def test_runs_started_at_once_see_nothing_of_each_other(make_scene: MakeScene) -> None:
    run_at_once(make_scene("crowded"), runs=3)


def test_two_that_resume_the_same_run_are_one_too_many(make_scene: MakeScene) -> None:
    scene = make_scene("twice")
    go = scene.place.parent / "go"
    waits = f"sh -c 'while [ ! -e {go} ]; do sleep 0.05; done; touch last.txt'"
    first = scene.start("run", "job", "--run-id", "one", "--command", waits)
    while not (scene.place / ".orchestrator" / "worktrees" / "one" / "main").is_dir():
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    kill_all(scene.place)
    first.communicate()

    both = [scene.start("resume", "one"), scene.start("resume", "one")]
    while all(process.poll() is None for process in both):
        time.sleep(0.02)
    go.touch()
    ended = finish_all(both)

    assert sorted(status for status, _ in ended) == [0, 5], ended
    loser = next(error for status, error in ended if status == 5)
    assert re.search(r"error\[locked\]: run one is in use by pid \d+ .*orchestrator", loser)
    scene.check_whole()


def test_a_disk_that_fills_up_in_the_middle_costs_nothing(
    repository: Path, git: GitCall, small_disk: Path
) -> None:
    place = small_disk / "repo"
    shutil.copytree(repository, place)
    scene = Scene(place, git)
    scene.initialise()
    users = scene.of_the_user()
    facts = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes(facts.f_bavail * facts.f_frsize - (500 << 10)))
    words = ("run", "job", "--run-id", "one", "--command", "sh -c 'echo more > last.txt; cat last.txt; "
             "[ -f big ] || head -c 600000 /dev/urandom > big'")  # fmt: skip

    full = scene.call(*words)
    users_then = scene.of_the_user()
    (small_disk / "filler").unlink()
    known = json.loads(scene.call("status", "--json").stdout)["runs"]
    done = scene.call("resume", "one") if known else scene.call(*words)

    assert full.returncode == 3, full.stderr
    assert re.search(r"error\[disk-full\]: .*\nhint: Free space", full.stderr), full.stderr
    assert users_then == users == scene.of_the_user()
    assert done.returncode == 0, done.stderr
    assert git(place, "show", "orchestrator/one:last.txt") == "more"
    scene.check_whole()


def test_a_read_only_disk_can_be_read_and_says_so_when_written(
    repository: Path, git: GitCall, small_disk: Path
) -> None:
    place = small_disk / "repo"
    shutil.copytree(repository, place)
    scene = Scene(place, git)
    scene.initialise()
    assert scene.call("run", "job", "--run-id", "one", "--command", "touch last.txt").returncode == 0
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    if subprocess.run(remount, capture_output=True).returncode != 0:
        pytest.skip("a tmpfs cannot be remounted here")

    answers = {word: scene.call(word, "one").returncode for word in ("status", "log", "diff", "report")}
    refused = scene.call("run", "job", "--command", "true")

    assert answers == {"status": 0, "log": 0, "diff": 0, "report": 0}
    assert refused.returncode == 3
    assert "error[read-only]: " in refused.stderr


@pytest.mark.long
def test_many_runs_killed_at_random_moments(make_scene: MakeScene) -> None:
    kill_at_random(make_scene, times=30, seed=7)


@pytest.mark.long
def test_eight_runs_started_at_once(make_scene: MakeScene) -> None:
    run_at_once(make_scene("crowded"), runs=8)
