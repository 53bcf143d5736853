from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestrator.agents.acp.speaker import SPEAKERS, Speaker
from orchestrator.model.agent import (
    AskedPermission,
    Cause,
    Ending,
    Finished,
    Opened,
    Said,
    Spent,
    ToolState,
    UsedTool,
)
from orchestrator.model.run import Usage
from tests.agents.acp.conftest import END, Scripted, Step
from tests.agents.acp.fake_agent import usd

ASKED = ["allow_always", "allow_once", "reject_once"]
CODEX = Speaker("", always_metered=True)


def modes(*ids: str) -> dict[str, object]:
    return {
        "modes": {"currentModeId": ids[0], "availableModes": [{"id": each, "name": each} for each in ids]}
    }


def option(name: str, *values: str) -> dict[str, object]:
    choices = [{"value": value, "name": value.title()} for value in values]
    facts = {"id": name, "name": name, "category": name, "type": "select", "currentValue": values[0]}
    return {"configOptions": [{**facts, "options": choices}]}


def test_a_turn_is_told_from_its_session_to_its_tokens(scripted: Scripted) -> None:
    agent = scripted.agent(
        {"say": "I look."}, {"tool": {"write": "a.txt", "ask": ASKED}}, {"say": "Do"}, {"say": "ne."}, END
    )

    events = scripted.take(agent)

    kinds = [type(event).__name__ for event in events]
    assert kinds == [
        *("Started", "Opened", "Said", "UsedTool", "AskedPermission", "UsedTool"),
        *("Spent", "Said", "Spent", "Finished"),
    ]
    assert events[1] == Opened("fake-session-1")
    assert [event.text for event in events if isinstance(event, Said)] == ["I look.", "Done."]
    tools = [event for event in events if isinstance(event, UsedTool)]
    assert [(tool.tool, tool.state, tool.call) for tool in tools] == [
        ("edit", ToolState.STARTED, "call-1"),
        ("edit", ToolState.COMPLETED, "call-1"),
    ]
    assert tools[0].detail["title"] == "Write"
    assert tools[0].detail["paths"] == [str(scripted.tree / "a.txt")]
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.ending, end.answer, end.agent_session) == (Ending.FINISHED, "Done.", "fake-session-1")
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.cost_usd) == (240, 60, None)
    assert end.usage.peak_memory_bytes > 0


def test_no_files_and_no_terminal_are_offered_and_asking_for_them_is_refused(scripted: Scripted) -> None:
    steps = [{"request": method} for method in ("fs/read_text_file", "terminal/create", "elicitation/create")]

    end = scripted.end(*steps, END)

    (asked,) = scripted.heard("initialize")
    offered = asked.get("clientCapabilities", {})
    assert not offered.get("terminal")
    assert not any(offered.get("fs", {}).values())
    assert asked["clientInfo"]["name"] == "orchestrator"
    assert end.answer == "-32601" * 3


def test_a_permission_is_given_by_kind_for_this_once_and_never_for_always(scripted: Scripted) -> None:
    agent = scripted.agent({"tool": {"write": "a.txt", "ask": ASKED}}, END)

    events = scripted.take(agent)

    lines = (scripted.place / "heard.jsonl").read_text()
    assert '"optionId": "allow_once!"' in lines
    assert "allow_always" not in lines
    assert [event.granted for event in events if isinstance(event, AskedPermission)] == [True]


def test_without_an_option_for_this_once_none_is_chosen_and_the_turn_was_denied(
    scripted: Scripted,
) -> None:
    agent = scripted.agent({"tool": {"write": "a.txt", "ask": ["allow_always", "reject_always"]}}, END)

    events = scripted.take(agent)

    assert '"outcome": "cancelled"' in (scripted.place / "heard.jsonl").read_text()
    assert [event.state for event in events if isinstance(event, UsedTool)][-1] is ToolState.DENIED
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.ending, end.detail) == (Ending.DENIED, "it was not allowed edit: Write")


def test_a_change_outside_of_the_tree_is_refused_and_a_command_is_not(scripted: Scripted) -> None:
    outside = scripted.agent({"tool": {"path": "/etc/hosts", "ask": ASKED}}, END)
    assert scripted.take(outside)[-1].ending is Ending.DENIED  # type: ignore[union-attr]

    command = scripted.end({"tool": {"kind": "execute", "path": "/etc/hosts", "ask": ASKED}}, END)

    assert command.ending is Ending.FINISHED
    lines = (scripted.place / "heard.jsonl").read_text()
    assert (lines.count("reject_once!"), lines.count("allow_once!")) == (1, 1)


