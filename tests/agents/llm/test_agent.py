from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.llm.agent import LlmAgent, Setting
from orchestrator.agents.llm.making import Means, llm_agent
from orchestrator.agents.llm.order import ModelSpec, Order
from orchestrator.agents.llm.stream import WorkerStream
from orchestrator.agents.outcome import Conclusion, Facts, Rules, conclude
from orchestrator.agents.places import LimitedAgent
from orchestrator.agents.registry import Reach, build, require
from orchestrator.config.schema import Agent, Config, Model, Tool
from orchestrator.errors import CredentialMissing, Refused
from orchestrator.model.agent import (
    AskedPermission,
    Cause,
    Ending,
    Health,
    Login,
    Opened,
    Requested,
    ToolState,
    UsedTool,
)
from orchestrator.process.command import Ended, Limits
from tests.agents.conftest import Turn, finished
from tests.agents.llm.conftest import KEY, Bench
from tests.scripted_model.steps import Answer, Call, Failure
from tests.scripted_model.wires import Tokens


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)


def agent(bench: Bench, **changes: Any) -> LlmAgent:
    return LlmAgent("llm", replace(Setting(bench.spec(), variables={"OPENAI_API_KEY": KEY}), **changes))


def test_a_turn_in_its_own_process_and_a_second_one_that_goes_on(
    bench: Bench, take: Turn, tmp_path: Path
) -> None:
    bench.script(Call("write", {"path": "a.txt", "content": "a"}), Answer("first"))
    first = take(agent(bench), home=str(tmp_path / "home"))
    session = finished(first).agent_session
    talk = bench.script(Call("write", {"path": "b.txt", "content": "b"}), Answer("second"))

    second = take(agent(bench), home=str(tmp_path / "home"), continues=session, prompt="go on")

    assert [finished(each).ending for each in (first, second)] == [Ending.FINISHED] * 2
    assert (bench.tree / "a.txt").exists()
    assert finished(second).agent_session == session
    assert "first" in json.dumps(talk.asked[0].body)
    assert [path.name for path in (tmp_path / "home" / "conversations").iterdir()] == [f"{session}.jsonl"]
    usage = finished(first).usage
    assert (usage.input_tokens, usage.output_tokens, usage.turns) == (240, 60, 2)
    assert usage.cost_usd == pytest.approx(0.0012)
    assert any(isinstance(event, Requested) and event.host == "127.0.0.1" for event in first)
    assert KEY not in (tmp_path / "artifacts" / "step-1.log").read_text()


def concluded(told: list[dict[str, Any]]) -> Conclusion:
    """Returns what is made of what the worker told, when its process ended well."""
    stream = WorkerStream()
    for line in told:
        stream.read(line)
    ended = Ended(0, None, "exited", 0.1, 0.1, 1, 1, 0, "")
    return conclude(Facts(ended, stream.account), Rules(tells_end=True, is_metered=True))


@pytest.mark.parametrize(
    ("status", "cause"), [(401, Cause.CREDENTIAL), (429, Cause.QUOTA), (500, Cause.OTHER)]
)
def test_the_cause_of_a_refusal_is_told(status: int, cause: Cause, bench: Bench) -> None:
    bench.script(Failure(status, "no"))

    end = concluded(bench.take())

    assert (end.ending, end.cause) == (Ending.FAILED, cause)


def test_nobody_there_is_the_network(bench: Bench) -> None:
    end = concluded(bench.take(model=bench.spec(base_url="http://127.0.0.1:9/v1")))

    assert (end.ending, end.cause) == (Ending.FAILED, Cause.NETWORK)


def test_an_answer_without_usage_is_no_success(bench: Bench) -> None:
    bench.script(Answer("all is well"), tokens=Tokens(0, 0))

    end = concluded(bench.take())

    assert end.ending is Ending.FAILED
    assert "used no tokens" in end.detail


def test_a_limit_of_turns_is_a_limit_and_no_failure(bench: Bench) -> None:
    bench.script(Call("read", {"path": "."}))

    assert concluded(bench.take(max_turns=1)).ending is Ending.LIMIT


def test_a_missing_key_is_a_credential(bench: Bench, take: Turn) -> None:
    end = finished(take(agent(bench, variables={})))

    assert (end.ending, end.cause, end.exit_status) == (Ending.FAILED, Cause.CREDENTIAL, 1)


@pytest.mark.parametrize("session", ["../../x", "gone"])
def test_a_session_that_is_not_known_is_lost(session: str, bench: Bench, take: Turn) -> None:
    end = finished(take(agent(bench), continues=session))

    assert (end.ending, end.cause) == (Ending.FAILED, Cause.SESSION_LOST)


def test_nothing_of_the_tree_is_imported_by_the_worker(bench: Bench, take: Turn) -> None:
    for name in ("orchestrator", "json", "pydantic", "typing"):
        (bench.tree / f"{name}.py").write_text("raise SystemExit('taken from the tree')")
    bench.script(Answer("done"))

    assert finished(take(agent(bench))).ending is Ending.FINISHED


