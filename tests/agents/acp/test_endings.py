from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from orchestrator.agents.acp.agent import AcpAgent
from orchestrator.agents.acp.speaker import Speaker
from orchestrator.model.agent import (
    Cause,
    Ending,
    Finished,
    Said,
    UsedTool,
)
from orchestrator.process import leftovers
from tests.agents.acp.conftest import END, USAGE, Scripted, Step
from tests.agents.acp.fake_agent import usd
from tests.agents.contract.stage import HANGING

ASKED = ["allow_always", "allow_once", "reject_once"]
CODEX = Speaker("", always_metered=True)


@pytest.mark.parametrize("able", [True, False])
def test_a_session_that_is_lost_is_told_as_lost(able: bool, scripted: Scripted) -> None:
    agent = scripted.agent(END, initialize={"agentCapabilities": {"loadSession": able}})

    end = scripted.take(agent, continues="gone")[-1]

    assert isinstance(end, Finished)
    assert (end.ending, end.cause) == (Ending.FAILED, Cause.SESSION_LOST)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ({"code": -32603, "message": "Internal error", "data": {"errorKind": "rate_limit"}}, Cause.QUOTA),
        ({"code": -32603, "message": "Rate limit reached", "data": {"errorName": "APIError"}}, Cause.QUOTA),
        ({"code": -32000, "message": "Authentication required"}, Cause.CREDENTIAL),
        ({"code": -32603, "message": "API Error: 401 invalid x-api-key"}, Cause.CREDENTIAL),
        ({"code": -32603, "message": "connect ECONNREFUSED 127.0.0.1:9"}, Cause.NETWORK),
        ({"code": -32601, "message": "Method not found"}, Cause.PROTOCOL),
        ({"code": -32603, "message": "Internal error", "data": {"status": 500}}, Cause.OTHER),
    ],
)
def test_an_error_is_a_failure_with_the_cause_that_it_tells(
    error: Step, cause: Cause, scripted: Scripted
) -> None:
    end = scripted.end({"error": error})

    assert (end.ending, end.cause) == (Ending.FAILED, cause)
    assert end.detail.startswith(f"session/prompt: {error['message']}")


# Source: codex-acp 2.6.0 and copilot 1.0.102 with a model server that answers 429, 401, or is not there.
@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("stream error: exceeded retry limit, last status: 429 Too Many Requests", Cause.QUOTA),
        ("Error: 401 Unauthorized", Cause.CREDENTIAL),
        ("stream disconnected before completion: Connection refused (os error 111)", Cause.NETWORK),
        ("", Cause.OTHER),
    ],
)
def test_the_end_of_a_turn_that_never_reached_its_model_is_no_success(
    text: str, cause: Cause, scripted: Scripted
) -> None:
    end = scripted.end({"say": text}, {"end": "end_turn"}, speaker=CODEX)

    assert (end.ending, end.cause) == (Ending.FAILED, cause)
    assert "its model was not reached" in end.detail
    assert text in end.detail


@pytest.mark.parametrize(
    "sign",
    [
        {"warn": "Attempt 2 failed with status 429. Retrying with backoff..."},
        {
            "update": {
                "sessionUpdate": "session_info_update",
                "_meta": {"codex": {"error": {"message": "Reconnecting", "additionalDetails": "429"}}},
            }
        },
    ],
    ids=["on stderr", "as codex-acp tells it"],
)
def test_silence_after_an_error_of_the_service_is_told_with_it(sign: Step, scripted: Scripted) -> None:
    silent = scripted.take(scripted.agent(sign, {"until_cancel": 1}), idle_timeout_s=0.8)[-1]
    recovered = scripted.take(
        scripted.agent(sign, {"request": "any/thing"}, {"say": "I go on."}, {"until_cancel": 1}),
        idle_timeout_s=0.8,
    )[-1]

    assert isinstance(silent, Finished)
    assert isinstance(recovered, Finished)
    assert (silent.ending, silent.cause) == (Ending.IDLE, Cause.QUOTA)
    assert "429" in silent.detail
    assert (recovered.ending, recovered.detail) == (Ending.IDLE, "stopped after 0.8 s of silence")


