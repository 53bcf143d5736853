"""Makes agents from their names, and finds out which are installed."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.agents.acp.agent import AcpAgent, has_sdk, require_sdk
from orchestrator.agents.acp.preferring import PreferringAcp
from orchestrator.agents.acp.speaker import SPEAKERS, Speaker
from orchestrator.agents.command import CommandAgent
from orchestrator.agents.llm.agent import LlmAgent, require_extra
from orchestrator.agents.llm.making import Means, llm_agent, package_agent, provider_of
from orchestrator.agents.llm.providers import PROVIDERS
from orchestrator.agents.places import LimitedAgent, Places
from orchestrator.agents.preset import PRESETS, PresetAgent
from orchestrator.agents.programs import find_program
from orchestrator.config.schema import UNLISTED, Config
from orchestrator.config.schema import Agent as AgentConfig
from orchestrator.config.schema import Limits as LimitsConfig
from orchestrator.config.withheld import is_secret
from orchestrator.errors import CredentialMissing, Refused
from orchestrator.model.agent import AgentHealth, Health, Login
from orchestrator.process.command import Limits
from orchestrator.redaction.redactor import Redactor
from orchestrator.secretstore.lookup import PLACEHOLDERS


@dataclass(frozen=True, slots=True)
class Reach:
    """What agents may use beyond their tree.

    `config` holds models and tools for agents of kind llm. Known answers are kept in `cache_dir` (empty: none
    are). Turns are counted by locks in `locks_dir` (None: they are not).
    """

    config: Config = field(default_factory=Config)
    cache_dir: str = ""
    locks_dir: Path | None = None


UnlimitedAgent = CommandAgent | AcpAgent | PresetAgent | PreferringAcp | LlmAgent
AnyAgent = UnlimitedAgent | LimitedAgent[UnlimitedAgent]
UNLIMITED = Reach()


def build(
    name: str,
    agents: Mapping[str, AgentConfig],
    *,
    model: str | None = None,
    limits: LimitsConfig | None = None,
    redactor: Redactor | None = None,
    reach: Reach = UNLIMITED,
) -> AnyAgent:
    """Returns the agent of this name: one of the configuration's `agents`, else one that needs no listing.

    `model` is a step's wish and goes before the agent's own; `redactor` takes secrets out of what it prints.
    Whether it is installed is not looked at; `require` does.

    Raises:
        Refused: `agent-unknown`, no such agent; names the nearest.
        Refused: `agent-command-invalid`, or `agent-model` for a model asked of a command.
        Refused: what `llm.making.llm_agent` refuses.
    """
    configured = agents.get(name)
    if configured is None and name not in UNLISTED:
        raise _unknown(name, (*agents, *UNLISTED))
    wish = _Wish(name, configured, model, process_limits(limits), redactor)
    agent = _of_kind(wish, name if configured is None else configured.kind, reach)
    many = configured.max_parallel if configured is not None else None
    if many is None or reach.locks_dir is None:
        return agent
    provider = provider_of(agent) if isinstance(agent, LlmAgent) else ""
    group = f"provider-{provider}" if provider else f"agent-{name}"
    return LimitedAgent(agent, Places(reach.locks_dir, group, many))


def _of_kind(wish: _Wish, kind: str, reach: Reach) -> UnlimitedAgent:
    configured = wish.configured
    if configured is not None and kind == "command":
        return _command(wish, configured)
    if configured is not None and kind == "acp":
        return _acp(wish, _speaker(configured), None)
    if kind in PRESETS:
        return _preset(wish, kind)
    means = Means(reach.config, wish.limits, wish.redactor, reach.cache_dir)
    if kind == "llm":
        return llm_agent(wish.name, configured, wish.model, means)
    if wish.model is not None:
        raise _takes_no_model(wish.name, f"is of kind {kind}")
    return package_agent(wish.name, kind, wish.variables, means)


def command_agent(
    argv: tuple[str, ...], *, limits: LimitsConfig | None = None, redactor: Redactor | None = None
) -> CommandAgent:
    """Returns the agent for `run --command`, named `command`.

    Raises:
        Refused: `agent-command-invalid`, it names no program.
    """
    return CommandAgent("command", argv, limits=process_limits(limits), redactor=redactor)


def require(agent: AnyAgent, given: Collection[str] = ()) -> AgentHealth:
    """Returns the agent's health when it can be started; `given` names secrets that a step gives to it.

    Raises:
        CredentialMissing: `agent-login`, nobody is logged in and it has no key.
        Refused: `agent-missing` or `agent-broken`; nothing was changed.
        Refused: `extra-missing`, the packages that it is led with, or talks with, are not installed.
    """
    if isinstance(agent, LimitedAgent):
        return require(agent.agent, given)
    if isinstance(agent, AcpAgent):
        require_sdk(agent.name)
    if isinstance(agent, LlmAgent):
        require_extra(agent)
    health = agent.probe()
    if health.health is Health.READY:
        _require_login(agent, health, given)
        return health
    code = "agent-missing" if health.health is Health.MISSING else "agent-broken"
    raise Refused(
        f"Agent {agent.name} cannot be started: {health.detail}.",
        code=code,
        hint="See which agents there are with: orchestrator agents",
    )


def _require_login(agent: AnyAgent, health: AgentHealth, given: Collection[str]) -> None:
    if health.login is not Login.NONE or set(agent.credentials) & set(given):
        return
    raise CredentialMissing(
        f"Agent {agent.name} has no key, and nobody is logged in.",
        code="agent-login",
        hint=f"{health.log_in}, or store a key with: orchestrator secrets set {agent.credentials[0]}",
    )


def discover(environment: Mapping[str, str] = os.environ) -> tuple[tuple[str, AgentHealth], ...]:
    """Returns the presets found on PATH with path and version, the preferred first; takes 10 s at most.

    One of which only the bridge is there is among them.
    """
    present = [name for name in PRESETS if _is_present(name, environment)]
    with ThreadPoolExecutor(max_workers=len(PRESETS)) as pool:
        healths = pool.map(lambda name: build(name, {}).probe(), present)
        return tuple(zip(present, healths, strict=True))


def passed_secrets(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields name and value of the caller's variables that some preset is given and that hold a secret."""
    names = {name: None for preset in PRESETS.values() for name in preset.passed}
    names.update({name: None for provider in PROVIDERS.values() for name in provider.keys})
    for name in names:
        value = environment.get(name, "")
        if value not in PLACEHOLDERS and is_secret(name, value):
            yield name, value


