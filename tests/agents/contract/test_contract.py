from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from orchestrator.model.agent import (
    AgentEvent,
    AgentRequest,
    Ending,
    Finished,
    Opened,
    Said,
    Spent,
    Started,
)
from orchestrator.process import leftovers
from orchestrator.redaction.redactor import Redactor
from tests.agents.contract.stage import ANSWER, FORBIDDEN, HANGING, ROOT, SECRET, WRITTEN, Play
from tests.agents.contract.subject import Subject, all_subjects

SUBJECTS = all_subjects()
ENDS_BY_ITSELF = [play for play in Play if play is not Play.HANG]


def cases(*plays: Play) -> list[tuple[str, Play]]:
    """Returns every adapter with each of the plays that it can express."""
    return [(name, play) for name, subject in SUBJECTS.items() for play in plays if play in subject.plays]


def never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Stage:
    """A tree, a request, and the way to take a turn with a scripted agent."""

    tree: Path
    place: Path
    request: AgentRequest

    def take(
        self, name: str, play: Play, *, cancelled: Callable[[], bool] = never, **changes: object
    ) -> list[AgentEvent]:
        request = replace(self.request, **changes)  # type: ignore[arg-type]
        redactor = Redactor()
        redactor.add("KEY", SECRET)
        with SUBJECTS[name].make(play, self.place, redactor) as agent:
            return list(agent.run(request, worktree=self.tree, cancelled=cancelled))

    def is_hanging(self) -> bool:
        return (self.tree / HANGING).exists()


@pytest.fixture
def stage(worktree: Path, tmp_path: Path, request_: AgentRequest) -> Iterator[Stage]:
    place = tmp_path / "place"
    place.mkdir()
    yield Stage(worktree, place, request_)
    leftovers.end_all(request_.marker, exact=True)


def finished(events: list[AgentEvent]) -> Finished:
    end = events[-1]
    assert isinstance(end, Finished)
    return end


def nothing_is_left(marker: str) -> bool:
    return leftovers.find(marker) == []


@pytest.mark.parametrize(("name", "play"), cases(*ENDS_BY_ITSELF))
def test_a_turn_starts_once_at_first_and_finishes_once_at_last(name: str, play: Play, stage: Stage) -> None:
    events = stage.take(name, play)

    kinds = [type(event) for event in events]
    assert kinds[0] is Started
    assert kinds[-1] is Finished
    assert (kinds.count(Started), kinds.count(Finished)) == (1, 1)
    assert isinstance(events[0], Started)
    assert (events[0].process != (0, 0)) is SUBJECTS[name].has_process
    assert nothing_is_left(stage.request.marker)


@pytest.mark.parametrize(("name", "play"), cases(Play.WRITE))
def test_work_that_was_done_is_told_with_the_whole_answer(name: str, play: Play, stage: Stage) -> None:
    events = stage.take(name, play)

    end = finished(events)
    assert (end.ending, end.detail) == (Ending.FINISHED, "")
    assert end.answer == ANSWER
    assert (stage.tree / WRITTEN).exists()
    assert ANSWER in "\n".join(event.text for event in events if isinstance(event, Said))


@pytest.mark.parametrize(("name", "play"), cases(Play.WRITE))
def test_usage_is_told_or_the_turn_is_unmetered(name: str, play: Play, stage: Stage) -> None:
    events = stage.take(name, play)

    usage = finished(events).usage
    if SUBJECTS[name].metered:
        assert usage.input_tokens
        assert usage.output_tokens
        spent = [event for event in events if isinstance(event, Spent)]
        assert spent
        assert spent[-1].usage.input_tokens == usage.input_tokens
    else:
        assert (usage.input_tokens, usage.output_tokens, usage.cost_usd) == (None, None, None)


