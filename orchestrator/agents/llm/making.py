"""Makes built-in agents, and agents that packages bring, from the configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.agents.llm.agent import LlmAgent, Setting
from orchestrator.agents.llm.order import ModelSpec, Permission, ToolSpec
from orchestrator.agents.llm.providers import PROVIDERS, address_of, unknown_provider
from orchestrator.config.agent_schema import OWN_TOOLS
from orchestrator.config.schema import Agent, Config, Model
from orchestrator.errors import Refused
from orchestrator.process.command import Limits
from orchestrator.redaction.redactor import Redactor

_SNIPPET = (
    "Name one in .orchestrator/workflow.yaml, as in `models: {main: {provider: anthropic, name: NAME}}` "
    "(or ollama, openai, google), or start Ollama on this machine."
)


@dataclass(frozen=True, slots=True)
class Means:
    """What built-in agents are made with; `cache_dir` empty: no answer is kept, or looked up."""

    config: Config
    limits: Limits
    redactor: Redactor | None
    cache_dir: str = ""


def llm_agent(name: str, configured: Agent | None, model: str | None, means: Means) -> LlmAgent:
    """Returns the built-in agent of a name; `model` is a step's wish and goes before the agent's own.

    Raises:
        Refused: `model-missing`, `model-unknown`, `provider-unknown`, `address-invalid`, `address-plain`.
    """
    variables = configured.env if configured is not None else {}
    environment = {**os.environ, **variables}
    asked = model or (configured.model if configured is not None else None)
    spec = _model(asked, means.config.models, environment)
    tools = means.config.tools.items()
    setting = Setting(
        model=spec,
        tools=tuple(
            ToolSpec(tool, said.description, dict(said.parameters), said.run, said.permission)
            for tool, said in tools
            if said.run is not None
        ),
        permissions=_permissions(means.config),
        variables=variables,
        secrets=configured.secrets if configured is not None else (),
        limits=means.limits,
        cache_dir=means.cache_dir,
    )
    return LlmAgent(name, setting, redactor=means.redactor)


def package_agent(name: str, kind: str, variables: Mapping[str, str], means: Means) -> LlmAgent:
    """Returns the agent that an installed package brings; nothing of the package is imported here."""
    return LlmAgent(
        name, Setting(entry=kind, variables=variables, limits=means.limits), redactor=means.redactor
    )


def provider_of(agent: LlmAgent) -> str:
    """Returns who serves an agent's model, empty where it brings its own."""
    return agent.setting.model.provider if agent.setting.model is not None else ""


def _permissions(config: Config) -> dict[str, Permission]:
    return {name: tool.permission for name, tool in config.tools.items() if name in OWN_TOOLS}


def _model(asked: str | None, models: Mapping[str, Model], environment: Mapping[str, str]) -> ModelSpec:
    if asked is None and not models:
        from orchestrator.agents.llm.ollama import local_model

        found = local_model(environment)
        if found is None:
            raise Refused(
                "No model is configured, and no Ollama with a model answers on this machine.",
                code="model-missing",
                hint=_SNIPPET,
            )
        return found
    if asked is None and len(models) > 1:
        raise Refused(
            f"Several models are configured ({', '.join(models)}), and nothing says which.",
            code="model-missing",
            hint="Say `model:` in the agent or in the step.",
        )
    name = asked if asked is not None else next(iter(models))
    if name not in models:
        raise Refused(f"There is no {name!r} in `models`.", code="model-unknown", hint=_SNIPPET)
    return _spec(models[name], environment)


def _spec(model: Model, environment: Mapping[str, str]) -> ModelSpec:
    if model.provider not in PROVIDERS:
        from orchestrator.agents.llm.entries import PROVIDER_ENTRIES, names

        if model.provider not in names(PROVIDER_ENTRIES):
            raise unknown_provider(model.provider)
    address_of(model.provider, model.base_url or "", environment)
    return ModelSpec(
        provider=model.provider,
        name=model.name,
        base_url=model.base_url or "",
        temperature=model.temperature,
        max_tokens=model.max_tokens,
        context_window=model.context_window,
        capabilities=model.capabilities,
        input_usd_per_mtok=model.input_usd_per_mtok,
        output_usd_per_mtok=model.output_usd_per_mtok,
    )