def pick_default(environment: Mapping[str, str] = os.environ) -> str:
    """Returns the name of the first preset whose program is on PATH; starts nothing.

    Raises:
        Refused: `agent-missing`, none is installed.
    """
    for name in PRESETS:
        if _is_present(name, environment):
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


def _is_present(name: str, environment: Mapping[str, str]) -> bool:
    """Returns whether a preset's program is on PATH, or the bridge by which it can be led."""
    bridge = SPEAKERS[name].program if has_sdk() else PRESETS[name].program
    return any(find_program(program, environment) for program in {PRESETS[name].program, bridge})


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an agent is made from; `configured` is None for a preset that is not listed."""

    name: str
    configured: AgentConfig | None
    model: str | None
    limits: Limits
    redactor: Redactor | None

    @property
    def own_model(self) -> str | None:
        return self.model or (self.configured.model if self.configured is not None else None)

    @property
    def args(self) -> tuple[str, ...]:
        return self.configured.args if self.configured is not None else ()

    @property
    def variables(self) -> Mapping[str, str]:
        return self.configured.env if self.configured is not None else {}


def _preset(wish: _Wish, kind: str) -> UnlimitedAgent:
    """Returns a preset in the form that `via` asks for; `auto` is ACP where that can be had."""
    headless = PresetAgent(
        wish.name,
        PRESETS[kind],
        model=wish.own_model,
        args=wish.args,
        variables=wish.variables,
        secrets=wish.configured.secrets if wish.configured is not None else (),
        contained=wish.configured is not None and wish.configured.state == "contained",
        limits=wish.limits,
        redactor=wish.redactor,
    )
    via = wish.configured.via if wish.configured is not None else "auto"
    if via == "headless" or (via == "auto" and wish.args):  # they are words of the headless command line
        return headless
    acp = _acp(wish, SPEAKERS[kind], headless)
    if via == "acp":
        return acp
    return PreferringAcp(acp, headless) if has_sdk() and acp.is_installed() else headless


def _acp(wish: _Wish, speaker: Speaker, headless: PresetAgent | None) -> AcpAgent:
    return AcpAgent(
        wish.name,
        speaker,
        model=wish.own_model,
        args=wish.args,
        variables=wish.variables,
        headless=headless,
        limits=wish.limits,
        redactor=wish.redactor,
    )


def _speaker(configured: AgentConfig) -> Speaker:
    program, *args = configured.command or ("",)
    method = configured.authenticate
    return Speaker(
        program,
        tuple(args),
        modes=(configured.mode,) if configured.mode else (),
        authenticate={"": method} if method else {},
    )


def _command(wish: _Wish, configured: AgentConfig) -> CommandAgent:
    if wish.model is not None:
        raise _takes_no_model(wish.name, "is a command")
    return CommandAgent(
        wish.name,
        (*(configured.command or ()), *configured.args),
        stdin=configured.stdin,
        variables=configured.env,
        limits=wish.limits,
        redactor=wish.redactor,
    )


def _takes_no_model(name: str, reason: str) -> Refused:
    return Refused(
        f"Agent {name} {reason} and takes no model.",
        code="agent-model",
        hint="Name the model where the agent is made, or remove `model` from the step.",
    )


def _unknown(name: str, known: tuple[str, ...]) -> Refused:
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known agents: {', '.join(names)}."
    return Refused(f"There is no agent named {name!r}.", code="agent-unknown", hint=hint)
