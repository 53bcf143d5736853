from __future__ import annotations

import contextlib
import math
import sqlite3
import threading
from datetime import UTC
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.model.event import Event, EventKind
from orchestrator.model.ids import RunId
from orchestrator.paths import OrchestratorPaths
from orchestrator.state import codec
from orchestrator.state.manager import StateManager
from tests.state.making import R1, a_run, reopened, started

SAID = EventKind.AGENT_SAID


def tampered(paths: OrchestratorPaths, *statements: str) -> int | None:
    """Changes the database as somebody with a SQLite shell would, and returns where the chain breaks."""
    connection = sqlite3.connect(paths.state_file, isolation_level=None)
    for trigger in ("events_are_never_changed", "events_are_never_removed", "events_have_no_gaps"):
        connection.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.close()
    with StateManager.open(paths) as state:
        return state.verify_chain()


@pytest.fixture
def written(state: StateManager, paths: OrchestratorPaths) -> OrchestratorPaths:
    state.create_run(a_run())
    state.create_run(a_run(RunId("r2")))
    for number in range(6):
        state.record_event(R1 if number % 2 else RunId("r2"), SAID, {"n": number}, duration_ms=number)
    state.close()
    return paths


def test_events_are_numbered_without_gaps_in_the_database_and_in_each_run(state: StateManager) -> None:
    state.create_run(a_run())
    state.create_run(a_run(RunId("r2")))
    for number in range(4):
        state.record_event(None, SAID, {"n": number})
        state.record_event(R1, SAID, {"n": number})

    everything = [*state.events(R1), *state.events(RunId("r2")), *state.events(None)]
    assert sorted(event.seq for event in everything) == list(range(1, 11))
    assert [event.run_seq for event in state.events(R1)] == [1, 2, 3, 4, 5]
    assert [event.run_seq for event in state.events(None)] == [1, 2, 3, 4]
    assert [event.data["n"] for event in state.events(R1, after_run_seq=3)] == [2, 3]


def test_events_carry_the_trace_of_their_run(state: StateManager) -> None:
    state.create_run(a_run())

    own = state.record_event(R1, SAID, {})
    given_one = state.record_event(R1, SAID, {}, trace_id="elsewhere")
    nobodys = state.record_event(None, SAID, {})

    assert own.trace_id == "trace-of-r1"
    assert given_one.trace_id == "elsewhere"
    assert len(nobodys.trace_id) == 32
    assert [event.trace_id for event in state.events(R1)[1:]] == ["trace-of-r1", "elsewhere"]


def test_the_chain_of_untouched_events_holds(written: OrchestratorPaths) -> None:
    reopened(written).close()


def test_an_empty_chain_holds(state: StateManager) -> None:
    assert state.verify_chain() is None


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE events SET data = '{\"n\":9}' WHERE seq = 4", 4),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000000Z' WHERE seq = 1", 1),
        ("UPDATE events SET duration_ms = 99 WHERE seq = 5", 5),
        ("UPDATE events SET run_id = NULL WHERE seq = 3", 3),
        ("UPDATE events SET kind = 'agent.tool' WHERE seq = 8", 8),
        ("UPDATE events SET hash = 'x' WHERE seq = 2", 2),
        ("DELETE FROM events WHERE seq = 3", 3),
        ("DELETE FROM events WHERE seq = 8", 8),
        ("DELETE FROM events WHERE seq > 5", 6),
        ("DELETE FROM events", 1),
        ("INSERT INTO events SELECT 9, 99, run_id, at, kind, data, trace_id, duration_ms, hash FROM events"
         " WHERE seq = 8", 9),
    ],
)  # fmt: skip
def test_a_changed_removed_or_added_event_shows(
    written: OrchestratorPaths, statement: str, broken: int
) -> None:
    assert tampered(written, statement) == broken


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = '{}'",
        "DELETE FROM events",
        "DELETE FROM events WHERE seq = 8",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE seq = 3",
        "INSERT INTO events SELECT 99, 99, run_id, at, kind, data, trace_id, duration_ms, hash FROM events"
        " WHERE seq = 8",
    ],
)
def test_the_database_itself_refuses_to_change_what_happened(
    written: OrchestratorPaths, statement: str
) -> None:
    connection = sqlite3.connect(written.state_file)

    with pytest.raises(sqlite3.IntegrityError, match=r"events are (append-only|numbered without gaps)"):
        connection.execute(statement)

    connection.close()
    reopened(written).close()


