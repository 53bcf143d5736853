"""The tools that start commands: `run`, and those of the configuration; under supervision, in the tree."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.agents.confined import ConfinedTree
from orchestrator.agents.llm.files import shortened
from orchestrator.agents.llm.order import ToolSpec
from orchestrator.agents.llm.tool import Arguments, Tool, ToolProblem
from orchestrator.agents.text import plain_text
from orchestrator.model.json import Json, JsonObject
from orchestrator.process.command import Command, Ended, Limits
from orchestrator.process.spawn import supervise
from orchestrator.redaction.redactor import Redactor

_SHELL = ("/bin/sh", "-c")
_MAX_OUTPUT_BYTES = 1 << 20
_MAX_SHOWN = 16_000
_DEFAULT_S, _MAX_S = 300, 3600
_BEAT_S = 1.0
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_RUN: JsonObject = {
    "command": {"type": "string", "description": "A command line for sh, started in the root of the tree."},
    "timeout_s": {"type": "integer", "description": f"Seconds it may take; {_DEFAULT_S} when not given."},
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What commands are started with; `deadline` is that of the turn, on the monotonic clock.

    `beat` is called about once a second while a command prints: the turn is not silent then.
    """

    tree: ConfinedTree
    environment: Mapping[str, str] = field(repr=False)
    limits: Limits
    marker: str
    deadline: float
    redactor: Redactor
    beat: Callable[[], None]


class CommandTools:
    """Starts commands for the model and tells it what they printed; nothing of them is left running."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings

    def shell(self) -> Tool:
        """Returns the tool `run`."""
        return Tool("run", "Runs a command and returns what it printed.", _RUN, ("command",), self._shell)

    def configured(self, spec: ToolSpec) -> Tool:
        """Returns a tool of the configuration.

        `{name}` in its words stands for the argument of that name; all arguments come as JSON on its stdin.
        """
        properties = spec.parameters.get("properties")
        required = spec.parameters.get("required")
        return Tool(
            spec.name,
            spec.description,
            properties if isinstance(properties, dict) else {},
            tuple(str(each) for each in required) if isinstance(required, list) else (),
            lambda given: self._start(
                _filled(spec.run, given.all), _DEFAULT_S, json.dumps(given.all).encode()
            ),
            permission=spec.permission,
        )

    def _shell(self, given: Arguments) -> str:
        seconds = min(_MAX_S, max(1, given.whole("timeout_s", _DEFAULT_S)))
        return self._start((*_SHELL, given.text("command")), seconds, b"")

    def _start(self, argv: tuple[str, ...], seconds: float, stdin: bytes) -> str:
        around, printed = self._around, _Printed(self._around.beat)
        command = Command(
            argv=argv,
            cwd=around.tree.root,
            environment=around.environment,
            stdin=stdin,
            timeout_s=max(1.0, min(seconds, around.deadline - time.monotonic())),
            limits=around.limits,
            marker=around.marker,
            redactor=around.redactor,
        )
        ended = supervise(
            command, on_started=lambda process: None, on_output=printed.take, on_error=printed.take
        )
        return f"{_how(ended)}\n{shortened(plain_text(printed.data), _MAX_SHOWN)}".rstrip()


class _Printed:
    """The beginning of what a command prints, and a beat while it does."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._beat_at = 0.0
        self._kept = bytearray()

    @property
    def data(self) -> bytes:
        return bytes(self._kept)

    def take(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > _MAX_OUTPUT_BYTES:
            del self._kept[_MAX_OUTPUT_BYTES // 2 : -_MAX_OUTPUT_BYTES // 2]
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + _BEAT_S
            self._beat()


def _how(ended: Ended) -> str:
    if ended.cause == "exited":
        return (
            f"exit status {ended.exit_status}" if ended.signal is None else f"killed by signal {ended.signal}"
        )
    return ended.detail or ended.cause


def _filled(words: tuple[str, ...], given: Mapping[str, Json]) -> tuple[str, ...]:
    return tuple(_word(word, given) for word in words)


def _word(word: str, given: Mapping[str, Json]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in given:
            return found[0]
        value = given[name]
        return value if isinstance(value, str) else json.dumps(value)

    filled = _PLACEHOLDER.sub(value, word)
    if "\0" in filled:
        raise ToolProblem("an argument holds a NUL")
    if filled.startswith("-") and not word.startswith("-"):
        raise ToolProblem("an argument must not begin with `-`, which the command would take for an option")
    return filled


def environment_of_commands(environment: Mapping[str, str], hidden: tuple[str, ...]) -> dict[str, str]:
    """Returns the variables for commands of the model: the worker's own without keys of its provider."""
    return {name: value for name, value in environment.items() if name not in hidden}
