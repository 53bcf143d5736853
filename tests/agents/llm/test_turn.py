from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.llm import loop
from orchestrator.agents.llm.order import ModelSpec, ToolSpec
from orchestrator.errors import CredentialMissing, Refused
from orchestrator.process import leftovers
from tests.agents.llm.conftest import KEY, Bench, Write
from tests.scripted_model.steps import Answer, Call, Failure

HELLO = Call("write", {"path": "hello.py", "content": "print('hello')\n"})


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "ollama"])
def test_a_model_of_every_provider_works_with_the_tools(provider: str, bench: Bench) -> None:
    bench.script(HELLO, Answer("I wrote hello.py."))

    told = bench.take(model=bench.spec(provider))

    assert (bench.tree / "hello.py").read_text() == "print('hello')\n"
    assert bench.kinds("said")[-1]["text"] == "I wrote hello.py."
    assert told[-1]["type"] == "done"
    assert bench.kinds("spent")[-1]["input_tokens"] == 240
    assert bench.kinds("spent")[-1]["turns"] == 2


def test_every_request_is_told_by_host_method_status_and_size_alone(bench: Bench) -> None:
    bench.script(Answer("nothing to do"))

    bench.take()

    (request,) = bench.kinds("request")
    assert set(request) == {"type", "host", "method", "status", "size_bytes"}
    assert (request["host"], request["method"], request["status"]) == ("127.0.0.1", "POST", 200)
    assert request["size_bytes"] > 500


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_refusal_is_told_with_its_status_and_asked_for_once(status: int, bench: Bench) -> None:
    talk = bench.script(Failure(status, "no such luck"))

    told = bench.take()

    assert told[-1] == {
        "type": "error",
        "message": f"127.0.0.1 answered {status}: no such luck",
        "status": status,
    }
    assert len(talk.asked) == 1
    assert bench.kinds("request")[0]["status"] == status