def test_its_health_tells_of_packages_and_keys_and_asks_nobody(bench: Bench) -> None:
    with_key, without = agent(bench).probe(), agent(bench, variables={}).probe()

    assert (with_key.health, with_key.login) == (Health.READY, Login.KEY)
    assert (without.health, without.login) == (Health.READY, Login.NONE)
    assert agent(bench).credentials == ("OPENAI_API_KEY",)
    with pytest.raises(CredentialMissing, match="no key"):
        require(agent(bench, variables={}))


def test_the_order_is_read_as_it_was_written() -> None:
    order = Order("text", "do it", "s", "/f", "m", model=ModelSpec("ollama", "q", capabilities=("chat",)))

    assert Order.decode(order.encode()) == order
    with pytest.raises(Refused):
        Order.decode(b'{"mode": "other"}')


def test_lines_of_the_worker_become_events() -> None:
    stream = WorkerStream()
    lines: list[dict[str, Any]] = [
        {"type": "opened", "session": "s", "model": "m"},
        {"type": "tool", "call": "1", "tool": "run", "state": "started", "detail": {"command": "x"}},
        {"type": "permission", "tool": "deploy", "detail": {}, "granted": False},
        {"type": "tool", "call": "2", "tool": "deploy", "state": "denied", "detail": {}},
        {"type": "wrote", "path": "a", "sha256": "0", "size_bytes": 1},
        {"type": "limit", "message": "enough"},
        {"type": "done", "cached": True},
        {"type": "something new"},
    ]

    events = [event for line in lines for event in stream.read(line)]

    assert events == [
        Opened("s", "m"),
        UsedTool("run", {"command": "x"}, ToolState.STARTED, "1"),
        AskedPermission("deploy", {}, False),
        UsedTool("deploy", {}, ToolState.DENIED, "2"),
    ]
    account = stream.account
    assert (account.limit, account.is_complete, account.has_called) == ("enough", True, True)
    assert (account.denied, [file.path for file in stream.wrote]) == (["deploy"], ["a"])


def made(config: Config, model: str | None = None, configured: Agent | None = None) -> LlmAgent:
    return llm_agent("llm", configured, model, Means(config, Limits(), None))


BIG = Model(provider="anthropic", name="big")
SMALL = Model(provider="ollama", name="small", capabilities=("chat",))


def test_the_model_is_the_steps_else_the_agents_else_the_only_one() -> None:
    two = Config(models={"big": BIG, "small": SMALL})

    assert made(two, "small", Agent(kind="llm", model="big")).setting.model == ModelSpec(
        "ollama", "small", capabilities=("chat",)
    )
    assert made(two, None, Agent(kind="llm", model="big")).setting.model == ModelSpec("anthropic", "big")
    assert made(Config(models={"big": BIG})).setting.model == ModelSpec("anthropic", "big")
    with pytest.raises(Refused, match="Several models"):
        made(two)
    with pytest.raises(Refused) as caught:
        made(two, "other")
    assert caught.value.code == "model-unknown"


def test_without_a_model_and_without_ollama_the_lines_to_write_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")

    with pytest.raises(Refused) as caught:
        made(Config())

    assert caught.value.exit_status == 2
    assert "models: {main:" in caught.value.hint


def test_the_ollama_of_this_machine_is_used_where_no_model_is_configured(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, take: Turn
) -> None:
    bench.script(Call("write", {"path": "a.txt", "content": "a"}), Answer("done"))
    monkeypatch.setenv("OLLAMA_HOST", bench.server.url(bench.place.name))

    end = finished(take(made(Config())))

    assert (end.ending, end.model, end.usage.cost_usd) == (Ending.FINISHED, "scripted", 0.0)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (Model(provider="nobody", name="m"), "provider-unknown"),
        (Model(provider="openai", name="m", base_url="http://models.example"), "address-plain"),
        (Model(provider="openai", name="m", base_url="models"), "address-invalid"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_starts(model: Model, code: str) -> None:
    with pytest.raises(Refused) as caught:
        made(Config(models={"m": model}))

    assert (caught.value.code, caught.value.exit_status) == (code, 2)


def test_tools_of_the_configuration_and_permissions_of_ours_reach_the_agent() -> None:
    tools = {"tests": Tool(description="runs tests", run=("make", "test")), "run": Tool(permission="deny")}

    setting = made(Config(models={"big": BIG}, tools=tools)).setting

    assert [(tool.name, tool.run, tool.permission) for tool in setting.tools] == [
        ("tests", ("make", "test"), "ask")
    ]
    assert setting.permissions == {"run": "deny"}


def test_agents_that_share_a_provider_share_its_places(tmp_path: Path) -> None:
    config = Config(models={"small": SMALL})
    agents = {
        "one": Agent(kind="llm", max_parallel=1),
        "fix": Agent(kind="command", command=("x",), max_parallel=2),
    }
    reach = Reach(config, locks_dir=tmp_path)

    one, fix = build("one", agents, reach=reach), build("fix", agents, reach=reach)

    assert isinstance(one, LimitedAgent)
    assert isinstance(fix, LimitedAgent)
    assert (one._places.group, one._places.many) == ("provider-ollama", 1)
    assert (fix._places.group, fix._places.many) == ("agent-fix", 2)
    assert not isinstance(build("one", agents, reach=Reach(config)), LimitedAgent)
