"""Makes pydantic-ai's models from ours. Imported by the worker alone: each provider's package is heavy."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2
from pydantic_ai.embeddings.base import EmbeddingModel
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

from orchestrator.agents.llm.order import ModelSpec
from orchestrator.agents.llm.providers import (
    NEEDS_NO_KEY,
    PROVIDERS,
    address_of,
    key_of,
    unknown_provider,
)
from orchestrator.errors import CredentialMissing, Refused

_ANTHROPIC_TOKENS = 16_000
"""The interface of Anthropic wants a number; pydantic-ai's own is too small for whole files."""


def model_of(spec: ModelSpec, environment: Mapping[str, str], client: httpx2.AsyncClient) -> Model:
    """Returns the model that a specification means, asked through `client`.

    Raises:
        CredentialMissing: no variable holds its key.
        Refused: `provider-unknown`, `address-invalid` or `address-plain`.
    """
    address, key = address_of(spec.provider, spec.base_url, environment), _key(spec, environment)
    match spec.provider:
        case "ollama":
            from pydantic_ai.models.ollama import OllamaModel
            from pydantic_ai.providers.ollama import OllamaProvider

            url = address if address.endswith("/v1") else f"{address}/v1"
            ollama = OllamaProvider(base_url=url, api_key=key or None, http_client=client)
            return OllamaModel(spec.name, provider=ollama)
        case "openai":
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.providers.openai import OpenAIProvider

            openai = OpenAIProvider(base_url=address, api_key=key, http_client=client)
            return OpenAIChatModel(spec.name, provider=openai)
        case "anthropic":
            from pydantic_ai.models.anthropic import AnthropicModel
            from pydantic_ai.providers.anthropic import AnthropicProvider

            anthropic = AnthropicProvider(base_url=address, api_key=key, http_client=client)
            return AnthropicModel(spec.name, provider=anthropic)
        case "google":
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            google = GoogleProvider(base_url=address, api_key=key, http_client=client)
            return GoogleModel(spec.name, provider=google)
        case _:
            raise unknown_provider(spec.provider)


def settings_of(spec: ModelSpec) -> ModelSettings:
    """Returns how the model is asked. Nothing is asked twice: that is for the engine to decide."""
    settings = ModelSettings(max_retries=0)
    if spec.temperature is not None:
        settings["temperature"] = spec.temperature
    max_tokens = spec.max_tokens or (_ANTHROPIC_TOKENS if spec.provider == "anthropic" else None)
    if max_tokens is not None:
        settings["max_tokens"] = max_tokens
    return settings


def embedder_of(
    spec: ModelSpec, environment: Mapping[str, str], client: httpx2.AsyncClient
) -> EmbeddingModel:
    """Returns what makes vectors with a model; raises what `model_of` raises.

    Raises:
        Refused: `no-embeddings`, this provider makes none.
    """
    address, key = address_of(spec.provider, spec.base_url, environment), _key(spec, environment)
    match spec.provider:
        case "openai" | "ollama":
            from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
            from pydantic_ai.providers.openai import OpenAIProvider

            is_complete = spec.provider == "openai" or address.endswith("/v1")
            url = address if is_complete else f"{address}/v1"
            openai = OpenAIProvider(base_url=url, api_key=key or "none", http_client=client)
            return OpenAIEmbeddingModel(spec.name, provider=openai)
        case "google":
            from pydantic_ai.embeddings.google import GoogleEmbeddingModel
            from pydantic_ai.providers.google import GoogleProvider

            google = GoogleProvider(base_url=address, api_key=key, http_client=client)
            return GoogleEmbeddingModel(spec.name, provider=google)
        case _:
            raise Refused(
                f"{spec.provider} makes no embeddings.",
                code="no-embeddings",
                hint="Name a model of openai, google or ollama.",
            )


def host_of(spec: ModelSpec, environment: Mapping[str, str]) -> str:
    """Returns who is asked, as people name it."""
    return urlsplit(address_of(spec.provider, spec.base_url, environment)).hostname or spec.provider


def _key(spec: ModelSpec, environment: Mapping[str, str]) -> str:
    key = key_of(spec.provider, environment)
    if not key and spec.provider in PROVIDERS and spec.provider not in NEEDS_NO_KEY:
        names = " or ".join(PROVIDERS[spec.provider].keys)
        raise CredentialMissing(
            f"The API key of {spec.provider} is missing: {names} is not set.",
            code="key-missing",
            hint=f"orchestrator secrets set {PROVIDERS[spec.provider].keys[0]}, and name it under `secrets:`",
        )
    return key
