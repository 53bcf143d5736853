"""Asks the models of every provider that pydantic-ai knows, outside of an agent's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pydantic_ai.direct import model_request_stream
from pydantic_ai.embeddings.base import EmbeddingModel
from pydantic_ai.exceptions import AgentRunError, ModelHTTPError, UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models import Model

from orchestrator.agents.llm import failure
from orchestrator.agents.llm.order import ModelSpec
from orchestrator.agents.llm.refusal import ModelFailed, nonsense
from orchestrator.agents.llm.requests import OnRequest, unheard
from orchestrator.agents.llm.served import embedder_of, host_of, model_of, settings_of
from orchestrator.agents.llm.traffic import Traffic
from orchestrator.agents.pricing import Prices, price
from orchestrator.model.chat import Completion, Message
from orchestrator.model.run import Usage

T = TypeVar("T")


class PydanticClient:
    """Asks one model; implements `ports.LLMClient`.

    `made` is a model that somebody else brings; else it is made from the specification. `beat` is called
    while an answer comes.
    """

    def __init__(
        self,
        spec: ModelSpec,
        environment: Mapping[str, str],
        *,
        timeout_s: float,
        on_request: OnRequest = unheard,
        beat: Callable[[], None] = lambda: None,
        made: Model | None = None,
    ) -> None:
        self.model = spec.name
        self._spec = spec
        self._environment = environment
        self._timeout_s = timeout_s
        self._on_request = on_request
        self._beat = beat
        self._made = made
        self._host = host_of(spec, environment)

    def chat(self, messages: Sequence[Message]) -> Completion:
        """Returns the answer to a conversation.

        Raises:
            ModelFailed: it refused, was not reached, or answered nonsense.
            CredentialMissing, Refused: as `served.model_of`.
        """
        response = self._talk(lambda traffic: self._chat(traffic, _as_theirs(messages)))
        if not response.text:
            raise nonsense(self._host, "without a text")
        told = response.usage
        usage = Usage(
            input_tokens=told.input_tokens,
            output_tokens=told.output_tokens,
            cached_tokens=told.cache_read_tokens,
            turns=1,
        )
        spec = self._spec
        prices = Prices(spec.input_usd_per_mtok, spec.output_usd_per_mtok)
        cost_usd = price(usage, spec.name, spec.provider, prices)
        priced = Usage(usage.input_tokens, usage.output_tokens, cost_usd, usage.cached_tokens, usage.turns)
        return Completion(response.text, priced, self.model, is_whole=response.finish_reason != "length")

    def generate(self, prompt: str) -> Completion:
        """Returns the answer to one prompt; raises what `chat` raises."""
        return self.chat((Message("user", prompt),))

    def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Returns a vector for each text; raises what `chat` raises.

        Raises:
            Refused: `no-embeddings`, this provider makes none.
        """
        if not texts:
            return ()

        async def asked(traffic: Traffic) -> Sequence[Sequence[float]]:
            embedder: EmbeddingModel = embedder_of(self._spec, self._environment, traffic.client)
            return (await embedder.embed(list(texts), input_type="document")).embeddings

        return tuple(tuple(row) for row in self._talk(asked))

    async def _chat(self, traffic: Traffic, messages: list[ModelMessage]) -> ModelResponse:
        model = self._made or model_of(self._spec, self._environment, traffic.client)
        async with model_request_stream(model, messages, model_settings=settings_of(self._spec)) as stream:
            async for _ in stream:
                self._beat()
        return stream.get()

    def _talk(self, ask: Callable[[Traffic], Coroutine[Any, Any, T]]) -> T:
        async def talk() -> T:
            traffic = Traffic(self._on_request, silence_s=self._timeout_s)
            try:
                return await ask(traffic)
            finally:
                traffic.flush()
                with suppress(RuntimeError):
                    await traffic.client.aclose()

        try:
            return asyncio.run(talk())
        except AgentRunError as error:
            words, status = failure.told(error, self._host)
            code = "llm-refused" if isinstance(error, ModelHTTPError) else "llm-unreachable"
            raise ModelFailed(words, code=code, status=status) from error
        except UserError as error:
            raise ModelFailed(str(error).splitlines()[0], code="llm-answer") from error


def _as_theirs(messages: Sequence[Message]) -> list[ModelMessage]:
    theirs: list[ModelMessage] = []
    for message in messages:
        match message.role:
            case "assistant":
                theirs.append(ModelResponse([TextPart(message.text)]))
            case "system":
                theirs.append(ModelRequest([SystemPromptPart(message.text)]))
            case "user":
                theirs.append(ModelRequest([UserPromptPart(message.text)]))
    return theirs