def test_an_agent_of_which_nothing_is_known_may_tell_no_usage(scripted: Scripted) -> None:
    end = scripted.end({"say": "Done."}, {"end": "end_turn"})

    assert end.ending is Ending.FINISHED
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.cost_usd) == (None, None, None)


@pytest.mark.parametrize(
    ("reason", "ending", "words"),
    [
        ("refusal", Ending.FAILED, "refused"),
        ("max_tokens", Ending.FAILED, "token limit"),
        ("max_turn_requests", Ending.LIMIT, "limit of requests"),
        ("cancelled", Ending.FAILED, "nobody had asked"),
    ],
)
def test_other_reasons_to_stop_are_no_success(
    reason: str, ending: Ending, words: str, scripted: Scripted
) -> None:
    end = scripted.end({"end": reason, "usage": USAGE})

    assert end.ending is ending
    assert words in end.detail


def test_a_turn_that_ends_as_cancelled_because_it_was_denied_was_denied(scripted: Scripted) -> None:
    end = scripted.end({"tool": {"path": "/etc/x", "ask": ASKED}}, {"end": "cancelled"}, speaker=CODEX)

    assert end.ending is Ending.DENIED


def test_nonsense_for_ever_is_ended_by_the_limit_of_turns(scripted: Scripted) -> None:
    agent = scripted.agent({"tool": {"repeat": 1_000_000, "ask": ASKED}}, END)

    events = scripted.take(agent, max_turns=3)

    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.ending, end.detail) == (Ending.LIMIT, "stopped after 3 turns of its model")
    assert leftovers.find(scripted.request.marker) == []


def test_spending_too_much_ends_the_turn(scripted: Scripted) -> None:
    costs = [{"update": {"sessionUpdate": "usage_update", "cost": usd(amount)}} for amount in (0.4, 0.8)]

    end = scripted.take(scripted.agent(*costs, {"until_cancel": 1}, {"end": "cancelled"}), max_cost_usd=0.5)[
        -1
    ]

    assert isinstance(end, Finished)
    assert (end.ending, end.usage.cost_usd) == (Ending.LIMIT, 0.8)
    assert "0.8000 USD of 0.5" in end.detail


def test_a_cancel_reaches_the_agent_which_may_end_in_peace(scripted: Scripted) -> None:
    agent = scripted.agent({"until_cancel": 1}, {"say": "I stop."}, {"end": "cancelled", "usage": USAGE})
    hanging = scripted.tree / HANGING

    end = scripted.take(agent, cancelled=hanging.exists)[-1]

    assert isinstance(end, Finished)
    assert (end.ending, end.detail, end.answer) == (Ending.CANCELLED, "stopped on request", "I stop.")
    assert end.usage.input_tokens == 240
    assert len(scripted.heard("session/cancel")) == 1


def test_a_flood_of_text_is_shown_by_its_end_and_does_not_grow_the_answer(scripted: Scripted) -> None:
    events = scripted.take(scripted.agent({"flood": 60_000}, {"say": "the end"}, END))

    end = events[-1]
    assert isinstance(end, Finished)
    assert end.ending is Ending.FINISHED
    assert end.answer.startswith("word 0 word 1")
    assert len(end.answer) <= 1 << 20
    said = [event.text for event in events if isinstance(event, Said)]
    assert all(len(text) <= 16_000 for text in said)
    assert said[-1].endswith("the end")


def test_an_agent_that_tells_more_than_is_taken_waits_until_it_is(scripted: Scripted) -> None:
    flood = {"tool": {"repeat": 1_000_000, "path": "x" * 2000}}
    transcript = Path(scripted.request.transcript)
    events = scripted.agent(flood, END).run(scripted.request, worktree=scripted.tree, cancelled=lambda: False)
    next(event for event in events if isinstance(event, UsedTool))

    before, after = -1, transcript.stat().st_size
    while after != before:
        time.sleep(0.3)  # not a deadline: an agent that does not wait goes on writing all the time
        before, after = after, transcript.stat().st_size
    events.close()  # type: ignore[attr-defined]

    assert after < 30 << 20
    assert leftovers.find(scripted.request.marker) == []