def test_a_permission_is_judged_by_all_that_was_told_of_its_call(scripted: Scripted) -> None:
    # The request names the call alone; its files were told when the call began, as copilot does.
    call = {"sessionUpdate": "tool_call", "toolCallId": "call-1", "kind": "edit", "title": "Write"}
    announced = {"update": {**call, "locations": [{"path": "/etc/hosts"}], "status": "pending"}}

    end = scripted.end(announced, {"permission": "call-1", "options": ASKED}, END)

    assert end.ending is Ending.DENIED
    assert "reject_once!" in (scripted.place / "heard.jsonl").read_text()


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "copilot"])
def test_the_mode_of_a_preset_is_set_when_it_is_offered(name: str, scripted: Scripted) -> None:
    (wanted,) = SPEAKERS[name].modes
    speaker = Speaker("", modes=SPEAKERS[name].modes)

    end = scripted.end(END, speaker=speaker, new=modes("agent", wanted, "yolo"))

    assert end.ending is Ending.FINISHED
    assert [params["modeId"] for params in scripted.heard("session/set_mode")] == [wanted]


def test_a_mode_that_is_an_option_of_the_session_is_set_as_one(scripted: Scripted) -> None:
    speaker = Speaker("", modes=SPEAKERS["opencode"].modes)

    end = scripted.end(END, speaker=speaker, new=option("mode", "plan", "build"))

    assert end.ending is Ending.FINISHED
    (params,) = scripted.heard("session/set_config_option")
    assert (params["configId"], params["value"]) == ("mode", "build")


def test_an_agent_without_the_mode_is_not_asked_to_work_in_another(scripted: Scripted) -> None:
    speaker = Speaker("", modes=SPEAKERS["codex"].modes)

    end = scripted.end(END, speaker=speaker, new=modes("agent", "agent-full-access"))

    assert (end.ending, end.cause) == (Ending.FAILED, Cause.PROTOCOL)
    assert end.detail == ("it does not offer the mode workspace-write (it offers: agent, agent-full-access)")
    assert scripted.heard("session/prompt") == []


def test_the_model_is_set_in_the_session_by_value_or_name(scripted: Scripted) -> None:
    for wanted in ("big-1", "Big-1"):
        end = scripted.end(END, model=wanted, new=option("model", "small-1", "big-1"))
        assert end.ending is Ending.FINISHED

    missing = scripted.end(END, model="huge", new=option("model", "small-1", "big-1"))
    deaf = scripted.end(END, model="huge")

    assert [params["value"] for params in scripted.heard("session/set_config_option")] == ["big-1", "big-1"]
    assert missing.detail == "it does not offer the model huge (it offers: small-1, big-1)"
    assert deaf.detail == "it cannot be told over ACP to use the model huge"


def test_an_agent_that_wants_a_key_is_asked_to_take_it(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = Speaker("", authenticate={"SOME_KEY": "api-key"}, authenticates_first=True)
    offer = {"authMethods": [{"id": "api-key", "name": "a key"}]}
    agent = scripted.agent(END, speaker=speaker, initialize=offer)

    without = scripted.take(agent)[-1]
    given = scripted.take(agent, secrets={"SOME_KEY": "x"})[-1]
    unknown = scripted.take(scripted.agent(END, speaker=speaker), secrets={"SOME_KEY": "x"})[-1]

    assert isinstance(without, Finished)
    assert isinstance(given, Finished)
    assert isinstance(unknown, Finished)
    assert (without.ending, given.ending) == (Ending.FINISHED, Ending.FINISHED)
    assert scripted.heard("authenticate") == [{"methodId": "api-key"}]
    assert unknown.cause is Cause.CREDENTIAL


def test_a_session_that_is_refused_without_authentication_is_asked_for_again_after_it(
    scripted: Scripted,
) -> None:
    offer = {"authMethods": [{"id": "api-key", "name": "a key"}]}
    speaker = Speaker("", authenticate={"": "api-key"})

    end = scripted.end(END, speaker=speaker, initialize=offer, needs_authentication=True)
    refused = scripted.end(END, initialize=offer, needs_authentication=True)

    assert end.ending is Ending.FINISHED
    assert (refused.ending, refused.cause) == (Ending.FAILED, Cause.CREDENTIAL)
    assert len(scripted.heard("session/new")) == 3


def test_an_earlier_session_goes_on_and_its_history_is_not_told_again(scripted: Scripted) -> None:
    agent = scripted.agent(
        {"say": "Going on."}, {"update": {"sessionUpdate": "usage_update", "cost": usd(0.75)}}, END,
        sessions=["earlier"],
    )  # fmt: skip

    events = scripted.take(agent, continues="earlier")

    assert scripted.heard("session/load")[0]["sessionId"] == "earlier"
    assert scripted.heard("session/new") == []
    assert [event.text for event in events if isinstance(event, Said)] == ["Going on."]
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.answer, end.agent_session, end.usage.cost_usd) == ("Going on.", "earlier", 0.25)