def test_subscribers_hear_of_durable_events_only_and_in_order(state: StateManager) -> None:
    heard: list[Event] = []
    state.subscribe(heard.append)
    state.create_run(a_run())

    def lose(number: int) -> None:
        with state.transaction():
            state.record_event(R1, SAID, {"n": number})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        lose(1)
    with state.transaction():
        state.record_event(R1, SAID, {"n": 2})
        with pytest.raises(RuntimeError):
            lose(3)
        state.record_event(R1, SAID, {"n": 4})
        heard_inside = len(heard)

    assert heard_inside == 1
    assert [event.data.get("n") for event in heard] == [None, 2, 4]
    assert heard == state.events(R1)


def test_a_subscriber_may_read_and_write(state: StateManager) -> None:
    seen: list[int] = []

    def follow(event: Event) -> None:
        seen.append(len(state.events(R1)))
        if event.kind is EventKind.RUN_STARTED:
            state.record_event(R1, SAID, {"again": True})

    state.subscribe(follow)

    state.create_run(a_run())

    assert seen == [1, 2]


def test_what_a_subscriber_raises_comes_out_after_the_change_is_durable(
    state: StateManager, paths: OrchestratorPaths
) -> None:
    def broken_pipe(event: Event) -> None:
        raise BrokenPipeError

    state.subscribe(broken_pipe)

    with pytest.raises(BrokenPipeError):
        state.create_run(a_run())

    state.close()
    with reopened(paths) as again:
        assert again.get_run(R1).id == R1


def test_a_run_that_was_never_committed_has_no_events(state: StateManager) -> None:
    with contextlib.suppress(RuntimeError), state.transaction():
        state.create_run(a_run())
        state.record_event(R1, SAID, {})
        raise RuntimeError

    with pytest.raises(Exception, match="There is no run"):
        state.record_event(R1, SAID, {})
    assert state.verify_chain() is None


def test_threads_take_turns(state: StateManager, paths: OrchestratorPaths) -> None:
    started(state)

    def write(name: int) -> None:
        for number in range(20):
            with state.transaction():
                state.record_event(R1, SAID, {"thread": name, "n": number})
                state.record_event(R1, SAID, {"thread": name, "n": number})

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    said = [(event.data["thread"], event.data["n"]) for event in state.events(R1) if event.kind is SAID]
    assert len(said) == 160
    assert said[::2] == said[1::2]
    state.close()
    reopened(paths).close()


ANY_TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["\ud800", "\udcff", "\0", "é\udcc3", "💥"]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(ANY_TEXT, ANY_JSON, max_size=5))
def test_whatever_an_agent_sends_is_kept_exactly(state: StateManager, data: dict[str, Any]) -> None:
    event = state.record_event(None, SAID, data)

    [kept] = state.events(None, after_run_seq=event.run_seq - 1)

    assert kept.data == data
    assert kept.hash == event.hash


def test_numbers_that_json_cannot_say_become_null(state: StateManager) -> None:
    state.record_event(None, SAID, {"cost": math.nan, "list": [math.inf, -math.inf, 1.5], "text": "NaN"})

    assert state.events(None)[0].data == {"cost": None, "list": [None, None, 1.5], "text": "NaN"}


@pytest.mark.parametrize("depth", [50, 99, 101, 5000, 200_000])
def test_what_nests_too_deeply_is_cut_and_never_blocks_reading(state: StateManager, depth: int) -> None:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]

    state.record_event(None, SAID, {"nested": nested, "text": "[" * 300})

    kept = state.events(None)[0].data
    assert kept["text"] == "[" * 300
    assert ("too deeply" in str(kept)) is (depth >= 99)
    assert state.verify_chain() is None


@given(text=ANY_TEXT)
def test_text_keeps_every_byte(text: str) -> None:
    bound = codec.bindable(text)
    kept = codec.readable(bound.encode() if isinstance(bound, str) else bound)

    if any("\ud800" <= letter <= "\udfff" and not "\udc80" <= letter <= "\udcff" for letter in text):
        return  # a surrogate that stands for no byte has no exact form: that it can be written is enough
    assert kept.encode("utf-8", "surrogateescape") == text.encode("utf-8", "surrogateescape")


@given(at=st.datetimes(timezones=st.timezones()))
def test_times_survive_to_the_microsecond(at: Any) -> None:
    assert codec.moment(codec.stamp(at)) == at.astimezone(UTC)
    assert codec.stamp(at).endswith("Z")


@pytest.mark.parametrize("text", ["[1]", '["a", 1]', "{}", "nonsense"])
def test_lists_are_checked_when_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.load_list(text)


def test_objects_and_times_are_checked_when_read() -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        codec.load_object("[1]")
    with pytest.raises(ValueError, match="no time zone"):
        codec.moment("2026-11-20T11:00:00")
