"""The coding agents we know by name: their headless command lines, homes and habits, as data.

Source: facts measured with claude 2.1.197, codex 0.169.0, gemini 0.61.0, copilot 1.0.102, opencode 1.18.33.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.agents.claude_stream import ClaudeStream
from orchestrator.agents.codex_stream import CodexStream
from orchestrator.agents.copilot_stream import CopilotStream
from orchestrator.agents.gemini_stream import GeminiStream
from orchestrator.agents.homes import Home, HomeFile
from orchestrator.agents.opencode_stream import OpencodeStream
from orchestrator.agents.outcome import Meaning
from orchestrator.agents.stream import StreamParser
from orchestrator.model.agent import Cause


@dataclass(frozen=True, slots=True)
class Preset:
    """How one tool is started for a turn in which it may do everything inside its tree.

    `before` comes first, then the prompt, then `after`, model and further words; with `prompt_last` the
    prompt comes last. `prompt_option` takes the prompt, and is left out with it when that comes on standard
    input. `resume` are words for going on with a session (`{session}` is replaced); with `resume_before`
    they come right before the prompt, and `resume_before` in place of `before`. `choose` are words by which a
    new session gets an id of ours, for a tool that tells its own only when it ends. `max_turns` and
    `max_cost_usd` are the options of its own hard limits, empty where it has none.

    `quiet` are variables that keep it from updating itself and from telemetry; `passed` names the variables
    it may take from the caller's environment: its own keys, addresses and places, nobody else's.
    `parser` understands its output; `meanings` are those of its exit statuses, `denials` finds on stderr what
    it denied and tells nowhere else; `is_metered`: it tells its usage after every turn that reached a model.
    `tested` are the versions that all of this was tried with.
    """

    program: str
    before: tuple[str, ...]
    parser: Callable[[], StreamParser]
    home: Home
    tested: str
    after: tuple[str, ...] = ()
    prompt_option: tuple[str, ...] = ()
    prompt_last: bool = False
    model_option: str = "--model"
    resume: tuple[str, ...] = ()
    resume_before: tuple[str, ...] = ()
    choose: tuple[str, ...] = ()
    max_turns: str = ""
    max_cost_usd: str = ""
    quiet: Mapping[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    meanings: Mapping[int, Meaning] = field(default_factory=dict)
    denials: str = ""
    is_metered: bool = True
    refuses_root: bool = False


_CODEX_HABITS = (
    "--json",
    "--skip-git-repo-check",
    "--dangerously-bypass-approvals-and-sandbox",
    "-c",
    "check_for_update_on_startup=false",
    "-c",
    "analytics.enabled=false",
)
_CODEX_SETTINGS = """check_for_update_on_startup = false

