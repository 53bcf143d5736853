"""Makes agents from their names, and finds out which are installed."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from orchestrator.agents.command import CommandAgent
from orchestrator.agents.preset import PRESETS, PresetAgent
from orchestrator.agents.programs import find_program
from orchestrator.config.schema import Agent as AgentConfig
from orchestrator.config.schema import Limits as LimitsConfig
from orchestrator.config.withheld import is_secret
from orchestrator.errors import Refused
from orchestrator.model.agent import AgentHealth, Health
from orchestrator.process.command import Limits
from orchestrator.redaction.redactor import Redactor
from orchestrator.secretstore.lookup import PLACEHOLDERS

AnyAgent = CommandAgent | PresetAgent


def build(
    name: str,
    agents: Mapping[str, AgentConfig],
    *,
    model: str | None = None,
    limits: LimitsConfig | None = None,
    redactor: Redactor | None = None,
) -> AnyAgent:
    """Returns the agent of this name: one of the configuration's `agents`, else a preset.

    `model` is a step's wish and goes before the agent's own; `redactor` takes secrets out of what it prints.
    Whether it is installed is not looked at;
    `require` does.

    Raises:
        Refused: `agent-unknown`, no such agent; names the nearest.
        Refused: `agent-command-invalid`, or `agent-model` for a model asked of a command.
    """
    configured = agents.get(name)
    if configured is None and name not in PRESETS:
        raise _unknown(name, (*agents, *PRESETS))
    if configured is not None and configured.kind == "command":
        return _command(name, configured, model, limits, redactor)
    preset = PRESETS[name if configured is None else configured.kind]
    return PresetAgent(
        name,
        preset,
        model=model or (configured.model if configured is not None else None),
        args=configured.args if configured is not None else (),
        variables=configured.env if configured is not None else {},
        limits=process_limits(limits),
        redactor=redactor,
    )


def command_agent(
    argv: tuple[str, ...], *, limits: LimitsConfig | None = None, redactor: Redactor | None = None
) -> CommandAgent:
    """Returns the agent for `run --command`, named `command`.

    Raises:
        Refused: `agent-command-invalid`, it names no program.
    """
    return CommandAgent("command", argv, limits=process_limits(limits), redactor=redactor)


def require(agent: AnyAgent) -> AgentHealth:
    """Returns the agent's health when it can be started.

    Raises:
        Refused: `agent-missing` or `agent-broken`; nothing was changed.
    """
    health = agent.probe()
    if health.health is Health.READY:
        return health
    code = "agent-missing" if health.health is Health.MISSING else "agent-broken"
    raise Refused(
        f"Agent {agent.name} cannot be started: {health.detail}.",
        code=code,
        hint="See which agents there are with: orchestrator agents",
    )


def discover(environment: Mapping[str, str] = os.environ) -> tuple[tuple[str, AgentHealth], ...]:
    """Returns the presets found on PATH with path and version, the preferred first; takes 10 s at most."""
    present = [name for name, preset in PRESETS.items() if find_program(preset.program, environment)]
    with ThreadPoolExecutor(max_workers=len(PRESETS)) as pool:
        healths = pool.map(lambda name: PresetAgent(name, PRESETS[name]).probe(), present)
        return tuple(zip(present, healths, strict=True))


def passed_secrets(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields name and value of the caller's variables that some preset is given and that hold a secret."""
    names = {name: None for preset in PRESETS.values() for name in preset.passed}
    for name in names:
        value = environment.get(name, "")
        if value not in PLACEHOLDERS and is_secret(name, value):
            yield name, value


def pick_default(environment: Mapping[str, str] = os.environ) -> str:
    """Returns the name of the first preset whose program is on PATH; starts nothing.

    Raises:
        Refused: `agent-missing`, none is installed.
    """
    for name, preset in PRESETS.items():
        if find_program(preset.program, environment) is not None:
            return name
    raise Refused(
        f"No coding agent was found on PATH (looked for {', '.join(PRESETS)}).",
        code="agent-missing",
        hint='Install one, or name a command: orchestrator run "…" --command "ruff check --fix ."',
    )


def process_limits(limits: LimitsConfig | None) -> Limits:
    """Returns the configured limits as `process` takes them."""
    if limits is None:
        return Limits()
    return Limits(
        memory_mb=limits.memory_mb,
        cpu_s=limits.cpu_s,
        processes=limits.processes,
        disk_mb=limits.disk_mb,
    )


def _command(
    name: str,
    configured: AgentConfig,
    model: str | None,
    limits: LimitsConfig | None,
    redactor: Redactor | None,
) -> CommandAgent:
    if model is not None:
        raise Refused(
            f"Agent {name} is a command and takes no model.",
            code="agent-model",
            hint="Name the model in its command, or remove `model` from the step.",
        )
    return CommandAgent(
        name,
        (*(configured.command or ()), *configured.args),
        stdin=configured.stdin,
        variables=configured.env,
        limits=process_limits(limits),
        redactor=redactor,
    )


def _unknown(name: str, known: tuple[str, ...]) -> Refused:
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known agents: {', '.join(names)}."
    return Refused(f"There is no agent named {name!r}.", code="agent-unknown", hint=hint)
