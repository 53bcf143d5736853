from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from orchestrator.agents.command import CommandAgent
from orchestrator.agents.places import LimitedAgent, Places
from orchestrator.model.agent import Ending, Started
from tests.agents.conftest import Turn, finished

HOLDER = """
import sys; from pathlib import Path
from orchestrator.agents.places import Places
lock = Places(Path(sys.argv[1]), "x", 2).take()
print("held", flush=True); sys.stdin.read()
"""


def limited(places: Places) -> LimitedAgent[CommandAgent]:
    return LimitedAgent(CommandAgent("tool", ("true",)), places)


def test_a_turn_takes_a_place_and_gives_it_back(tmp_path: Path, take: Turn) -> None:
    places = Places(tmp_path / "locks", "x", 1)

    events = [take(limited(places)) for _ in range(2)]

    assert [finished(each).ending for each in events] == [Ending.FINISHED] * 2
    assert places.take() is not None


def test_places_are_counted_across_processes_and_freed_by_any_death(tmp_path: Path, take: Turn) -> None:
    (tmp_path / "locks").mkdir()
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "locks")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        places = Places(tmp_path / "locks", "x", 1)
        full, second = places.take(), Places(tmp_path / "locks", "x", 2).take()
        holder.kill()
        holder.wait()

    assert full is None
    assert second is not None
    assert places.take() is not None


def test_a_turn_without_a_place_waits_until_it_is_stopped_or_its_time_is_over(
    tmp_path: Path, take: Turn
) -> None:
    places = Places(tmp_path / "locks", "x", 1)
    (tmp_path / "locks").mkdir()
    held = places.take()

    events = take(limited(places), timeout_s=0.3)

    assert held is not None
    assert finished(events).ending is Ending.DEADLINE
    assert "no place was free" in finished(events).detail
    assert not any(isinstance(event, Started) for event in events)


def test_the_time_that_a_turn_has_waited_is_time_of_the_turn(tmp_path: Path, take: Turn) -> None:
    places = Places(tmp_path / "locks", "x", 1)
    (tmp_path / "locks").mkdir()
    held = places.take()
    assert held is not None
    agent = LimitedAgent(CommandAgent("tool", ("sleep", "30")), places)
    release = threading.Timer(0.5, held.release)
    release.start()

    events = take(agent, timeout_s=2.5)

    release.join()
    ended = finished(events)
    assert ended.ending is Ending.DEADLINE
    assert ended.usage.wall_s < 2.4


def test_a_limited_agent_is_what_it_limits(tmp_path: Path) -> None:
    agent = limited(Places(tmp_path, "x", 1))

    assert (agent.name, agent.takes_prompt, agent.credentials) == ("tool", False, ())
    assert agent.probe() == agent.agent.probe()
