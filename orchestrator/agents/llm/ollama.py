"""Asks Ollama by its own interface, with the standard library alone. Source: docs/api.md of Ollama 0.12."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from orchestrator.agents.llm.order import ModelSpec
from orchestrator.agents.llm.providers import address_of, is_loopback, key_of
from orchestrator.agents.llm.refusal import nonsense, refused, unreachable
from orchestrator.agents.llm.requests import OnRequest, unheard
from orchestrator.agents.stream import count_at, objects_at, text_at, value_at
from orchestrator.errors import OrchestratorError
from orchestrator.model.chat import Completion, Message
from orchestrator.model.json import Json, JsonObject
from orchestrator.model.run import Usage

LOOK_S = 0.5
"""How long the look whether somebody answers on this machine may take."""
_MAX_ANSWER_BYTES = 64 << 20
_MAX_LOOKED_AT = 8


class OllamaClient:
    """Asks one model of one Ollama; implements `ports.LLMClient`."""

    def __init__(
        self,
        spec: ModelSpec,
        environment: Mapping[str, str],
        *,
        timeout_s: float,
        on_request: OnRequest = unheard,
    ) -> None:
        self.model = spec.name
        self._spec = spec
        key = key_of(spec.provider, environment)
        address = address_of(spec.provider, spec.base_url, environment).removesuffix("/v1")
        self._wire = _Wire(address, timeout_s, on_request, {"Authorization": f"Bearer {key}"} if key else {})

    def chat(self, messages: Sequence[Message]) -> Completion:
        """Returns the answer to a conversation.

        Raises:
            ModelFailed: it refused, was not reached, or answered nonsense.
        """
        said: list[Json] = [{"role": message.role, "content": message.text} for message in messages]
        answer = self._wire.ask("/api/chat", {**self._asked(), "messages": said})
        return self._completion(answer, value_at(answer, "message", "content"))

    def generate(self, prompt: str) -> Completion:
        """Returns the answer to one prompt; raises what `chat` raises."""
        answer = self._wire.ask("/api/generate", {**self._asked(), "prompt": prompt})
        return self._completion(answer, value_at(answer, "response"))

    def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Returns a vector for each text; raises what `chat` raises."""
        if not texts:
            return ()
        answer = self._wire.ask("/api/embed", {"model": self.model, "input": list(texts)})
        rows = answer.get("embeddings")
        if not isinstance(rows, list) or len(rows) != len(texts):
            raise nonsense(self._wire.host, "without a vector for each text")
        return tuple(_vector(self._wire.host, row) for row in rows)

    def _asked(self) -> JsonObject:
        spec = self._spec
        options = {
            "temperature": spec.temperature,
            "num_predict": spec.max_tokens,
            "num_ctx": spec.context_window,
        }
        told: JsonObject = {name: value for name, value in options.items() if value is not None}
        return {"model": self.model, "stream": False, **({"options": told} if told else {})}

    def _completion(self, answer: JsonObject, text: Json) -> Completion:
        if not isinstance(text, str):
            raise nonsense(self._wire.host, "without a text")
        usage = Usage(
            input_tokens=count_at(answer, "prompt_eval_count") or 0,
            output_tokens=count_at(answer, "eval_count") or 0,
            cost_usd=0.0,
            turns=1,
        )
        return Completion(text, usage, self.model, is_whole=text_at(answer, "done_reason") != "length")


def local_model(environment: Mapping[str, str]) -> ModelSpec | None:
    """Returns a model of the Ollama that answers on this machine, None when none does.

    The first that can use tools, else the first that can chat. Only this machine is asked, for half a second;
    an OLLAMA_HOST elsewhere has to be configured.
    """
    try:
        address = address_of("ollama", "", environment).removesuffix("/v1")
        if not is_loopback(urlsplit(address).hostname or ""):
            return None
        wire = _Wire(address, LOOK_S, unheard, {})
        names = [text_at(each, "name") for each in objects_at(wire.ask("/api/tags", None), "models")]
        able = [(name, _abilities(wire, name)) for name in names[:_MAX_LOOKED_AT] if name]
    except OrchestratorError:
        return None
    best = [name for name, abilities in able if abilities is None or "tools" in abilities]
    if best:
        return ModelSpec("ollama", best[0], base_url=address)
    chatting = [name for name, abilities in able if abilities is not None and "completion" in abilities]
    return ModelSpec("ollama", chatting[0], base_url=address, capabilities=("chat",)) if chatting else None


def _abilities(wire: _Wire, name: str) -> list[Json] | None:
    """Returns what a model can do, None where this Ollama is too old to tell."""
    try:
        found = wire.ask("/api/show", {"model": name}).get("capabilities")
    except OrchestratorError:
        return None
    return found if isinstance(found, list) else None


class _Wire:
    """One request at a time to one address, without proxies where that is this machine."""

    def __init__(
        self, address: str, timeout_s: float, on_request: OnRequest, headers: Mapping[str, str]
    ) -> None:
        parts = urlsplit(address)
        self.host = parts.hostname or ""
        self._port = parts.port
        self._is_plain = parts.scheme == "http"
        self._below = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._on_request = on_request
        self._headers = dict(headers)

    def ask(self, path: str, body: JsonObject | None) -> JsonObject:
        """Returns the answer; GET where there is nothing to send."""
        method, data = ("GET", b"") if body is None else ("POST", json.dumps(body).encode())
        kind = http.client.HTTPConnection if self._is_plain else http.client.HTTPSConnection
        connection = kind(self.host, self._port, timeout=self._timeout_s)
        status, answer = None, b""
        try:
            connection.request(method, self._below + path, data or None, self._head(data))
            response = connection.getresponse()
            status = response.status
            answer = response.read(_MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise unreachable(self.host, words or type(error).__name__) from error
        finally:
            connection.close()
            self._on_request(self.host, method, status, len(data) + len(answer))
        return self._understood(status, answer)

    def _head(self, data: bytes) -> dict[str, str]:
        return {**self._headers, "Content-Type": "application/json"} if data else dict(self._headers)

    def _understood(self, status: int, answer: bytes) -> JsonObject:
        try:
            told = json.loads(answer) if len(answer) <= _MAX_ANSWER_BYTES else None
        except (ValueError, RecursionError):
            told = None
        if status != 200:
            raise refused(self.host, status, " ".join(text_at(told, "error").split())[:300])
        if not isinstance(told, dict):
            raise nonsense(self.host, "something that is no JSON object")
        return told


def _vector(host: str, row: Json) -> tuple[float, ...]:
    if not isinstance(row, list) or not all(isinstance(each, int | float) for each in row):
        raise nonsense(host, "with something that is no vector")
    return tuple(float(each) for each in row if isinstance(each, int | float))
