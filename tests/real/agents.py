"""The real agents: where their programs are, and how each is pointed at a model server on loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.real.places import AGENTS, RECORD

MODEL = "scripted"
KEY = "sk-scripted-dummy"
Variables = Mapping[str, str]
Refusal = tuple[tuple[str, ...], Variables]
Via = Literal["headless", "acp"]


@dataclass(frozen=True, slots=True)
class RealAgent:
    """One agent; `point` writes its own settings below a home and returns the caller's variables.

    `prefixes` names what has to be installed, by the way in which the agent is driven. `key` is the variable
    that holds its key; `model` the name of the model, where it has to be told one. `args` and
    `settings` are `args` and `env` of its configuration, by the way it is driven and the address. `refuse`
    makes it deny hello.py to itself: it changes settings below the place where it keeps its state and
    returns further `args` and `env`.
    """

    name: str
    prefixes: Mapping[Via, tuple[str, ...]]
    key: str
    point: Callable[[Path, str], Variables]
    model: str | None = None
    args: Callable[[Via, str], tuple[str, ...]] = lambda via, url: ()
    settings: Callable[[Via, str], Variables] = lambda via, url: {}
    refuse: Callable[[Path], Refusal] = lambda place: ((), {})

    def missing(self, via: Via) -> str:
        """Returns why it cannot be driven this way on this machine; empty when it can."""
        record = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
        for prefix in self.prefixes[via]:
            installed = record.get(prefix, {"reason": "it was never installed: run `make agents`"})
            if installed["reason"]:
                return f"{prefix} is not there: {installed['reason']}"
        return ""

    def model_by(self, via: Via) -> str | None:
        """Returns the model that it is told; codex-acp 2.6.0 can be told none but OpenAI's."""
        return None if (self.name, via) == ("codex", "acp") else self.model

    def path(self, via: Via) -> str:
        """Returns a PATH that finds its programs, and else only what the system has."""
        own = [str(AGENTS / prefix / "node_modules" / ".bin") for prefix in self.prefixes[via]]
        return os.pathsep.join((*own, "/usr/local/bin", "/usr/bin", "/bin"))


def _claude(home: Path, url: str) -> Variables:
    # As root it refuses to go without asking unless it is told that this is a sandbox: the namespace is one.
    return {"ANTHROPIC_BASE_URL": url, "IS_SANDBOX": "1"}


def _codex_args(via: Via, url: str) -> tuple[str, ...]:
    if via == "acp":
        return ()
    pairs = ", ".join(f"{name}={json.dumps(value)}" for name, value in _codex_provider(url).items())
    return ("-c", 'model_provider="scripted"', "-c", f"model_providers.scripted={{{pairs}}}")


def _codex_settings(via: Via, url: str) -> Variables:
    config = {
        "model": MODEL,
        "model_provider": "scripted",
        "model_providers": {"scripted": _codex_provider(url)},
    }
    return {"CODEX_CONFIG": json.dumps(config), "MODEL_PROVIDER": "scripted"} if via == "acp" else {}


def _codex_provider(url: str) -> Mapping[str, str | int]:
    return {
        "name": "scripted",
        "base_url": url,
        "env_key": "OPENAI_API_KEY",
        "wire_api": "responses",
        "request_max_retries": 1,
        "stream_max_retries": 1,
    }


def _codex_refuses(place: Path) -> Refusal:
    rules = place / "rules"
    rules.mkdir(parents=True)
    (rules / "default.rules").write_text('prefix_rule(pattern=["touch"], decision="forbidden")\n')
    return (), {}


def _gemini(home: Path, url: str) -> Variables:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False, "maxAttempts": 2},  # 10 attempts otherwise: over 75 s
    }
    place = home / ".gemini"
    place.mkdir(parents=True)
    (place / "settings.json").write_text(json.dumps(settings))
    return {"GOOGLE_GEMINI_BASE_URL": url}


def _gemini_refuses(place: Path) -> Refusal:
    # With a pattern of arguments: a tool that is denied altogether is not even offered to the model.
    rule = 'toolName = "write_file"\nargsPattern = "hello"\ndecision = "deny"\npriority = 900\n'
    policies = place / ".gemini" / "policies"
    policies.mkdir()
    (policies / "refusal.toml").write_text("[[rule]]\n" + rule)
    return (), {}


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


def _opencode_refuses(place: Path) -> Refusal:
    # By a pattern: a tool that is denied altogether is not even offered to the model.
    denied = {"permission": {"edit": {"*": "allow", "*.py": "deny"}, "bash": "allow"}}
    return (), {"OPENCODE_CONFIG_CONTENT": json.dumps(denied)}


REAL = (
    RealAgent(
        "claude",
        {"headless": ("claude",), "acp": ("claude-acp",)},
        "ANTHROPIC_API_KEY",
        _claude,
        model="sonnet",
        settings=lambda via, url: {"CLAUDE_CODE_MAX_RETRIES": "2"},
        refuse=lambda place: (("--permission-mode", "dontAsk"), {}),
    ),
    RealAgent(
        "codex",
        {"headless": ("codex",), "acp": ("codex-acp",)},
        "OPENAI_API_KEY",
        lambda home, url: {},
        model=MODEL,
        args=_codex_args,
        settings=_codex_settings,
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
        refuse=lambda place: (("--deny-tool", "write", "--deny-tool", "shell"), {}),
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
