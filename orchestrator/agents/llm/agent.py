"""The adapter for the built-in agent and agents by entry point: starts the worker, imports nothing heavy."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.agents.llm.keeping import KeptConversation
from orchestrator.agents.llm.order import Mode, ModelSpec, Order, Permission, ToolSpec
from orchestrator.agents.llm.providers import NEEDS_NO_KEY, PROVIDERS, key_of
from orchestrator.agents.llm.stream import WorkerStream
from orchestrator.agents.outcome import Rules
from orchestrator.agents.turn import Invocation, take_turn
from orchestrator.config.withheld import is_secret
from orchestrator.errors import Refused
from orchestrator.model.agent import (
    AgentEvent,
    AgentHealth,
    AgentRequest,
    Cause,
    Ending,
    Finished,
    Health,
    Login,
)
from orchestrator.model.ids import new_id
from orchestrator.model.run import Usage
from orchestrator.process.command import Limits
from orchestrator.redaction.redactor import Redactor

INSTALL = "pip install 'orchestrator[agents]'"
SESSIONS = "conversations"
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# The tree is its current directory: nothing may be imported from there, only from where we came from.
_BOOTSTRAP = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from orchestrator.agents.llm.worker import main; main()"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a built-in agent is made from, by the configuration.

    `model` None: `entry` is an installed class that brings its own. `secrets` are the names that it will be
    given, which count when it is looked whether it has a key. `cache_dir` empty: no answer is kept.
    """

    model: ModelSpec | None = None
    entry: str = ""
    tools: tuple[ToolSpec, ...] = ()
    permissions: Mapping[str, Permission] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    cache_dir: str = ""


class LlmAgent:
    """Lets a model work in the tree, in a supervised process of ours; implements `ports.Agent`."""

    takes_prompt = True

    def __init__(self, name: str, setting: Setting, *, redactor: Redactor | None = None) -> None:
        self.name = name
        self.setting = setting
        self._redactor = redactor or Redactor()

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns the variables that may hold its provider's key."""
        return self._provider_keys

    def probe(self) -> AgentHealth:
        """Returns whether its packages are there, and whether it has a key; asks nobody."""
        if self.setting.model is None:
            return AgentHealth(Health.READY, detail=f"brought by the entry point {self.setting.entry}")
        if not has_extra() and self.needs_extra:
            return AgentHealth(
                Health.BROKEN, detail=f"the package pydantic-ai-slim is not installed: {INSTALL}"
            )
        provider = self.setting.model.provider
        if provider in NEEDS_NO_KEY or provider not in PROVIDERS:
            return AgentHealth(Health.READY, version=self._model_name)
        is_given = bool(set(self.setting.secrets) & set(PROVIDERS[provider].keys))
        if is_given or key_of(provider, {**os.environ, **self.setting.variables}):
            return AgentHealth(Health.READY, version=self._model_name, login=Login.KEY)
        variable = PROVIDERS[provider].keys[0]
        return AgentHealth(
            Health.READY,
            version=self._model_name,
            detail=f"no key: {variable} is not set",
            login=Login.NONE,
            log_in=f"Set {variable}",
        )

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of one turn; see `turn.take_turn`.

        Raises:
            DiskFailed: transcript or conversation cannot be written.
        """
        if request.continues and (not _SESSION.fullmatch(request.continues) or self._mode != "tools"):
            words = f"{request.continues[:100]!r} can be no session of its own"
            yield Finished(Ending.FAILED, None, words, Usage(), cause=Cause.SESSION_LOST)
            return
        stream, order = WorkerStream(), self._order(request)
        kept = KeptConversation(Path(order.session_file), self._redactor)
        invocation = self._invocation(order, stream)
        for event in take_turn(invocation, request, worktree=worktree, cancelled=cancelled):
            kept.add(stream.messages)
            yield replace(event, wrote=tuple(stream.wrote)) if isinstance(event, Finished) else event

    @property
    def _mode(self) -> Mode:
        if self.setting.model is None:
            return "class"
        return "tools" if self.setting.model.uses_tools else "text"

    @property
    def needs_extra(self) -> bool:
        """Returns whether it needs more than the standard library to talk to its provider."""
        model = self.setting.model
        return model is not None and (model.uses_tools or model.provider != "ollama")

    @property
    def _model_name(self) -> str:
        model = self.setting.model
        return f"{model.provider}/{model.name}" if model is not None else ""

    @property
    def _provider_keys(self) -> tuple[str, ...]:
        known = PROVIDERS.get(self.setting.model.provider) if self.setting.model is not None else None
        return known.keys if known is not None else ()

    def _invocation(self, order: Order, stream: WorkerStream) -> Invocation:
        setting = self.setting
        known = PROVIDERS.get(setting.model.provider) if setting.model is not None else None
        places = [place for place in sys.path if os.path.isabs(place)]
        return Invocation(
            argv=(sys.executable, "-I", "-c", _BOOTSTRAP, json.dumps(places)),
            stdin=order.encode(),
            variables=setting.variables,
            passed=(*known.keys, *known.addresses) if known is not None else (),
            limits=setting.limits,
            parser=lambda: stream,
            rules=Rules(tells_end=True, is_metered=self._mode != "class"),
            model=setting.model.name if setting.model is not None else "",
            redactor=self._redactor,
        )

    def _order(self, request: AgentRequest) -> Order:
        setting, limits = self.setting, self.setting.limits
        session = request.continues or new_id("conversation")
        root = Path(request.home) if request.home else Path(request.transcript).parent
        own = (name for name, value in setting.variables.items() if is_secret(name, value))
        return Order(
            mode=self._mode,
            prompt=request.prompt,
            session=session,
            session_file=os.path.abspath(root / SESSIONS / f"{session}.jsonl"),
            marker=request.marker,
            model=setting.model,
            entry=setting.entry,
            tools=setting.tools,
            permissions=tuple(setting.permissions.items()),
            continues=bool(request.continues),
            max_turns=request.max_turns,
            timeout_s=request.timeout_s,
            secrets=tuple({*request.secrets, *own, *self._provider_keys}),
            hidden=self._provider_keys,
            cache_dir=setting.cache_dir,
            limits=(limits.memory_mb, limits.cpu_s, limits.processes, limits.disk_mb),
        )


def has_extra() -> bool:
    """Returns whether the package that talks to providers is installed; imports nothing of it."""
    return importlib.util.find_spec("pydantic_ai") is not None


def require_extra(agent: LlmAgent) -> None:
    """Returns when the packages that an agent talks to its provider with are installed.

    Raises:
        Refused: `extra-missing`, they are not.
    """
    if agent.needs_extra and not has_extra():
        raise Refused(
            f"Agent {agent.name} needs the package pydantic-ai-slim, which is not installed.",
            code="extra-missing",
            hint=INSTALL,
        )
