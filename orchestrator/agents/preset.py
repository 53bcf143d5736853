"""The adapter for coding agents that we know by name, headless; what differs between them is data."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from orchestrator.agents.command import argument, harmless
from orchestrator.agents.homes import login_of, settle
from orchestrator.agents.outcome import Rules
from orchestrator.agents.presets import PRESETS, Preset
from orchestrator.agents.programs import ask_version, find_program, is_within
from orchestrator.agents.turn import Invocation, child_environment, take_turn
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
from orchestrator.model.run import Usage
from orchestrator.process.command import Limits
from orchestrator.process.spawn import minimal_environment
from orchestrator.redaction.redactor import Redactor

__all__ = ["MAX_ARGUMENT_BYTES", "PRESETS", "Preset", "PresetAgent"]

MAX_ARGUMENT_BYTES = 100_000
"""A longer prompt goes to standard input: Linux refuses arguments of 128 KiB."""
_KEYS = ("_KEY", "_TOKEN")
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")
# We set no IS_SANDBOX ourselves: whether this machine is a sandbox is not ours to claim.
_ROOT = (
    "it refuses to work as root; if this machine is a throw-away container, "
    "say so with IS_SANDBOX=1 in your environment or in `env` of the agent"
)


class PresetAgent:
    """Starts a known coding agent headless; implements `ports.Agent`.

    Its word that it succeeded is worth nothing: what it did is judged by the tree and the checks.
    `secrets` are the names that it will be given, `contained` tells that its home is always one of ours; both
    count only when it is looked whether it can prove who asks.
    """

    takes_prompt = True

    def __init__(
        self,
        name: str,
        preset: Preset,
        *,
        model: str | None = None,
        args: tuple[str, ...] = (),
        variables: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        contained: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        redactor: Redactor | None = None,
    ) -> None:
        self.name = name
        self.preset = preset
        self._model = model
        self._args = args
        self._variables = dict(variables or {})
        self._secrets = secrets
        self._contained = contained
        self._limits = limits
        self._redactor = redactor or Redactor()

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns those of its own variables that hold keys."""
        return tuple(name for name in self.preset.passed if name.endswith(_KEYS))

    def probe(self) -> AgentHealth:
        """Returns where it is, which version it says it is, and whether it can prove who asks.

        Starts no turn and asks nobody: keys are looked for in variables, logins in files.
        """
        environment = self._probe_environment()
        path = find_program(self.preset.program, environment)
        if path is None:
            return AgentHealth(Health.MISSING, detail=f"{self.preset.program} was not found on PATH")
        health = ask_version(path, environment)
        if health.health is not Health.READY:
            return health
        if self._refuses(environment):
            return AgentHealth(Health.BROKEN, path, health.version, _ROOT)
        login = self.login()
        return replace(
            health,
            detail=f"not logged in: {self.preset.home.log_in}" if login is Login.NONE else "",
            log_in=self.preset.home.log_in,
            tested=is_within(health.version, self.preset.tested),
            range=self.preset.tested,
            login=login,
        )

    @property
    def hard_limits(self) -> frozenset[str]:
        """Returns which limits of a request it keeps itself."""
        options = {"max_turns": self.preset.max_turns, "max_cost_usd": self.preset.max_cost_usd}
        return frozenset(name for name, option in options.items() if option)

    @property
    def rules(self) -> Rules:
        """Returns what is known beforehand of how its turns end."""
        preset = self.preset
        return Rules(preset.meanings, preset.denials, tells_end=True, is_metered=preset.is_metered)

    def is_installed(self) -> bool:
        """Returns whether its program is on PATH; starts nothing."""
        return find_program(self.preset.program, self._probe_environment()) is not None

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of one turn; see `turn.take_turn`.

        A session that cannot be one ends it before anything starts.

        Raises:
            DiskFailed: transcript or home cannot be written.
        """
        if request.continues and not _SESSION.fullmatch(request.continues):
            words = f"{request.continues[:100]!r} can be no session of its own"
            yield Finished(Ending.FAILED, None, words, Usage(), cause=Cause.SESSION_LOST)
            return
        invocation = self._invocation(request)
        for event in take_turn(invocation, request, worktree=worktree, cancelled=cancelled):
            yield self._advised(event) if isinstance(event, Finished) else event

    def argv(
        self, prompt: str | None, request: AgentRequest | None = None, *, chosen: str = ""
    ) -> tuple[str, ...]:
        """Returns its command line; without a prompt it reads one from standard input.

        `chosen` is the id that a new session gets, where the tool lets us choose it.
        """
        preset, session = self.preset, request.continues if request is not None else ""
        asked = () if prompt is None else (*preset.prompt_option, harmless(argument(prompt)))
        model = (preset.model_option, self._model) if self._model else ()
        going_on = tuple(word.replace("{session}", session) for word in preset.resume) if session else ()
        limits = self._hard_limits(request) if request is not None else ()
        new = tuple(word.replace("{session}", chosen) for word in preset.choose) if chosen else ()
        options = (*preset.after, *model, *new, *limits, *self._args)
        before = preset.before
        if session and preset.resume_before:
            before, asked = preset.resume_before, (*going_on, *asked)
        else:
            options = (*going_on, *options) if not preset.prompt_last else (*options, *going_on)
        words = (*options, *asked) if preset.prompt_last else (*asked, *options)
        return (preset.program, *before, *words)

    def _hard_limits(self, request: AgentRequest) -> tuple[str, ...]:
        preset, words = self.preset, []
        if preset.max_turns and request.max_turns is not None:
            words += [preset.max_turns, str(request.max_turns)]
        if preset.max_cost_usd and request.max_cost_usd is not None:
            words += [preset.max_cost_usd, f"{request.max_cost_usd:.6f}".rstrip("0").rstrip(".")]
        return tuple(words)

    def _invocation(self, request: AgentRequest) -> Invocation:
        preset, prompt = self.preset, request.prompt.encode("utf-8", "surrogateescape")
        asked = request.prompt if len(prompt) <= MAX_ARGUMENT_BYTES else None
        chosen = str(uuid4()) if preset.choose and not request.continues else ""
        return Invocation(
            argv=(self._program(), *self.argv(asked, request, chosen=chosen)[1:]),
            stdin=b"" if asked is not None else prompt,
            variables={**preset.quiet, **self._home(request), **self._variables},
            passed=preset.passed,
            limits=self._limits,
            parser=preset.parser,
            rules=self.rules,
            model=self._model or "",
            session=chosen,
            redactor=self._redactor,
        )

    def _home(self, request: AgentRequest) -> dict[str, str]:
        if not request.home:
            return {}
        environment = child_environment(request, self._variables, self.preset.passed)
        return settle(self.preset.home, request.home, environment)

    def _advised(self, finished: Finished) -> Finished:
        if finished.cause is not Cause.CREDENTIAL or finished.ending is not Ending.FAILED:
            return finished
        advice = f"give it a key, or log in with: {self.preset.home.log_in}"
        return replace(finished, detail=f"{finished.detail}; {advice}")

    def login(self) -> Login:
        """Returns how it would prove who asks; `none` only where nothing at all speaks for another way."""
        environment = self._probe_environment()
        if set(self._secrets) & set(self.credentials):
            return Login.KEY
        found = login_of(self.preset.home, self.credentials, environment)
        places = self.preset.home.variables
        others = [name for name in self.preset.passed if name not in places and environment.get(name)]
        may_be = self._contained or self._variables or others
        return Login.UNKNOWN if found is Login.NONE and may_be else found

    def _program(self) -> str:
        # Absolute, because it starts in the tree and PATH may have relative entries.
        return find_program(self.preset.program, self._probe_environment()) or self.preset.program

    def _probe_environment(self) -> dict[str, str]:
        return minimal_environment({**self.preset.quiet, **self._variables}, passed=self.preset.passed)

    def _refuses(self, environment: Mapping[str, str]) -> bool:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        return self.preset.refuses_root and root and environment.get("IS_SANDBOX") != "1"