[analytics]
enabled = false
"""
_GOOGLE = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GENAI_USE_GCA",
)
_GEMINI_SETTINGS = """{
  "security": {"auth": {"selectedType": "%s"}},
  "privacy": {"usageStatisticsEnabled": false},
  "telemetry": {"enabled": false},
  "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false}
}
"""
_OPENCODE_SETTINGS = """{
  "autoupdate": false,
  "share": "disabled"
}
"""
_OPENCODE_PERMISSION = '{"permission": {"edit": "allow", "bash": "allow"}}'
"""The same as its defaults, so that what it may do in its tree does not hang on them (1.18.33)."""

PRESETS: Mapping[str, Preset] = {
    "claude": Preset(
        program="claude",
        before=("-p",),
        after=("--output-format", "stream-json", "--verbose", "--permission-mode", "bypassPermissions"),
        resume=("--resume", "{session}"),
        max_turns="--max-turns",
        max_cost_usd="--max-budget-usd",
        parser=ClaudeStream,
        home=Home(
            variables={"CLAUDE_CONFIG_DIR": ""},
            usual="~/.claude",
            logins=(".credentials.json",),
            hints=("settings.json", "../.claude.json", "/etc/claude-code/managed-settings.json"),
            log_in="claude /login",
            elsewhere="darwin",  # in its keychain
        ),
        tested=">=2.1.197,<2.2",
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
        before=("exec", *_CODEX_HABITS),
        prompt_last=True,
        model_option="-m",
        resume=("{session}",),
        resume_before=("exec", "resume", *_CODEX_HABITS),
        parser=CodexStream,
        denials=r"Rejected\(\\?\"`(.{1,400}?)` rejected",  # by its rules, which only stderr tells (0.169.0)
        home=Home(
            variables={"CODEX_HOME": ""},
            usual="~/.codex",
            logins=("auth.json",),
            hints=("config.toml",),
            log_in="codex login",
            files=(HomeFile("config.toml", _CODEX_SETTINGS),),
        ),
        tested=">=0.169,<0.170",
        passed=("CODEX_HOME", "CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
    ),
    "gemini": Preset(
        program="gemini",
        before=(),
        prompt_option=("-p",),
        after=("-o", "stream-json", "--skip-trust", "--approval-mode", "yolo"),
        model_option="-m",
        resume=("--resume", "{session}"),
        parser=GeminiStream,
        home=Home(
            variables={"GEMINI_CLI_HOME": ""},
            usual="~",
            logins=(".gemini/oauth_creds.json",),
            hints=(".gemini/.env", ".gemini/settings.json"),
            log_in="gemini",
            files=(
                HomeFile(".gemini/settings.json", _GEMINI_SETTINGS % "gemini-api-key", when="GEMINI_API_KEY"),
                HomeFile(".gemini/settings.json", _GEMINI_SETTINGS % "vertex-ai", when="GOOGLE_API_KEY"),
            ),
        ),
        tested=">=0.61,<0.62",
        quiet={"GEMINI_CLI_NO_RELAUNCH": "true"},
        passed=("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GEMINI_CLI_HOME", *_GOOGLE),
        meanings={
            41: Meaning("no way to authenticate is set", Cause.CREDENTIAL),
            42: Meaning("bad input"),
            53: Meaning("it reached its limit of turns", is_limit=True),
            55: Meaning("untrusted folder"),
            144: Meaning("the service answered 400"),
            145: Meaning("the service answered 401: the key is not accepted", Cause.CREDENTIAL),
            173: Meaning("the service answered 429: too many requests", Cause.QUOTA),
            244: Meaning("the service answered 500"),
        },
    ),
    "copilot": Preset(
        program="copilot",
        before=(),
        prompt_option=("-p",),
        after=("--output-format", "json", "--no-ask-user", "--no-auto-update", "--allow-all-tools"),
        resume=("--resume={session}",),
        choose=("--session-id", "{session}"),
        parser=CopilotStream,
        home=Home(
            variables={"COPILOT_HOME": "", "COPILOT_CACHE_HOME": "cache", "XDG_CACHE_HOME": "xdg-cache"},
            usual="~/.copilot",
            hints=("config.json", "../.config/gh/hosts.yml"),
            log_in="copilot login",
            elsewhere="any",  # in a keychain
        ),
        tested=">=1.0.102,<1.1",
        quiet={"COPILOT_AUTO_UPDATE": "false"},
        passed=(
            "COPILOT_HOME",
            "COPILOT_CACHE_HOME",
            "COPILOT_MODEL",
            "COPILOT_OFFLINE",
            "COPILOT_PROVIDER_API_KEY",
            "COPILOT_PROVIDER_BEARER_TOKEN",
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
        resume=("--session", "{session}"),
        parser=OpencodeStream,
        home=Home(
            variables={
                "XDG_CONFIG_HOME": "config",
                "XDG_DATA_HOME": "data",
                "XDG_STATE_HOME": "state",
                "XDG_CACHE_HOME": "cache",
            },
            usual="~",
            logins=(".local/share/opencode/auth.json",),
            logins_of_own=("data/opencode/auth.json",),
            hints=(".config/opencode/opencode.json", ".config/opencode/opencode.jsonc"),
            log_in="opencode auth login",
            elsewhere="any",  # it has models that ask for nothing
            files=(HomeFile("config/opencode/opencode.json", _OPENCODE_SETTINGS),),
        ),
        tested=">=1.18.33,<1.19",
        quiet={
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_CONFIG_CONTENT": _OPENCODE_PERMISSION,
        },
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