def test_nobody_at_the_address_is_told_as_such(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    told = bench.take(model=bench.spec(base_url=f"http://127.0.0.1:{port}/v1"))

    assert told[-1]["type"] == "error"
    assert told[-1]["message"].startswith("cannot connect to 127.0.0.1: ")
    assert "refused" in told[-1]["message"]
    assert bench.kinds("request")[0]["status"] is None


def test_a_missing_key_is_told_before_anybody_is_asked(bench: Bench) -> None:
    talk = bench.script(Answer("never"))

    with pytest.raises(CredentialMissing) as caught:
        bench.take(environment={"OPENAI_API_KEY": ""})

    assert "OPENAI_API_KEY is not set" in caught.value.message
    assert talk.asked == []


@pytest.mark.parametrize(
    "address", ["http://models.example/v1", "ftp://x", "https://user:pw@models.example", "x"]
)
def test_no_key_goes_to_an_address_that_others_could_read(address: str, bench: Bench) -> None:
    with pytest.raises(Refused) as caught:
        bench.take(model=bench.spec(base_url=address))

    assert caught.value.code in ("address-plain", "address-invalid")
    assert "pw@" not in caught.value.message


def test_nonsense_tools_for_ever_come_to_an_end(bench: Bench) -> None:
    talk = bench.script(Call("fly_to_the_moon", {"speed": 3}))

    told = bench.take()

    assert told[-1]["message"] == f"in {loop.MAX_USELESS} turns in a row no tool that it called did anything"
    assert len(talk.asked) == loop.MAX_USELESS


def test_a_model_that_never_ends_is_stopped_after_the_turns_it_may_have(bench: Bench) -> None:
    talk = bench.script(Call("read", {"path": "."}))

    told = bench.take(max_turns=3)

    assert told[-1] == {"type": "limit", "message": "it has had its 3 turns"}
    assert len(talk.asked) == 3


def test_a_tool_that_needs_a_person_is_refused_and_told(bench: Bench) -> None:
    spec = ToolSpec("deploy", "puts it online", {"type": "object"}, ("touch", "deployed"), "ask")
    talk = bench.script(Call("deploy"), Answer("All is well."))

    bench.take(tools=(spec,))

    assert bench.kinds("permission") == [
        {"type": "permission", "tool": "deploy", "detail": {}, "granted": False}
    ]
    assert bench.kinds("tool")[0]["state"] == "denied"
    assert not (bench.tree / "deployed").exists()
    assert "nobody can be asked" in bench.results(talk)[0]


def test_a_tool_that_is_denied_is_not_offered(bench: Bench) -> None:
    talk = bench.script(Answer("nothing to do"))

    bench.take(permissions=(("run", "deny"), ("read", "ask")))

    assert "run" not in talk.asked[0].tools
    assert "read" in talk.asked[0].tools


def test_a_configured_tool_gets_its_arguments_as_words_and_on_stdin(bench: Bench) -> None:
    parameters: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
    spec = ToolSpec("greet", "greets", parameters, ("sh", "-c", 'echo "$1"; cat', "sh", "{name}"), "allow")
    talk = bench.script(Call("greet", {"name": "Ann; rm -rf x"}), Answer("done"))

    bench.take(tools=(spec,))

    assert bench.results(talk) == ['exit status 0\nAnn; rm -rf x\n{"name": "Ann; rm -rf x"}']


def test_an_argument_cannot_become_an_option(bench: Bench) -> None:
    spec = ToolSpec("show", "shows", {}, ("cat", "{path}"), "allow")
    talk = bench.script(Call("show", {"path": "--help"}), Answer("done"))

    bench.take(tools=(spec,))

    assert "must not begin with `-`" in bench.results(talk)[0]


def test_a_command_gets_no_key_and_its_output_reaches_the_model_without_secrets(bench: Bench) -> None:
    command = 'echo "[$OPENAI_API_KEY]"; cat secret.txt; exit 3'
    (bench.tree / "secret.txt").write_text(KEY)
    talk = bench.script(
        Call("run", {"command": command}), Call("read", {"path": "secret.txt"}), Answer("done")
    )

    bench.take()

    ran, read = bench.results(talk)
    assert ran == "exit status 3\n[]\n[redacted:OPENAI_API_KEY]"
    assert KEY not in read
    assert KEY not in (bench.place / "home" / "s1.jsonl").read_text()
    assert KEY not in json.dumps([asked.body for asked in talk.asked])


def test_nothing_that_a_command_started_is_left_running(bench: Bench) -> None:
    bench.script(Call("run", {"command": "setsid sleep 300 >/dev/null 2>&1 & echo started"}), Answer("done"))

    bench.take(marker="mark-llm-left")

    assert bench.kinds("tool")[1]["state"] == "completed"
    assert leftovers.find("mark-llm-left") == []


def test_a_command_ends_with_its_own_time(bench: Bench) -> None:
    talk = bench.script(Call("run", {"command": "sleep 300", "timeout_s": 1}), Answer("done"))

    bench.take()

    assert bench.results(talk)[0].startswith("stopped after 1 s")


def test_a_later_turn_goes_on_with_the_conversation(bench: Bench) -> None:
    bench.script(HELLO, Answer("first"))
    bench.take(prompt="write hello")
    talk = bench.script(HELLO, Answer("second"))

    bench.take(prompt="go on", continues=True)

    texts = json.dumps(talk.asked[0].body["messages"])
    assert "write hello" in texts
    assert "go on" in texts
    assert "first" in texts


def test_a_conversation_that_was_cut_in_a_tool_goes_on_before_it(bench: Bench) -> None:
    bench.script(HELLO, Answer("first"))
    bench.take(prompt="write hello")
    file = bench.place / "home" / "s1.jsonl"
    asked, called, *_ = file.read_text().splitlines(keepends=True)
    file.write_text(f"{asked}{called}{called[:50]}")  # as a kill leaves it: nobody answered, a line is torn
    talk = bench.script(Answer("second"))

    bench.take(prompt="go on", continues=True)

    assert [message["role"] for message in talk.asked[0].body["messages"]] == ["system", "user", "user"]


@pytest.mark.parametrize("damage", ["missing", "", "{\n", '{"kind": "other"}\n'])
def test_a_session_that_is_gone_or_unreadable_is_lost(damage: str, bench: Bench) -> None:
    file = bench.place / "home" / "s1.jsonl"
    file.parent.mkdir(exist_ok=True)
    if damage != "missing":
        file.write_text(damage)

    with pytest.raises(Refused) as caught:
        bench.take(continues=True)

    assert caught.value.code == "session-lost"


def test_conversations_are_readable_by_their_owner_alone(bench: Bench) -> None:
    bench.script(Answer("done"))

    bench.take()

    assert os.stat(bench.place / "home" / "s1.jsonl").st_mode & 0o777 == 0o600


def test_of_a_conversation_that_grows_too_long_old_results_are_left_out(bench: Bench, put: Write) -> None:
    put("long.txt", "word " * 4000)
    read = Call("read", {"path": "long.txt"})
    talk = bench.script(read, read, read, Answer("done"))

    bench.take(model=bench.spec(context_window=8000))

    first, *_, last = bench.results(talk)
    assert first.startswith("(left out")
    assert "word word" in last
    assert "do it" in json.dumps(talk.asked[-1].body)


def test_an_answer_that_was_cut_off_is_no_end(bench: Bench) -> None:
    bench.script(Answer(""))

    assert bench.take()[-1] == {"type": "error", "message": "its last answer was empty", "status": None}


def test_arguments_that_are_no_object_are_told_to_the_model(bench: Bench) -> None:
    from pydantic_ai.messages import ToolCallPart

    assert loop._arguments(ToolCallPart("read", "[1]")) is None
    assert loop._arguments(ToolCallPart("read", "{broken")) is None
    assert loop._arguments(ToolCallPart("read", None)) == {}


def test_temperature_and_most_tokens_are_what_the_configuration_says(bench: Bench) -> None:
    talk = bench.script(Answer("done"))

    bench.take(model=bench.spec(temperature=0.25, max_tokens=321))

    body = talk.asked[0].body
    assert body["temperature"] == 0.25
    assert 321 in (body.get("max_tokens"), body.get("max_completion_tokens"))


def test_an_unknown_provider_names_the_known_ones(bench: Bench) -> None:
    with pytest.raises(Refused) as caught:
        bench.take(model=ModelSpec("nobody", "m"))

    assert caught.value.code == "provider-unknown"


def test_files_outside_of_the_tree_stay_unseen(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("not yours")
    os.symlink(tmp_path / "outside.txt", bench.tree / "link.txt")
    talk = bench.script(
        Call("read", {"path": "../outside.txt"}),
        Call("read", {"path": "link.txt"}),
        Call("write", {"path": ".git/config", "content": "x"}),
        Answer("done"),
    )

    bench.take()

    above, linked, git = bench.results(talk)
    assert "outside of the tree" in above
    assert "outside of the tree" in linked
    assert "belongs to git" in git
    assert "not yours" not in json.dumps(talk.asked[-1].body)
