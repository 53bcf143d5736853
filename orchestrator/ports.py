"""The seams: what the engine needs of rooms it must not import; each has two real implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from orchestrator.model.agent import AgentEvent, AgentHealth, AgentRequest
from orchestrator.model.chat import Completion, Message
from orchestrator.model.plan import Plan, PlanRequest


class Agent(Protocol):
    """Works on a task in a tree: `agents.command`, `agents.preset`, `agents.acp`, `agents.llm`."""

    @property
    def name(self) -> str:
        """Returns the name by which configuration and reports know it."""
        ...

    @property
    def takes_prompt(self) -> bool:
        """Returns whether a prompt reaches it; one that takes none does the same on every attempt."""
        ...

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns the variables of the caller's that hold its keys and that it takes where they are set."""
        ...

    def probe(self) -> AgentHealth:
        """Returns whether it can be started; fast, free, offline."""
        ...

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields what happens: one `Started` first (unless it cannot start), exactly one `Finished` last.

        `cancelled` is polled at least once a second; when it turns true, or the iterator is closed,
        every process of the turn is gone before the iterator ends.
        """
        ...


class Planner(Protocol):
    """Turns a task into phases. Implementations: `planning.single`, `planning.asked`."""

    def plan(self, request: PlanRequest) -> Plan | None:
        """Returns the plan, None when the work was stopped before there was one.

        Raises:
            PlanInvalid: no usable plan came about.
            Failed: whoever was asked failed.
        """
        ...


class LLMClient(Protocol):
    """Asks a language model outside of an agent's loop.

    Implementations: `agents.llm.ollama` (its own interface), `agents.llm.client` (pydantic-ai).

    Nothing is asked twice by itself. What fails is raised, as `Failed` with one of the codes `llm-refused`
    (`status` tells why), `llm-unreachable` and `llm-answer`.
    """

    @property
    def model(self) -> str:
        """Returns the provider's name of the model."""
        ...

    def chat(self, messages: Sequence[Message]) -> Completion:
        """Returns the answer to a conversation whose last part is the user's."""
        ...

    def generate(self, prompt: str) -> Completion:
        """Returns the answer to one prompt."""
        ...

    def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Returns a vector for each text, in their order.

        Raises:
            Refused: `no-embeddings`, this provider makes none.
        """
        ...
