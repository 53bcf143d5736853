"""Gives tests a scripted model on loopback, and turns of the worker in this process."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.llm import worker
from orchestrator.agents.llm.keeping import KeptConversation
from orchestrator.agents.llm.order import ModelSpec, Order
from orchestrator.agents.llm.telling import Teller
from orchestrator.redaction.redactor import Redactor
from tests.scripted_model.server import ScriptedModel
from tests.scripted_model.steps import Script

KEY = "sk-key-of-the-test-0123456789"
ADDRESS = {"openai": "/v1", "anthropic": "", "google": "", "ollama": ""}


@pytest.fixture(scope="package")
def server() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@dataclass(slots=True)
class Bench:
    """A tree and a model; `told` holds what the worker said in the last turn."""

    server: ScriptedModel
    tree: Path
    place: Path
    told: list[dict[str, Any]] = field(default_factory=list)

    def spec(self, provider: str = "openai", **settings: Any) -> ModelSpec:
        url = self.server.url(self.place.name) + ADDRESS[provider]
        return ModelSpec(provider, "gpt-4o", **{"base_url": url, **settings})

    def script(self, *steps: Any, **settings: Any) -> Any:
        """Has the model play steps from now on, and returns the talk."""
        script: Script = steps
        return self.server.add(self.place.name, script, **settings)

    def order(self, **changes: Any) -> Order:
        order = Order(
            mode="tools",
            prompt="do it",
            session="s1",
            session_file=str(self.place / "home" / "s1.jsonl"),
            marker="mark-llm-bench",
            model=self.spec(),
            timeout_s=60.0,
            secrets=("OPENAI_API_KEY",),
            hidden=("OPENAI_API_KEY",),
        )
        return replace(order, **changes)

    def take(self, environment: Mapping[str, str] | None = None, **changes: Any) -> list[dict[str, Any]]:
        """Takes a turn in this process and returns what was told."""
        keys = {f"{name}_API_KEY": KEY for name in ("OPENAI", "ANTHROPIC", "GEMINI")}
        minimal = {"PATH": os.environ["PATH"], **keys, **(environment or {})}
        sink = self.place / "told"
        descriptor = os.open(sink, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        before = os.getcwd()
        os.chdir(self.tree)
        try:
            worker.take(self.order(**changes), Teller(descriptor), minimal)
        finally:
            os.chdir(before)
            os.close(descriptor)
            self.told = [json.loads(line) for line in sink.read_text().splitlines()]
            messages = deque(line["message"] for line in self.kinds("message"))
            KeptConversation(self.place / "home" / "s1.jsonl", Redactor()).add(messages)
        return self.told

    def kinds(self, kind: str) -> list[dict[str, Any]]:
        """Returns what was told of one kind."""
        return [line for line in self.told if line["type"] == kind]

    def results(self, talk: Any) -> list[str]:
        """Returns what tools answered, as the last request to the model holds it."""
        messages = talk.asked[-1].body["messages"]
        return [str(message["content"]) for message in messages if message["role"] == "tool"]


@pytest.fixture
def bench(server: ScriptedModel, worktree: Path, tmp_path: Path) -> Bench:
    place = tmp_path / f"place-{tmp_path.name}"
    place.mkdir()
    return Bench(server, worktree, place)


Write = Callable[[str, str], Path]


@pytest.fixture
def put(worktree: Path) -> Write:
    """Returns a function that writes a file of the tree."""

    def write(path: str, text: str) -> Path:
        place = worktree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    return write