@pytest.mark.parametrize(("name", "play"), cases(Play.WRITE))
def test_the_session_of_an_agent_is_told_as_soon_as_it_is_known(name: str, play: Play, stage: Stage) -> None:
    events = stage.take(name, play)

    opened = [event for event in events if isinstance(event, Opened)]
    if SUBJECTS[name].has_session:
        assert len(opened) == 1
        assert opened[0].agent_session == finished(events).agent_session != ""
        before = [type(event) for event in events[: events.index(opened[0])]]
        assert Said not in before
    else:
        assert (opened, finished(events).agent_session) == ([], "")


@pytest.mark.parametrize(("name", "play"), cases(Play.FAIL, Play.DENIED_FAIL))
def test_a_failure_is_told_with_its_reason_and_goes_before_a_denial(
    name: str, play: Play, stage: Stage
) -> None:
    end = finished(stage.take(name, play))

    assert end.ending is Ending.FAILED
    assert end.detail
    assert not (stage.tree / FORBIDDEN).exists()


@pytest.mark.parametrize(("name", "play"), cases(Play.DENIED))
def test_a_denial_is_no_success_whatever_the_agent_says(name: str, play: Play, stage: Stage) -> None:
    end = finished(stage.take(name, play))

    assert end.ending is Ending.DENIED
    assert end.detail
    assert not (stage.tree / FORBIDDEN).exists()


@pytest.mark.parametrize(("name", "play"), cases(Play.LEAK))
def test_a_secret_that_is_said_is_in_no_transcript(name: str, play: Play, stage: Stage) -> None:
    stage.take(name, play)

    written = b"".join(
        path.read_bytes() for path in Path(stage.request.transcript).parent.rglob("*") if path.is_file()
    )
    assert SECRET.encode() not in written


@pytest.mark.parametrize(("name", "play"), cases(Play.HANG))
@pytest.mark.parametrize(
    ("timeout_s", "idle_timeout_s", "ending"),
    [(1.0, 60.0, Ending.DEADLINE), (60.0, 1.0, Ending.IDLE)],
    ids=["deadline", "idle"],
)
def test_a_limit_of_time_ends_everything_and_goes_before_the_failure_it_causes(
    name: str, play: Play, timeout_s: float, idle_timeout_s: float, ending: Ending, stage: Stage
) -> None:
    events = stage.take(name, play, timeout_s=timeout_s, idle_timeout_s=idle_timeout_s)

    end = finished(events)
    assert (end.ending, end.exit_status) == (ending, None)
    assert end.detail
    assert nothing_is_left(stage.request.marker)


@pytest.mark.parametrize(("name", "play"), cases(Play.HANG))
def test_a_cancelled_turn_is_told_as_such_and_leaves_nothing_running(
    name: str, play: Play, stage: Stage
) -> None:
    end = finished(stage.take(name, play, cancelled=stage.is_hanging))

    assert (end.ending, end.exit_status) == (Ending.CANCELLED, None)
    assert stage.is_hanging()
    assert nothing_is_left(stage.request.marker)


@pytest.mark.parametrize(("name", "play"), cases(Play.HANG))
def test_closing_the_events_ends_the_turn(name: str, play: Play, stage: Stage) -> None:
    with SUBJECTS[name].make(play, stage.place, Redactor()) as agent:
        events = agent.run(stage.request, worktree=stage.tree, cancelled=never)
        first = next(events)
        events.close()  # type: ignore[attr-defined]

    assert isinstance(first, Started)
    assert nothing_is_left(stage.request.marker)


@pytest.mark.parametrize(("name", "play"), cases(Play.HANG))
def test_the_death_of_the_owner_ends_everything(name: str, play: Play, stage: Stage) -> None:
    words = [name, play, str(stage.place), str(stage.tree), stage.request.marker]
    owner = subprocess.Popen([sys.executable, "-m", "tests.agents.contract.owner", *words], cwd=ROOT)
    _await(lambda: stage.is_hanging() or owner.poll() is not None)
    hung = stage.is_hanging()

    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()

    assert hung
    _await(lambda: nothing_is_left(stage.request.marker))


def _await(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.02)


def test_the_adapters_that_are_there_take_part() -> None:
    assert set(SUBJECTS) >= {"command"}
    assert all(isinstance(subject, Subject) for subject in SUBJECTS.values())