def test_tokens_are_found_where_gemini_tells_them(scripted: Scripted) -> None:
    meta = {"quota": {"token_count": {"input_tokens": 240, "output_tokens": 60}}}

    end = scripted.end({"end": "end_turn", "meta": meta}, speaker=CODEX)

    assert (end.ending, end.usage.input_tokens, end.usage.output_tokens) == (Ending.FINISHED, 240, 60)


@pytest.mark.parametrize(
    ("usage", "input_tokens"),
    [
        (
            {
                "inputTokens": 40,
                "outputTokens": 60,
                "cachedReadTokens": 150,
                "cachedWriteTokens": 50,
                "totalTokens": 300,
            },
            240,
        ),
        ({"inputTokens": 240, "outputTokens": 60, "cachedReadTokens": 150, "totalTokens": 300}, 240),
    ],
    ids=["apart", "within"],
)
def test_cached_tokens_are_a_part_of_the_input_however_they_are_told(
    usage: Step, input_tokens: int, scripted: Scripted
) -> None:
    end = scripted.end({"end": "end_turn", "usage": usage})

    assert (end.usage.input_tokens, end.usage.cached_tokens) == (input_tokens, 150)


def test_turns_of_the_model_are_told_as_they_begin(scripted: Scripted) -> None:
    agent = scripted.agent({"tool": {}}, {"tool": {}}, {"say": "Done."}, END)

    events = scripted.take(agent)

    assert [event.usage.turns for event in events if isinstance(event, Spent)] == [2, 3, 3]


def test_tokens_of_the_last_step_alone_are_not_told_as_those_of_the_turn(scripted: Scripted) -> None:
    speaker = Speaker("", always_metered=True, tokens_of_turn=False)
    cost = {"update": {"sessionUpdate": "usage_update", "used": 9, "size": 99, "cost": usd(0.002)}}

    events = scripted.take(scripted.agent(cost, END, speaker=speaker))

    spent = [event.usage for event in events if isinstance(event, Spent)]
    assert spent[0] == Usage(cost_usd=0.002, turns=1)
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.ending, end.usage.input_tokens, end.usage.cost_usd) == (Ending.FINISHED, None, 0.002)


def test_a_prompt_that_is_no_text_everywhere_reaches_the_agent(scripted: Scripted) -> None:
    odd = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")

    end = scripted.take(scripted.agent(END), prompt=odd + "x" * 300_000)[-1]

    assert isinstance(end, Finished)
    assert end.ending is Ending.FINISHED
    (asked,) = scripted.heard("session/prompt")
    assert asked["prompt"][0]["text"].startswith("caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}x")


def test_kinds_of_updates_that_are_not_known_are_passed_over(scripted: Scripted) -> None:
    odd: list[object] = [
        {"sessionUpdate": "from_the_future", "x": 1},
        {"sessionUpdate": "tool_call"},
        {"sessionUpdate": "tool_call_update", "toolCallId": 7, "status": "completed", "content": "none"},
        {"sessionUpdate": "agent_message_chunk", "content": "text"},
        {"sessionUpdate": "usage_update", "cost": {"amount": "free", "currency": "USD"}},
        {"sessionUpdate": ["list"]},
    ]

    end = scripted.end(*({"update": update} for update in odd), {"say": "Done."}, END)

    assert (end.ending, end.answer, end.usage.cost_usd) == (Ending.FINISHED, "Done.", None)


def test_each_event_of_a_turn_is_a_frozen_value(scripted: Scripted) -> None:
    events = scripted.take(scripted.agent({"tool": {"write": "a.txt"}}, END))

    assert all(dataclasses.is_dataclass(event) for event in events)
    assert Path(scripted.request.transcript).read_text().count('"session/update"') == 2
