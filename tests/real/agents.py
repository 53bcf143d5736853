"""The real agents: where their programs are, and how each is pointed at a model server on loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.real.places import AGENTS, RECORD

MODEL = "scripted"
KEY = "sk-scripted-dummy"
Variables = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RealAgent:
    """One agent; `point` writes its own settings below a home and returns the caller's variables.

    `prefixes` names what has to be installed, by the way in which the agent is driven. `key` is the variable
    that holds its key; `model` the name of the model, where it has to be told one. `refuse` makes it deny
    hello.py to itself: it changes settings below a place and returns further words for the command line.
    """

    name: str
    prefixes: Mapping[str, tuple[str, ...]]
    key: str
    point: Callable[[Path, str], Variables]
    model: str | None = None
    args: Callable[[str], tuple[str, ...]] = lambda url: ()
    refuse: Callable[[Path], tuple[str, ...]] = lambda place: ()

    def missing(self, via: str) -> str:
        """Returns why it cannot be driven this way on this machine; empty when it can."""
        record = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
        for prefix in self.prefixes[via]:
            installed = record.get(prefix, {"reason": "it was never installed: run `make agents`"})
            if installed["reason"]:
                return f"{prefix} is not there: {installed['reason']}"
        return ""

    def path(self, via: str) -> str:
        """Returns a PATH that finds its programs, and else only what the system has."""
        own = [str(AGENTS / prefix / "node_modules" / ".bin") for prefix in self.prefixes[via]]
        return os.pathsep.join((*own, "/usr/local/bin", "/usr/bin", "/bin"))


def _claude(home: Path, url: str) -> Variables:
    # As root it refuses to go without asking unless it is told that this is a sandbox: the namespace is one.
    return {"ANTHROPIC_BASE_URL": url, "CLAUDE_CODE_MAX_RETRIES": "2", "IS_SANDBOX": "1"}


def _codex_args(url: str) -> tuple[str, ...]:
    provider = (
        f'{{name="scripted", base_url="{url}", env_key="OPENAI_API_KEY", wire_api="responses", '
        "request_max_retries=1, stream_max_retries=1}"
    )
    return ("-c", 'model_provider="scripted"', "-c", f"model_providers.scripted={provider}")


def _codex_refuses(place: Path) -> tuple[str, ...]:
    rules = place / "home" / ".codex" / "rules"
    rules.mkdir(parents=True)
    (rules / "default.rules").write_text('prefix_rule(pattern=["touch"], decision="forbidden")\n')
    return ()


def _gemini(home: Path, url: str) -> Variables:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False, "maxAttempts": 2},  # 10 attempts otherwise: over 75 s
    }
    place = home / ".gemini"
    place.mkdir()
    (place / "settings.json").write_text(json.dumps(settings))
    return {"GOOGLE_GEMINI_BASE_URL": url}


def _gemini_refuses(place: Path) -> tuple[str, ...]:
    # With a pattern of arguments: a tool that is denied altogether is not even offered to the model.
    rule = 'toolName = "write_file"\nargsPattern = "hello"\ndecision = "deny"\npriority = 900\n'
    policies = place / "home" / ".gemini" / "policies"
    policies.mkdir()
    (policies / "refusal.toml").write_text("[[rule]]\n" + rule)
    return ()


def _copilot(home: Path, url: str) -> Variables:
    return {"COPILOT_OFFLINE": "true", "COPILOT_PROVIDER_BASE_URL": url, "COPILOT_MODEL": MODEL}


def _opencode(home: Path, url: str) -> Variables:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "scripted",
        "options": {"baseURL": url, "apiKey": "{env:OPENAI_API_KEY}"},
        "models": {MODEL: {"name": MODEL, "tool_call": True, "limit": {"context": 100000, "output": 8000}}},
    }
    settings = {
        "autoupdate": False,
        "share": "disabled",
        "enabled_providers": ["scripted"],
        "provider": {"scripted": provider},
    }
    file = home.parent / "opencode.json"
    file.write_text(json.dumps(settings))
    return {"OPENCODE_CONFIG": str(file), "OPENCODE_DISABLE_MODELS_FETCH": "1"}


def _opencode_refuses(place: Path) -> tuple[str, ...]:
    file = place / "opencode.json"
    denied = {"edit": {"*": "allow", "*.py": "deny"}}
    file.write_text(json.dumps({**json.loads(file.read_text()), "permission": denied}))
    return ()


REAL = (
    RealAgent(
        "claude",
        {"headless": ("claude",), "acp": ("claude-acp",)},
        "ANTHROPIC_API_KEY",
        _claude,
        model="sonnet",
        refuse=lambda place: ("--permission-mode", "dontAsk"),
    ),
    RealAgent(
        "codex",
        {"headless": ("codex",), "acp": ("codex-acp",)},
        "OPENAI_API_KEY",
        lambda home, url: {},
        model=MODEL,
        args=_codex_args,
        refuse=_codex_refuses,
    ),
    RealAgent(
        "gemini",
        {"headless": ("gemini",), "acp": ("gemini",)},
        "GEMINI_API_KEY",
        _gemini,
        model="gemini-2.5-pro",  # with `auto` it makes further calls that want JSON
        refuse=_gemini_refuses,
    ),
    RealAgent(
        "copilot",
        {"headless": ("copilot",), "acp": ("copilot",)},
        "COPILOT_PROVIDER_API_KEY",
        _copilot,
        refuse=lambda place: ("--deny-tool", "write", "--deny-tool", "shell"),
    ),
    RealAgent(
        "opencode",
        {"headless": ("opencode",), "acp": ("opencode",)},
        "OPENAI_API_KEY",
        _opencode,
        model=f"scripted/{MODEL}",
        refuse=_opencode_refuses,
    ),
)
