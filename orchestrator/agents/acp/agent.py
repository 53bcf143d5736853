"""The adapter for agents that speak ACP; starts nothing and imports no SDK before a turn begins."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.agents.acp.speaker import Speaker
from orchestrator.agents.homes import settle
from orchestrator.agents.preset import PresetAgent
from orchestrator.agents.programs import find_program, package_version
from orchestrator.agents.turn import child_environment
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
from orchestrator.process.command import Command, Limits
from orchestrator.process.spawn import minimal_environment
from orchestrator.redaction.redactor import Redactor

_KEYS = ("_KEY", "_TOKEN")
_NEEDS = "the package agent-client-protocol is not installed"
_INSTALL = "pip install 'orchestrator[agents]'"


class AcpAgent:
    """Leads turns with one program over ACP; implements `ports.Agent`.

    It works in the isolated tree under our supervisor, is offered neither files nor a terminal of ours, and
    its word that it succeeded is worth nothing: what it did is judged by the tree and the checks.
    `headless` is the tool behind it, when it is one that we know: its variables, its home, and how somebody
    logs in there.
    """

    takes_prompt = True

    def __init__(
        self,
        name: str,
        speaker: Speaker,
        *,
        model: str | None = None,
        args: tuple[str, ...] = (),
        variables: Mapping[str, str] | None = None,
        headless: PresetAgent | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        redactor: Redactor | None = None,
    ) -> None:
        self.name = name
        self.speaker = speaker
        self._model = model or ""
        self._args = args
        self._headless = headless
        self._preset = preset = headless.preset if headless is not None else None
        self._passed = preset.passed if preset is not None else ()
        self._quiet = preset.quiet if preset is not None else {}
        self._variables = dict(variables or {})
        self._limits = limits
        self._redactor = redactor or Redactor()

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns those of its own variables that hold keys."""
        return tuple(name for name in self._passed if name.endswith(_KEYS))

    def probe(self) -> AgentHealth:
        """Returns where its program is and which package it belongs to; starts nothing.

        Not every bridge knows `--version`: one that does not would wait for a client.
        """
        if not has_sdk():
            return AgentHealth(Health.BROKEN, detail=f"{_NEEDS}: {_INSTALL}")
        program = self.speaker.program
        if os.sep in program and not os.path.isabs(program):
            return AgentHealth(Health.READY, program, detail="looked for in the tree when it starts")
        path = self._found()
        if path is None:
            return AgentHealth(Health.MISSING, detail=f"{program} was not found on PATH")
        return self._logged_in(AgentHealth(Health.READY, path, version=package_version(path)))

    def is_installed(self) -> bool:
        """Returns whether its program is on PATH; starts nothing."""
        return self._found() is not None

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of one turn; see `turn.take_turn`.

        Raises:
            Refused: `extra-missing`, the SDK is not installed.
            DiskFailed: transcript or home cannot be written.
        """
        require_sdk(self.name)
        return self._turn(request, worktree, cancelled)

    def _turn(
        self, request: AgentRequest, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        # Here, because it imports asyncio, pydantic models and the SDK.
        from orchestrator.agents.acp import conversation, narrator, permission, turn

        environment = self._environment(request)
        speech = conversation.Speech(
            self.speaker,
            cwd=os.path.abspath(worktree),
            prompt=request.prompt,
            continues=request.continues,
            model="" if self._tells_model_at_start else self._model,
            opened_with=self._model,
            method=self._method(environment),
        )
        plan = turn.Plan(
            self._command(request, worktree, environment),
            speech,
            narrator.TurnLimits(request.max_turns, request.max_cost_usd),
            permission.inside(worktree, request.home),
        )
        for event in turn.take_turn(plan, cancelled):
            yield self._advised(event) if isinstance(event, Finished) else event

    def _environment(self, request: AgentRequest) -> dict[str, str]:
        own = {**self._quiet, **self._home(request), **self._variables}
        return child_environment(request, self._with_model(own), self._passed)

    def _home(self, request: AgentRequest) -> dict[str, str]:
        if not request.home or self._preset is None:
            return {}
        environment = child_environment(request, self._variables, self._passed)
        return settle(self._preset.home, request.home, environment)

    def _logged_in(self, health: AgentHealth) -> AgentHealth:
        if self._headless is None:
            return health
        login, log_in = self._headless.login(), self._headless.preset.home.log_in
        advice = f"not logged in: {log_in}" if login is Login.NONE else ""
        return replace(health, login=login, log_in=log_in, detail=advice)

    def _advised(self, finished: Finished) -> Finished:
        failed = finished.ending is Ending.FAILED and finished.cause is Cause.CREDENTIAL
        if not failed or self._preset is None:
            return finished
        advice = f"give it a key, or log in with: {self._preset.home.log_in}"
        return replace(finished, detail=f"{finished.detail}; {advice}")

    @property
    def _tells_model_at_start(self) -> bool:
        speaker = self.speaker
        return bool(speaker.model_option or speaker.model_variable or speaker.model_settings)

    def _with_model(self, variables: dict[str, str]) -> dict[str, str]:
        speaker, told = self.speaker, dict(variables)
        if self._model and speaker.model_variable:
            told[speaker.model_variable] = self._model
        if self._model and speaker.model_settings:
            told[speaker.model_settings] = _with_model(told.get(speaker.model_settings, ""), self._model)
        return told

    def _method(self, environment: Mapping[str, str]) -> str:
        asked = self.speaker.authenticate.items()
        return next((method for variable, method in asked if not variable or environment.get(variable)), "")

    def _command(self, request: AgentRequest, worktree: Path, environment: dict[str, str]) -> Command:
        option = self.speaker.model_option
        model = (option, self._model) if option and self._model else ()
        return Command(
            argv=(self._found() or self.speaker.program, *self.speaker.args, *model, *self._args),
            cwd=worktree,
            environment=environment,
            timeout_s=request.timeout_s,
            idle_timeout_s=request.idle_timeout_s,
            log=Path(request.transcript),
            limits=self._limits,
            marker=request.marker,
            redactor=self._redactor,
        )

    def _found(self) -> str | None:
        # Absolute, because it starts in the tree and PATH may have relative entries.
        environment = minimal_environment({**self._quiet, **self._variables}, passed=self._passed)
        return find_program(self.speaker.program, environment)


def _with_model(settings: str, model: str) -> str:
    """Returns settings, a JSON object, that name the model; what is no object is replaced."""
    try:
        given = json.loads(settings)
    except ValueError:
        given = {}
    return json.dumps({**(given if isinstance(given, dict) else {}), "model": model})


def has_sdk() -> bool:
    """Returns whether the package that speaks ACP is installed; imports nothing of it."""
    return importlib.util.find_spec("acp") is not None


def require_sdk(name: str) -> None:
    """Returns when the package that speaks ACP is installed.

    Raises:
        Refused: `extra-missing`, it is not.
    """
    if not has_sdk():
        raise Refused(
            f"Agent {name} cannot be led over ACP: {_NEEDS}.",
            code="extra-missing",
            hint=_INSTALL,
        )
