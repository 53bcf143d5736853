"""Agents and providers that an installed package brings: a real one, with metadata, on the import path."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.llm.agent import LlmAgent
from orchestrator.agents.llm.entries import PROVIDER_ENTRIES, names
from orchestrator.agents.llm.making import Means, llm_agent
from orchestrator.agents.llm.order import ModelSpec
from orchestrator.agents.registry import Reach, build
from orchestrator.config.schema import Agent, Config, Model
from orchestrator.errors import Refused
from orchestrator.model.agent import Ending, Said
from orchestrator.process.command import Limits
from tests.agents.conftest import Turn, finished
from tests.agents.llm.conftest import Bench

MODULE = """
import os
from orchestrator.agents.simple import TaskResult
from orchestrator.model.chat import Completion
from orchestrator.model.run import Usage

class Parrot:
    def execute(self, task, context):
        if "break" in task:
            raise RuntimeError("it fell from its perch")
        return TaskResult(f"I say {task} in {context.tree.name} with {os.environ.get('PARROT')}", 12, 3)
    def validate_response(self, result):
        return "nonsense" not in result.text
    def format_output(self, result):
        return f"```text said/parrot.txt\\n{result.text}\\n```\\n"

class Mute:
    pass

class Client:
    def __init__(self, spec): self.model = spec.name
    def chat(self, messages): return Completion(f"```py a.py\\n{self.model}\\n```", Usage(5, 6), self.model)
    def generate(self, prompt): return self.chat(())
    def embed(self, texts): return ()

def own(spec, environment):
    return Client(spec)

def scripted(spec, environment):
    from pydantic_ai.models.test import TestModel
    return TestModel(custom_output_text="```py b.py\\n1\\n```", call_tools=[])

def odd(spec, environment):
    return 42
"""
ENTRIES = """[orchestrator.agents]
parrot = aviary:Parrot
mute = aviary:Mute
gone = aviary:Gone

[orchestrator.providers]
own = aviary:own
scripted = aviary:scripted
odd = aviary:odd
"""


@pytest.fixture(autouse=True)
def aviary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    info = site / "aviary-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "aviary.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aviary\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "aviary", raising=False)


def agent(kind: str) -> Any:
    configured = Agent(kind=kind, env={"PARROT": "Polly"})
    return build("bird", {"bird": configured}, reach=Reach())


def test_a_class_of_a_package_is_an_agent_in_a_process_of_its_own(take: Turn, worktree: Path) -> None:
    events = take(agent("parrot"), prompt="hello")

    end = finished(events)
    assert (end.ending, end.usage.input_tokens) == (Ending.FINISHED, 12)
    assert (worktree / "said" / "parrot.txt").read_text().startswith("I say hello in tree with Polly")
    assert [file.path for file in end.wrote] == ["said/parrot.txt"]
    assert any(isinstance(event, Said) for event in events)


def test_what_a_class_raises_is_the_reason_of_its_failure(take: Turn) -> None:
    end = finished(take(agent("parrot"), prompt="break it"))

    assert end.ending is Ending.FAILED
    assert "it fell from its perch" in end.detail


def test_an_answer_that_the_class_holds_invalid_is_not_written(bench: Bench) -> None:
    told = bench.take({"PARROT": "P"}, mode="class", entry="parrot", model=None, prompt="nonsense")

    assert told[-1]["type"] == "error"
    assert "does not hold its own answer valid" in told[-1]["message"]
    assert list(bench.tree.iterdir()) == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [("mute", "it has no `execute`"), ("gone", "AttributeError"), ("none", "No installed")],
)
def test_a_class_that_cannot_be_one_is_told_with_its_place(entry: str, words: str, bench: Bench) -> None:
    with pytest.raises(Refused, match=words):
        bench.take(mode="class", entry=entry, model=None)


def test_a_kind_that_nobody_brings_is_refused_by_the_configuration() -> None:
    with pytest.raises(ValueError, match="did you mean `parrot`"):
        Agent(kind="parot")


def test_an_agent_of_a_package_takes_no_model() -> None:
    with pytest.raises(Refused) as caught:
        build("bird", {"bird": Agent(kind="parrot")}, model="big")

    assert caught.value.code == "agent-model"


def test_a_client_of_a_package_answers_and_its_files_are_taken(bench: Bench) -> None:
    told = bench.take(model=ModelSpec("own", "m1"))

    assert (bench.tree / "a.py").read_text() == "m1\n"
    assert told[-1]["type"] == "done"


def test_a_model_of_a_package_gets_the_tools(bench: Bench) -> None:
    bench.take(model=ModelSpec("scripted", "m"))

    assert bench.kinds("opened")[0]["model"] == "m"
    assert bench.kinds("said")[0]["text"].startswith("```py b.py")
    assert list(bench.tree.iterdir()) == []  # with tools it would have to use them


def test_a_model_of_a_package_can_also_only_answer(bench: Bench) -> None:
    bench.take(mode="text", model=ModelSpec("scripted", "m", capabilities=("chat",)))

    assert (bench.tree / "b.py").read_text() == "1\n"


def test_a_provider_that_makes_something_else_is_told(bench: Bench) -> None:
    with pytest.raises(Refused, match="neither a client"):
        bench.take(model=ModelSpec("odd", "m"))


def test_providers_of_packages_are_known_to_the_configuration() -> None:
    config = Config(models={"m": Model(provider="own", name="x")})

    made = llm_agent("llm", None, None, Means(config, Limits(), None))

    assert isinstance(made, LlmAgent)
    assert set(names(PROVIDER_ENTRIES)) >= {"own", "scripted", "odd"}
