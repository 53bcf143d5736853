"""The coding agents we know by name: plain headless command lines, as data.

Source: facts measured with claude 2.1.197, codex 0.169.0, gemini 0.61.0, copilot 1.0.102, opencode 1.18.33.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.agents.command import argument, harmless
from orchestrator.agents.programs import ask_version, find_program
from orchestrator.agents.turn import Invocation, take_turn
from orchestrator.model.agent import AgentEvent, AgentHealth, AgentRequest, Health
from orchestrator.process.command import Limits
from orchestrator.process.spawn import minimal_environment
from orchestrator.redaction.redactor import Redactor

MAX_ARGUMENT_BYTES = 100_000
"""A longer prompt goes to standard input: Linux refuses arguments of 128 KiB."""


@dataclass(frozen=True, slots=True)
class Preset:
    """How one tool is started for a turn in which it may do everything inside its tree.

    `before` comes first, then the prompt, then `after`, model and further words; with `prompt_last` the
    prompt comes last. `prompt_option` takes the prompt, and is left out with it when that comes on standard
    input. `quiet` are variables that keep it from updating itself and from telemetry; `passed` names the
    variables it may take from the caller's environment: its own keys, addresses and places, nobody else's.
    """

    program: str
    before: tuple[str, ...]
    after: tuple[str, ...] = ()
    prompt_option: tuple[str, ...] = ()
    prompt_last: bool = False
    model_option: str = "--model"
    quiet: Mapping[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    meanings: Mapping[int, str] = field(default_factory=dict)
    refuses_root: bool = False


_KEYS = ("_KEY", "_TOKEN")
_GOOGLE = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION")

PRESETS: Mapping[str, Preset] = {
    "claude": Preset(
        program="claude",
        before=("-p",),
        after=("--output-format", "stream-json", "--verbose", "--permission-mode", "bypassPermissions"),
        quiet={
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
        },
        passed=(
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "ANTHROPIC_BASE_URL",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CONFIG_DIR",
            "IS_SANDBOX",
        ),
        refuses_root=True,
    ),
    "codex": Preset(
        program="codex",
        before=(
            "exec",
            "--json",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
            "-c",
            "check_for_update_on_startup=false",
            "-c",
            "analytics.enabled=false",
        ),
        prompt_last=True,
        model_option="-m",
        passed=("CODEX_HOME", "CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
    ),
    "gemini": Preset(
        program="gemini",
        before=(),
        prompt_option=("-p",),
        after=("-o", "stream-json", "--skip-trust", "--approval-mode", "yolo"),
        model_option="-m",
        quiet={"GEMINI_CLI_NO_RELAUNCH": "true"},
        passed=("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GEMINI_CLI_HOME", *_GOOGLE),
        meanings={
            42: "bad input",
            53: "turn limit",
            55: "untrusted folder",
            144: "the service answered 400",
            145: "the service answered 401: the key is not accepted",
            173: "the service answered 429: too many requests",
            244: "the service answered 500",
        },
    ),
    "copilot": Preset(
        program="copilot",
        before=(),
        prompt_option=("-p",),
        after=("--output-format", "json", "--no-ask-user", "--no-auto-update", "--allow-all-tools"),
        quiet={"COPILOT_AUTO_UPDATE": "false"},
        passed=(
            "COPILOT_HOME",
            "COPILOT_MODEL",
            "COPILOT_OFFLINE",
            "COPILOT_PROVIDER_API_KEY",
            "COPILOT_PROVIDER_BASE_URL",
            "COPILOT_PROVIDER_TYPE",
            "COPILOT_GITHUB_TOKEN",
            "GH_TOKEN",
            "GITHUB_TOKEN",
        ),
    ),
    "opencode": Preset(
        program="opencode",
        before=("run", "--format", "json", "--auto"),
        prompt_last=True,
        model_option="-m",
        quiet={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_LSP_DOWNLOAD": "1"},
        passed=(
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "GEMINI_API_KEY",
            "OPENROUTER_API_KEY",
            "OPENCODE_CONFIG",
        ),
    ),
}
"""In the order in which they are preferred when no agent is named."""


class PresetAgent:
    """Starts a known coding agent headless; implements `ports.Agent`.

    Its word that it succeeded is worth nothing: what it did is judged by the tree and the checks.
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
        limits: Limits = Limits(),  # noqa: B008 - frozen
        redactor: Redactor | None = None,
    ) -> None:
        self.name = name
        self.preset = preset
        self._model = model
        self._args = args
        self._variables = dict(variables or {})
        self._limits = limits
        self._redactor = redactor or Redactor()

    @property
    def credentials(self) -> tuple[str, ...]:
        """Returns those of its own variables that hold keys."""
        return tuple(name for name in self.preset.passed if name.endswith(_KEYS))

    def probe(self) -> AgentHealth:
        """Returns where it is and which version it says it is; starts no turn."""
        environment = self._probe_environment()
        path = find_program(self.preset.program, environment)
        if path is None:
            return AgentHealth(Health.MISSING, detail=f"{self.preset.program} was not found on PATH")
        health = ask_version(path, environment)
        if health.health is Health.READY and self._refuses(environment):
            return AgentHealth(Health.BROKEN, path, health.version, _ROOT)
        return health

    def is_installed(self) -> bool:
        """Returns whether its program is on PATH; starts nothing."""
        return find_program(self.preset.program, self._probe_environment()) is not None

    def run(
        self, request: AgentRequest, *, worktree: Path, cancelled: Callable[[], bool]
    ) -> Iterator[AgentEvent]:
        """Yields the events of one turn; see `turn.take_turn`. Its JSON goes to the transcript alone."""
        by_argument = len(request.prompt.encode("utf-8", "surrogateescape")) <= MAX_ARGUMENT_BYTES
        invocation = Invocation(
            argv=(self._program(), *self.argv(request.prompt if by_argument else None)[1:]),
            stdin=b"" if by_argument else request.prompt.encode("utf-8", "surrogateescape"),
            variables={**self.preset.quiet, **self._variables},
            passed=self.preset.passed,
            limits=self._limits,
            redactor=self._redactor,
            meanings=self.preset.meanings,
            shows=_is_for_people,
        )
        return take_turn(invocation, request, worktree=worktree, cancelled=cancelled)

    def argv(self, prompt: str | None) -> tuple[str, ...]:
        """Returns its command line; without a prompt it reads one from standard input."""
        preset = self.preset
        asked = () if prompt is None else (*preset.prompt_option, harmless(argument(prompt)))
        model = (preset.model_option, self._model) if self._model else ()
        options = (*preset.after, *model, *self._args)
        words = (*options, *asked) if preset.prompt_last else (*asked, *options)
        return (preset.program, *preset.before, *words)

    def _program(self) -> str:
        # Absolute, because it starts in the tree and PATH may have relative entries.
        return find_program(self.preset.program, self._probe_environment()) or self.preset.program

    def _probe_environment(self) -> dict[str, str]:
        return minimal_environment({**self.preset.quiet, **self._variables}, passed=self.preset.passed)

    def _refuses(self, environment: Mapping[str, str]) -> bool:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        return self.preset.refuses_root and root and environment.get("IS_SANDBOX") != "1"


# We set no IS_SANDBOX ourselves: whether this machine is a sandbox is not ours to claim.
_ROOT = (
    "it refuses to work as root; if this machine is a throw-away container, "
    "say so with IS_SANDBOX=1 in your environment or in `env` of the agent"
)


def _is_for_people(line: str) -> bool:
    return not line.startswith("{")
