"""The agent that is any command: a linter that repairs, a script, a tool we have no preset for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from orchestrator.agents.programs import find_program
from orchestrator.agents.turn import Invocation, take_turn, write_prompt
from orchestrator.errors import Refused
from orchestrator.model.agent import AgentEvent, AgentHealth, AgentRequest, Health
from orchestrator.process.command import Limits
from orchestrator.process.spawn import minimal_environment
from orchestrator.redaction.redactor import Redactor

_PLACEHOLDER = re.compile(r"\{(prompt|prompt_file|worktree)\}")


class CommandAgent:
    """Starts one command without a shell; implements `ports.Agent`.

    In its words `{prompt}`, `{prompt_file}` and `{worktree}` are replaced, once, so that nothing inside a
    prompt is. Without them, and with `stdin="none"`, the command does the same whatever it is asked.
    """

    def __init__(
        self,
        name: str,
        argv: tuple[str, ...],
        *,
        stdin: Literal["prompt", "none"] = "none",
        variables: Mapping[str, str] | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        redactor: Redactor | None = None,
    ) -> None:
        if not argv or not argv[0] or _PLACEHOLDER.search(argv[0]):
            raise Refused(
                f"The command of agent {name} does not start with the name of a program.",
                code="agent-command-invalid",
                hint="Give the program first, then its arguments, such as: ruff check --fix .",
            )
        self.name = name
        self.argv = argv
        self._stdin = stdin
        self._variables = dict(variables or {})
        self._limits = limits
        self._redactor = redactor or Redactor()

    @property
    def takes_prompt(self) -> bool:
        """Returns whether a prompt reaches it, so that another attempt can differ from the last."""
        named = {found for word in self.argv for found in _PLACEHOLDER.findall(word)}
        return self._stdin == "prompt" or bool(named & {"prompt", "prompt_file"})

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns none: what a command needs it names as secrets."""
        return ()

    def probe(self) -> AgentHealth:
        """Returns whether its program is there; starts nothing, because a command may mean anything."""
        program = self.argv[0]
        if os.sep in program and not os.path.isabs(program):
            return AgentHealth(Health.READY, program, detail="looked for in the tree when it starts")
        path = find_program(program, minimal_environment(self._variables))
        if path is None:
            return AgentHealth(Health.MISSING, detail=f"{program} was not found on PATH")
        return AgentHealth(Health.READY, path)

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of one turn; see `turn.take_turn`."""
        prompt = request.prompt.encode("utf-8", "surrogateescape")
        invocation = Invocation(
            argv=self._words(request, worktree),
            stdin=prompt if self._stdin == "prompt" else b"",
            variables=self._variables,
            limits=self._limits,
            redactor=self._redactor,
        )
        return take_turn(invocation, request, worktree=worktree, cancelled=cancelled)

    def _words(self, request: AgentRequest, worktree: Path) -> tuple[str, ...]:
        values = {"prompt": argument(request.prompt), "worktree": os.path.abspath(worktree)}
        if any("{prompt_file}" in word for word in self.argv):
            values["prompt_file"] = write_prompt(request)
        filled = []
        for before, word in zip(("", *self.argv), self.argv, strict=False):
            text = _PLACEHOLDER.sub(lambda found: values[found[1]], word)
            # After `--` nothing is an option any more, so the prompt can stay as it is.
            filled.append(harmless(text) if word.startswith("{prompt}") and before != "--" else text)
        return tuple(filled)


def argument(prompt: str) -> str:
    """Returns a prompt as an argument can carry it: without NUL."""
    return prompt.replace("\0", "\N{REPLACEMENT CHARACTER}")


def harmless(text: str) -> str:
    """Returns a prompt that no program takes for an option: before a leading `-` comes a space."""
    return f" {text}" if text.startswith("-") else text
