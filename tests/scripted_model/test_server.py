from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripted_model.server import ScriptedModel
from tests.scripted_model.steps import WRITES_HELLO, Answer, Call, Failure, Json, Shell

_FUNCTION = {"name": "write", "parameters": {"type": "object", "properties": {}}}
_TOOLS: Json = {
    "/v1/messages": [{"name": "write", "input_schema": {}}],
    "/v1/responses": [{"type": "function", **_FUNCTION}],
    "/v1/chat/completions": [{"type": "function", "function": _FUNCTION}],
    "/api/chat": [{"type": "function", "function": _FUNCTION}],
    "/v1beta/models/m:generateContent": [{"functionDeclarations": [_FUNCTION]}],
}
_RESULT: Json = {
    "/v1/messages": {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
    "/v1/responses": {"input": [{"type": "function_call_output"}]},
    "/v1/chat/completions": {"messages": [{"role": "tool"}]},
    "/api/chat": {"messages": [{"role": "tool"}]},
    "/v1beta/models/m:generateContent": {"contents": [{"parts": [{"functionResponse": {}}]}]},
}


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def ask(url: str, body: Json) -> str:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", _TOOLS)
def test_every_wire_calls_the_agents_own_tool_and_answers_after_its_result(
    path: str, stream: bool, model: ScriptedModel, tmp_path: Path
) -> None:
    talk = model.add("t", WRITES_HELLO, tmp_path)
    url = model.url("t") + (path.replace(":gen", ":streamGen") if stream else path)
    body = {"stream": stream, "tools": _TOOLS[path]}

    called = ask(url, body)
    answered = ask(url, {**body, **_RESULT[path]})

    assert str(tmp_path / "hello.py") in called
    assert "I wrote hello.py." in answered
    assert [asked.answer for asked in talk.main] == ["write", "text"]


def test_a_request_without_tools_is_a_side_request_unless_the_talk_is_plain(model: ScriptedModel) -> None:
    side = model.add("side", (Answer("the answer"),))
    model.add("plain", (Answer("the answer"),), plain=True)

    titles = ask(model.url("side") + "/v1/messages", {})
    plain = ask(model.url("plain") + "/v1/messages", {})

    assert "the answer" not in titles
    assert side.main == []
    assert "the answer" in plain


def test_the_last_step_is_played_again_for_an_agent_that_goes_on_for_ever(model: ScriptedModel) -> None:
    model.add("t", (Call("nonsense"),))
    results = {"messages": [{"role": "tool"}] * 5, "tools": _TOOLS["/api/chat"], "stream": False}

    again = ask(model.url("t") + "/api/chat", results)

    assert json.loads(again)["message"]["tool_calls"][0]["function"]["name"] == "nonsense"


def test_a_text_in_the_request_chooses_the_script(model: ScriptedModel) -> None:
    model.add("t", (Answer("usual"),), when=[("review", (Answer("reviewed"),))], plain=True)

    usual = ask(model.url("t") + "/api/chat", {"messages": [{"content": "implement"}]})
    chosen = ask(model.url("t") + "/api/chat", {"messages": [{"content": "please review"}]})

    assert ("usual" in usual, "reviewed" in chosen) == (True, True)


def test_without_a_directory_files_are_written_by_the_shell(model: ScriptedModel) -> None:
    model.add("t", (*WRITES_HELLO[:1], Shell("true")))
    tools = [{"name": "Write"}, {"name": "Bash"}]

    called = json.loads(ask(model.url("t") + "/v1/messages", {"tools": tools}))

    assert called["content"][0]["name"] == "Bash"
    assert called["content"][0]["input"]["command"] == "printf '%s' 'print('\\''hello'\\'')\n' > 'hello.py'"


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_failure_has_its_status_and_headers(status: int, model: ScriptedModel) -> None:
    model.add("t", (Failure(status, "no", {"retry-after": "1"}),))

    with pytest.raises(urllib.error.HTTPError) as failed:
        ask(model.url("t") + "/v1/chat/completions", {"tools": []})

    with failed.value as answer:
        assert (answer.code, answer.headers["retry-after"]) == (status, "1")
        assert json.load(answer)["error"]["message"] == "no"


def test_usage_is_fixed_and_embeddings_depend_on_the_text_alone(model: ScriptedModel) -> None:
    model.add("t", WRITES_HELLO, plain=True)
    url = model.url("t")

    usage = json.loads(ask(url + "/v1/messages", {}))["usage"]
    vectors = json.loads(ask(url + "/api/embed", {"input": ["a", "b", "a"]}))["embeddings"]

    assert usage == {"input_tokens": 120, "output_tokens": 30}
    assert vectors[0] == vectors[2] != vectors[1]