def test_a_message_of_some_megabytes_is_taken_and_a_larger_one_ends_the_turn(scripted: Scripted) -> None:
    fine = scripted.end({"huge": 5 << 20}, END)
    too_large = scripted.end({"huge": 20 << 20}, END)

    assert fine.ending is Ending.FINISHED
    assert len(fine.answer) == 1 << 20
    assert (too_large.ending, too_large.cause) == (Ending.FAILED, Cause.PROTOCOL)
    assert too_large.detail == "it sent a message of more than 16 MiB"


def test_lines_that_are_no_messages_are_shown_and_too_many_are_no_protocol(
    scripted: Scripted,
) -> None:
    some = scripted.take(scripted.agent({"raw": "\x1b[31mwarning: old node"}, {"raw": "[1, 2]"}, END))
    many = scripted.end({"raw": "what?\n" * 2000}, END)

    assert [event.text for event in some if isinstance(event, Said)] == ["warning: old node", "[1, 2]"]
    assert some[-1].ending is Ending.FINISHED  # type: ignore[union-attr]
    assert (many.ending, many.cause) == (Ending.FAILED, Cause.PROTOCOL)
    assert many.detail == "what it prints is not ACP, such as: what?"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"one"}}', "initialize: its answer is not ACP"),
        ('{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":2}}', "it speaks version 2 of ACP"),
        ('{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"no"}}', "initialize: no"),
    ],
)
def test_an_agent_that_answers_something_else_fails_with_what_was_wrong(
    message: str, words: str, scripted: Scripted
) -> None:
    code = f"input(); print({message!r}, flush=True); input()"

    end = scripted.take(AcpAgent("odd", Speaker(sys.executable, ("-c", code))))[-1]

    assert isinstance(end, Finished)
    assert end.ending is Ending.FAILED
    assert words in end.detail


@pytest.mark.parametrize(
    ("code", "words", "cause"),
    [
        ("import sys; sys.exit('you are not logged in')", "exit status 1", Cause.CREDENTIAL),
        ("pass", "it ended without telling its result", Cause.PROTOCOL),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9", Cause.OTHER),
        ("import os, time; os.close(1); time.sleep(600)", "its output ended", Cause.OTHER),
    ],
)
def test_a_program_that_ends_without_a_word_fails_with_how_it_ended(
    code: str, words: str, cause: Cause, scripted: Scripted
) -> None:
    end = scripted.take(AcpAgent("odd", Speaker(sys.executable, ("-c", code))))[-1]

    assert isinstance(end, Finished)
    assert (end.ending, end.cause) == (Ending.FAILED, cause)
    assert words in end.detail
    assert leftovers.find(scripted.request.marker) == []


def test_a_program_that_dies_in_the_middle_fails_with_its_last_words(scripted: Scripted) -> None:
    end = scripted.end({"say": "I begin."}, {"warn": "out of memory"}, {"die": 137})

    assert (end.ending, end.exit_status, end.answer) == (Ending.FAILED, 137, "I begin.")
    assert end.detail == "exit status 137: out of memory"


def test_a_program_that_is_missing_ends_without_a_start(scripted: Scripted) -> None:
    events = scripted.take(AcpAgent("odd", Speaker("/nonexistent/agent")))

    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.ending, end.exit_status) == (Ending.FAILED, None)
    assert "/nonexistent/agent" in end.detail


def test_an_echo_of_what_it_is_sent_is_no_agent(scripted: Scripted) -> None:
    end = scripted.take(AcpAgent("cat", Speaker("/bin/cat")))[-1]

    assert isinstance(end, Finished)
    assert end.ending is Ending.FAILED


def test_a_refusal_that_only_its_answer_explains_has_the_cause_that_it_tells(scripted: Scripted) -> None:
    end = scripted.end({"say": "request failed (code: 401): Incorrect API key."}, {**END, "end": "refusal"})

    assert (end.ending, end.cause) == (Ending.FAILED, Cause.CREDENTIAL)
