"""What no agent may do to us by what it prints: long lines, floods, nonsense."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.agents.backlog import Backlog
from orchestrator.agents.lines import Lines, Overlong
from orchestrator.agents.listening import StreamEar
from orchestrator.agents.outcome import Rules
from orchestrator.agents.presets import PRESETS
from orchestrator.agents.turn import Invocation, take_turn
from orchestrator.model.agent import AgentEvent, AgentRequest, Ending, Finished, Said, UsedTool
from orchestrator.model.json import Json

LONG = """
import sys
for _ in range(100):
    sys.stdout.write('x' * (1 << 20))
print()
sys.stdout.write(open(sys.argv[1]).read())
"""
FLOOD = """
import sys
line = '{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t","name":"N","input":{}}]}}\\n'
for number in range(60):
    sys.stdout.write(line * 1000)
    sys.stdout.flush()
    print(number, file=open('count', 'w'))
"""


def words(code: str, *more: str) -> tuple[str, ...]:
    return (sys.executable, "-IS", "-c", code, *more)


def claude(argv: tuple[str, ...]) -> Invocation:
    return Invocation(argv, parser=PRESETS["claude"].parser, rules=Rules(tells_end=True, is_metered=True))


def never() -> bool:
    return False


def test_a_line_of_100_mb_is_told_and_dropped_and_what_follows_is_understood(
    worktree: Path, request_: AgentRequest
) -> None:
    recorded = str(Path(__file__).parent / "recorded" / "claude-write.jsonl")

    events = list(take_turn(claude(words(LONG, recorded)), request_, worktree=worktree, cancelled=never))

    assert Said("(a line of 104,857,600 bytes was too long to be read)") in events
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.ending, end.answer) == (Ending.FINISHED, "I wrote hello.py.")


def test_no_more_of_a_line_is_held_than_its_limit() -> None:
    lines = Lines(max_bytes=10)

    kept = [lines.feed(b"x" * 8) for _ in range(1000)]

    assert kept == [[]] * 1000
    assert sum(map(len, lines._parts)) <= 10
    assert lines.feed(b"\nshort\nrest") == [Overlong(8000), b"short"]
    assert lines.finish() == [b"rest"]
    assert lines.finish() == []


def test_an_agent_that_tells_more_than_is_taken_has_to_wait(worktree: Path, request_: AgentRequest) -> None:
    events = take_turn(claude(words(FLOOD)), request_, worktree=worktree, cancelled=never)
    for _ in range(10):
        next(events)
    told = _settled(lambda: (worktree / "count").read_text() if (worktree / "count").exists() else "")

    rest = list(events)

    assert int(told or 0) < 40
    assert sum(isinstance(event, UsedTool) for event in rest) > 59_000
    assert (worktree / "count").read_text() == "59\n"


def _settled(look: Callable[[], str]) -> str:
    """Returns what is seen once it does not change any more."""
    seen, since = look(), 0
    while since < 5:
        time.sleep(0.05)
        now = look()
        since = since + 1 if now == seen else 0
        seen = now
    return seen


def test_closing_a_turn_that_is_waiting_for_its_reader_ends_it(
    worktree: Path, request_: AgentRequest
) -> None:
    events = take_turn(claude(words(FLOOD)), request_, worktree=worktree, cancelled=never)
    for _ in range(10):
        next(events)

    events.close()  # type: ignore[attr-defined]

    assert not any(thread.name == "agent-turn" for thread in threading.enumerate())


def test_a_backlog_holds_its_source_while_it_is_full_and_lets_it_go_on() -> None:
    held: list[bool] = []
    backlog: Backlog[int] = Backlog(held.append, many=4)

    backlog.add(range(3))
    backlog.add(range(3))
    taken = [backlog.next(0.0) for _ in range(7)]
    backlog.add(range(9))
    backlog.close()
    backlog.add(range(9))

    assert taken == [0, 1, 2, 0, 1, 2, None]
    assert held == [True, False, True, False]
    assert backlog.next(0.0) is None


NONSENSE: list[Json] = [
    None,
    [],
    {},
    {"type": None},
    {"type": ["assistant"]},
    {"type": "assistant", "message": "text"},
    {
        "type": "assistant",
        "message": {"content": [None, 1, {"type": "text", "text": 3}, {"type": "tool_use"}]},
    },
    {"type": "user", "message": {"content": [{"type": "tool_result", "is_error": True}]}},
    {"type": "result", "usage": [], "modelUsage": {"m": 1}, "permission_denials": {}, "errors": [None]},
    {"type": "result", "status": "error", "error": "text", "stats": None, "data": 1},
    {"type": "result", "usage": {"input_tokens": -1, "output_tokens": 1e308}, "total_cost_usd": "1"},
    {"type": "thread.started", "thread_id": {}},
    {"type": "item.started", "item": []},
    {"type": "item.completed", "item": {"type": "agent_message", "text": None}},
    {"type": "item.completed", "item": {"type": "command_execution", "id": 7, "status": {}}},
    {"type": "turn.completed", "usage": {"input_tokens": True}},
    {"type": "turn.failed", "error": "text"},
    {"type": "message", "role": "assistant", "content": {}, "delta": True},
    {"type": "tool_result", "tool_id": None, "status": "error", "error": []},
    {"type": "tool.execution_complete", "data": {"success": False, "error": "x"}},
    {"type": "session.error", "data": {"statusCode": "401"}},
    {"type": "tool_use", "part": {"state": {"status": "error", "input": [1]}}},
    {"type": "step_finish", "part": {"tokens": {"cache": 3}, "cost": "x"}},
    {"type": "error", "error": {"data": [], "name": 4}},
    {"type": "never heard of", "type2": 1},
]


@pytest.mark.parametrize("name", PRESETS)
def test_messages_of_unexpected_shape_break_nothing(name: str) -> None:
    ear = StreamEar(PRESETS[name].parser())
    lines = [json.dumps(each) for each in NONSENSE]

    events: list[AgentEvent] = []
    for line in lines:
        events += ear.heard(line.encode() + b"\n")
    events += ear.finish()

    assert all(isinstance(event, AgentEvent) for event in events)


@pytest.mark.parametrize(
    "line",
    [
        b"{not json",
        b'{"type": "text" ',
        b"{" + b'"a":{' * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
        b"\xff\xfe{",
        b"Loaded cached credentials.",
    ],
)
def test_what_is_no_json_is_shown_and_breaks_nothing(line: bytes) -> None:
    ear = StreamEar(PRESETS["gemini"].parser())

    events = [*ear.heard(line + b"\n"), *ear.finish()]

    assert events == []
    assert len(ear.lines()) <= 4096
    assert ear.last_line


def test_what_an_agent_tells_of_itself_is_small_and_can_be_stored() -> None:
    ear = StreamEar(PRESETS["claude"].parser())
    tool = {
        "type": "tool_use",
        "id": "t\ud800",
        "name": "N" * 1000,
        "input": {
            "content": "\x1b[31m" + "y" * 100_000,
            "n": 2**70,
            "x": float("inf"),
            "deep": [[[[[[[[1]]]]]]]],
        },
    }
    text = {"type": "text", "text": "z" * 100_000 + "\ud800\x00"}
    message = {"type": "assistant", "message": {"content": [tool, text]}}

    events = ear.heard(json.dumps(message).encode() + b"\n")

    used, said = events
    assert isinstance(used, UsedTool)
    assert isinstance(said, Said)
    stored = json.dumps([used.detail, used.tool, used.call, said.text], allow_nan=False)
    assert len(stored.encode()) < 30_000
    assert "\x1b" not in stored
    assert ear.account.answer == "z" * 100_000 + "?"
