"""The adapter for agents that speak ACP; starts nothing and imports no SDK before a turn begins."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from orchestrator.agents.acp.speaker import Speaker
from orchestrator.agents.programs import find_program
from orchestrator.agents.turn import child_environment
from orchestrator.errors import Refused
from orchestrator.model.agent import AgentEvent, AgentHealth, AgentRequest, Health
from orchestrator.process.command import Command, Limits
from orchestrator.process.spawn import minimal_environment
from orchestrator.redaction.redactor import Redactor

_KEYS = ("_KEY", "_TOKEN")


class AcpAgent:
    """Leads turns with one program over ACP; implements `ports.Agent`.

    It works in the isolated tree under our supervisor, is offered neither files nor a terminal of ours, and
    its word that it succeeded is worth nothing: what it did is judged by the tree and the checks.
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
        passed: tuple[str, ...] = (),
        limits: Limits = Limits(),  # noqa: B008 - frozen
        redactor: Redactor | None = None,
    ) -> None:
        self.name = name
        self.speaker = speaker
        self._model = model or ""
        self._args = args
        self._variables = dict(variables or {})
        self._passed = passed
        self._limits = limits
        self._redactor = redactor or Redactor()

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns those of its own variables that hold keys."""
        return tuple(name for name in self._passed if name.endswith(_KEYS))

    def probe(self) -> AgentHealth:
        """Returns where its program is; starts nothing: a bridge has no free question that it answers."""
        program = self.speaker.program
        if os.sep in program and not os.path.isabs(program):
            return AgentHealth(Health.READY, program, detail="looked for in the tree when it starts")
        path = self._found()
        if path is None:
            return AgentHealth(Health.MISSING, detail=f"{program} was not found on PATH")
        return AgentHealth(Health.READY, path)

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of one turn; see `turn.take_turn`.

        Raises:
            Refused: `extra-missing`, the SDK is not installed.
        """
        require_sdk(self.name)
        # Here, because it imports asyncio, pydantic models and the SDK.
        from orchestrator.agents.acp import conversation, narrator, permission, turn

        environment = child_environment(request, self._all_variables(), self._passed)
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
        return turn.take_turn(plan, cancelled)

    @property
    def _tells_model_at_start(self) -> bool:
        return bool(self.speaker.model_option or self.speaker.model_variable)

    def _all_variables(self) -> dict[str, str]:
        told = (
            {self.speaker.model_variable: self._model} if self.speaker.model_variable and self._model else {}
        )
        return {**self._variables, **told}

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
        environment = minimal_environment(self._variables, passed=self._passed)
        return find_program(self.speaker.program, environment)


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
            f"Agent {name} speaks ACP, which needs the package agent-client-protocol.",
            code="extra-missing",
            hint="pip install 'orchestrator[agents]'",
        )
