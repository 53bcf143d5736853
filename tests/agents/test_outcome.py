"""What is concluded from each recorded shape of the five CLIs. Source: facts/agents.md section 5."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.agents.listening import StreamEar
from orchestrator.agents.outcome import Conclusion, Facts, Rules, conclude
from orchestrator.agents.preset import PresetAgent
from orchestrator.agents.presets import PRESETS
from orchestrator.model.agent import AgentEvent, Cause, Ending, Opened, Said, Spent, ToolState, UsedTool
from orchestrator.process.command import Ended

RECORDED = Path(__file__).parent / "recorded"
EXITED = Ended(0, None, "exited", 0.1, 0.2, 1, 1, 0, "")
FINISHED, FAILED, DENIED, LIMIT = Ending.FINISHED, Ending.FAILED, Ending.DENIED, Ending.LIMIT


def listen(name: str) -> tuple[StreamEar, list[AgentEvent]]:
    """Returns what is heard of a recorded stream, in pieces that cut its lines."""
    ear = StreamEar(PRESETS[name.split("-")[0]].parser())
    data = (RECORDED / f"{name}.jsonl").read_bytes()
    events: list[AgentEvent] = []
    for at in range(0, len(data), 37):
        events += ear.heard(data[at : at + 37])
    return ear, [*events, *ear.finish()]


def concluded(name: str, ended: Ended, *, errors: str = "", continued: str = "") -> Conclusion:
    ear, _ = listen(name)
    ear.complained(errors.encode())
    ear.finish()
    preset = PRESETS[name.split("-")[0]]
    facts = Facts(ended, ear.account, ear.last_line, ear.errors, continued)
    return conclude(facts, PresetAgent(name, preset).rules)


def exited(status: int) -> Ended:
    return replace(EXITED, exit_status=status)


@pytest.mark.parametrize(
    ("name", "status", "ending", "cause"),
    [
        ("claude-write", 0, FINISHED, Cause.OTHER),
        ("claude-denied", 0, DENIED, Cause.OTHER),
        ("claude-429", 1, FAILED, Cause.QUOTA),
        ("claude-429", 0, FAILED, Cause.QUOTA),
        ("claude-401", 1, FAILED, Cause.CREDENTIAL),
        ("claude-not-logged-in", 1, FAILED, Cause.CREDENTIAL),
        ("claude-refused", 1, FAILED, Cause.NETWORK),
        ("claude-max-turns", 1, LIMIT, Cause.OTHER),
        ("claude-max-budget", 1, LIMIT, Cause.OTHER),
        ("claude-interrupted", 1, FAILED, Cause.OTHER),
        ("claude-no-usage", 0, FAILED, Cause.OTHER),
        ("claude-cut-off", 0, FAILED, Cause.PROTOCOL),
        ("codex-write", 0, FINISHED, Cause.OTHER),
        ("codex-declined", 0, DENIED, Cause.OTHER),
        ("codex-sandboxed", 0, FINISHED, Cause.OTHER),  # it says nothing of a denial: the tree tells
        ("codex-401", 1, FAILED, Cause.CREDENTIAL),
        ("codex-401", 0, FAILED, Cause.CREDENTIAL),
        ("codex-429", 1, FAILED, Cause.QUOTA),
        ("codex-no-usage", 0, FAILED, Cause.OTHER),
        ("gemini-write", 0, FINISHED, Cause.OTHER),
        ("gemini-denied", 0, DENIED, Cause.OTHER),
        ("gemini-tool-failed", 0, FINISHED, Cause.OTHER),
        ("gemini-401", 145, FAILED, Cause.CREDENTIAL),
        ("gemini-429", 173, FAILED, Cause.QUOTA),
        ("gemini-500", 244, FAILED, Cause.OTHER),
        ("gemini-400", 144, FAILED, Cause.OTHER),
        ("gemini-refused", 1, FAILED, Cause.NETWORK),
        ("gemini-refused", 0, FAILED, Cause.NETWORK),
        ("gemini-turn-limit", 53, LIMIT, Cause.OTHER),
        ("gemini-no-usage", 0, FAILED, Cause.OTHER),
        ("copilot-write", 0, FINISHED, Cause.OTHER),
        ("copilot-denied", 0, DENIED, Cause.OTHER),
        ("copilot-401", 1, FAILED, Cause.CREDENTIAL),
        ("copilot-429", 1, FAILED, Cause.QUOTA),
        ("copilot-refused", 1, FAILED, Cause.NETWORK),
        ("copilot-error-and-0", 0, FAILED, Cause.OTHER),
        ("copilot-no-usage", 0, FAILED, Cause.OTHER),
        ("opencode-write", 0, FINISHED, Cause.OTHER),
        ("opencode-rejected", 0, DENIED, Cause.OTHER),
        ("opencode-401", 1, FAILED, Cause.CREDENTIAL),
        ("opencode-429", 1, FAILED, Cause.QUOTA),
        ("opencode-refused", 0, FAILED, Cause.NETWORK),
        ("opencode-no-usage", 0, FAILED, Cause.OTHER),
        ("opencode-cut-off", 0, FAILED, Cause.PROTOCOL),
    ],
)
def test_the_outcome_of_a_recorded_turn_is_told_truly(
    name: str, status: int, ending: Ending, cause: Cause
) -> None:
    found = concluded(name, exited(status))

    assert (found.ending, found.cause) == (ending, cause)
    assert bool(found.detail) is (ending is not FINISHED)


@pytest.mark.parametrize(("ended_by", "ending"), [("cancelled", Ending.CANCELLED), ("idle", Ending.IDLE)])
@pytest.mark.parametrize("name", ["gemini-write", "claude-interrupted", "copilot-denied"])
def test_what_we_ended_is_told_as_ours_whatever_the_agent_said_and_with_whichever_status(
    name: str, ended_by: str, ending: Ending
) -> None:
    ended = replace(EXITED, cause=ended_by)  # type: ignore[arg-type]

    assert concluded(name, ended).ending is ending


def test_a_turn_that_only_tried_to_connect_tells_so_when_its_time_is_over() -> None:
    ended = replace(EXITED, cause="deadline", exit_status=None, detail="stopped after 75 s")

    found = concluded("codex-reconnecting", ended)

    assert (found.ending, found.cause) == (Ending.DEADLINE, Cause.NETWORK)
    assert found.detail.startswith("stopped after 75 s: Reconnecting")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("claude", "No conversation found with session ID: 0b51c1c2-7c1f-4b0e-9d55-3f1d0c6a7e10"),
        (
            "codex",
            "Error: thread/resume: thread/resume failed: no rollout found for thread id 0b51c1c2 (code 0)",
        ),
        ("gemini", 'Error resuming session: Invalid session identifier "5f3f5a70".'),
        ("gemini", "Error resuming session: No previous sessions found for this project."),
        (
            "copilot",
            "Error: No session, task, or name matched '9d0a7c6e'.\n\nTo resume by name: copilot --resume",
        ),
        ("opencode", "Error: Session not found"),
    ],
)
def test_a_session_that_the_agent_does_not_know_any_more_is_lost(name: str, words: str) -> None:
    preset = PRESETS[name]
    account = preset.parser().account
    facts = Facts(exited(1), account, words.splitlines()[-1], words, continued="some-session")

    resumed = conclude(facts, Rules(preset.meanings, tells_end=True))
    fresh = conclude(replace(facts, continued=""), Rules(preset.meanings, tells_end=True))

    assert (resumed.ending, resumed.cause) == (FAILED, Cause.SESSION_LOST)
    assert fresh.cause is not Cause.SESSION_LOST


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("gemini", 41, "Please set an Auth method in your .gemini/settings.json"),
        ("copilot", 1, "Error: No authentication information found.\n\n  • Run 'gh auth login'"),
    ],
)
def test_an_agent_that_says_before_its_stream_that_nobody_is_logged_in(
    name: str, status: int, words: str
) -> None:
    preset = PRESETS[name]
    facts = Facts(exited(status), preset.parser().account, words.splitlines()[-1], words)

    assert conclude(facts, PresetAgent(name, preset).rules).cause is Cause.CREDENTIAL


def test_an_agent_that_silently_begins_another_session_has_lost_the_one_it_was_asked_for() -> None:
    own = "019a8d52-6a1f-7e31-8c11-5b0f8a3f2d44"

    assert concluded("codex-write", EXITED, continued="another").cause is Cause.SESSION_LOST
    assert concluded("codex-write", EXITED, continued=own).ending is FINISHED


def test_a_command_that_codex_forbids_itself_is_a_denial_though_only_stderr_tells_it() -> None:
    errors = (
        "2026-11-26T21:06:51Z ERROR codex_core::tools::router: error=exec_command failed: "
        'CreateProcess { message: "Rejected(\\"`/bin/bash -lc \'touch a\'` rejected: by a rule\\")" }\n'
    )

    conclusion = concluded("codex-sandboxed", exited(0), errors=errors)

    assert conclusion == Conclusion(DENIED, "it was not allowed /bin/bash -lc 'touch a'")


def test_a_failure_tells_its_status_and_the_agents_own_words() -> None:
    assert concluded("gemini-429", exited(173)).detail.startswith(
        "exit status 173 (the service answered 429: too many requests): [API Error"
    )
    assert concluded("claude-cut-off", exited(1), errors="boom\n").detail == "exit status 1: boom"


USAGES = {
    "claude": (240, 60, 0.00162),
    "codex": (240, 60, None),
    "gemini": (240, 60, None),
    "copilot": (None, None, None),
    "opencode": (240, 60, 0.0016),
}


@pytest.mark.parametrize("name", PRESETS)
def test_session_text_tools_usage_and_answer_are_told_in_one_form(name: str) -> None:
    ear, events = listen(f"{name}-write")

    account = ear.account
    kinds = [type(event) for event in events]
    tools = [event for event in events if isinstance(event, UsedTool)]
    assert kinds.count(Opened) == 1
    assert account.agent_session == next(e.agent_session for e in events if isinstance(e, Opened))
    assert Said(account.answer) in events
    assert account.answer.startswith("I wrote hello.")
    assert tools[-1].state is ToolState.COMPLETED
    assert tools[-1].tool in ("Write", "shell", "write_file", "create", "write")
    assert len({tool.call for tool in tools}) == 1
    usage = account.usage
    told = (usage.input_tokens, usage.output_tokens, usage.cost_usd) if usage else (None, None, None)
    assert told == USAGES[name]
    assert any(isinstance(event, Spent) for event in events) is (name != "copilot")


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("claude-denied", "Write"),
        ("codex-declined", "shell"),
        ("gemini-denied", "write_file"),
        ("copilot-denied", "create"),
        ("opencode-rejected", "write"),
    ],
)
def test_a_denial_names_the_tool(name: str, tool: str) -> None:
    _, events = listen(name)

    denied = [each for each in events if isinstance(each, UsedTool) and each.state is ToolState.DENIED]
    assert [each.tool for each in denied] == [tool]
    assert tool in concluded(name, EXITED).detail


def test_answers_of_the_model_are_counted_where_tokens_are_not_told() -> None:
    ear, _ = listen("copilot-write")

    assert (ear.account.usage, ear.account.turns) == (None, 2)


def test_a_cost_of_zero_is_a_price_that_opencode_does_not_know() -> None:
    step = '{"type":"step_finish","sessionID":"s","part":{"reason":"stop","tokens":{"input":9},"cost":0}}\n'
    ear = StreamEar(PRESETS["opencode"].parser())

    ear.heard(step.encode())

    assert ear.account.usage is not None
    assert (ear.account.usage.input_tokens, ear.account.usage.cost_usd) == (9, None)
