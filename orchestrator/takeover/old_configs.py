"""What the configuration files of earlier orchestrators say, as settings of `workflow.yaml`.

Source: W's `src/config.py`, A's `config/agents.yaml` and B's `config/orchestrator-config.yaml` as of 2026-01.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from orchestrator.config.schema import NAME, PRESETS
from orchestrator.model.json import Json
from orchestrator.takeover.old_keys import NOT_YET, OldKeys

Settings = dict[str, Json]

_PROGRAMS = {preset: {preset} for preset in PRESETS} | {"copilot": {"copilot", "gh"}}
_LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "critical": "error"}


def of_w(keys: OldKeys) -> Settings:
    """Returns what W's `.orchestra.yaml` or `.orchestrator.yaml` sets: the commands of its checks."""
    verify: Settings = {}
    for category in ("build", "test", "lint", "security"):
        command = keys.take_command(f"{category}_command")
        if command is not None:
            verify[category] = [{"run": command}]
    return {"verify": verify} if verify else {}


def of_a(keys: OldKeys) -> Settings:
    """Returns what A's `config/agents.yaml` sets: agents, workflows, the level of its log."""
    agents: Settings = {}
    disabled = set()
    for name in keys.names("agents"):
        if keys.take_flag("agents", name, "enabled") is False:
            disabled.add(name)
            keys.refuse("is disabled", "agents", name)
        elif re.fullmatch(NAME, name):
            made = _agent_of_a(keys, name)
            agents.update({name: made} if made else {})
    rounds = _present(
        max_iterations=keys.take_count(100, "settings", "max_iterations", least=1),
        min_suggestions_threshold=keys.take_count(1_000_000, "settings", "min_suggestions_threshold"),
    )
    workflows: Settings = {}
    for name in keys.names("workflows"):
        steps = _steps(keys, name, disabled)
        if steps:
            workflows[name] = {**rounds, "steps": steps} if rounds else steps
    parts: Settings = {
        "agents": agents,
        "workflows": workflows,
        "logging": _level(keys, "settings", "log_level"),
    }
    return {key: value for key, value in parts.items() if value}


def of_b(keys: OldKeys) -> Settings:
    """Returns what B's `config/orchestrator-config.yaml` sets: checks, thresholds, retries, the log."""
    parts: Settings = {
        "execution": _present(
            max_retries=keys.take_count(100, "execution", "max_retries"),
            retry_backoff_s=keys.take_seconds("execution", "retry_delay"),
        ),
        "thresholds": _thresholds_of_b(keys),
        "verify": _verify_of_b(keys),
        "logging": {
            **_level(keys, "logging", "level"),
            **_present(
                rotate_mb=keys.take_count(10_000, "logging", "max_file_size_mb", least=1),
                keep=keys.take_count(1_000, "logging", "backup_count"),
            ),
        },
        **_copilot_of_b(keys),
    }
    keys.refuse(NOT_YET, "artifacts", "retention_days")
    return {key: value for key, value in parts.items() if value}


READERS: dict[str, Callable[[OldKeys], Settings]] = {
    ".orchestra.yaml": of_w,
    ".orchestrator.yaml": of_w,
    ".orchestrator/config.yaml": of_w,
    "config/agents.yaml": of_a,
    "config/orchestrator-config.yaml": of_b,
    "config/orchestrator-config.local.yaml": of_b,
}
"""By the place of the file; where two say something about the same key, the later one here wins."""


def _agent_of_a(keys: OldKeys, name: str) -> Settings:
    command = keys.take_command("agents", name, "command")
    timeout = _present(timeout_s=keys.take_seconds("agents", name, "timeout"))
    if name in PRESETS and (command is None or {*command} & _PROGRAMS[name]):
        return timeout
    if command is None:
        return {}
    return {"kind": "command", "command": command, "stdin": "prompt", **timeout}


def _steps(keys: OldKeys, workflow: str, disabled: set[str]) -> list[Json]:
    """Returns the steps of a workflow of A; A leaves out steps of agents that are disabled, and so do we."""
    if not re.fullmatch(NAME, workflow):
        return []
    steps: list[Json] = []
    for index in range(keys.length("workflows", workflow)):
        place = ("workflows", workflow, index)
        agent = keys.take_text(*place, "agent")
        if agent is None or agent in disabled or not re.fullmatch(NAME, agent):
            keys.refuse("names no agent that is enabled", *place)
            continue
        task = (keys.take_text(*place, "task") or "implement")[:100]
        steps.append(
            {"agent": agent, "task": task, **_present(description=keys.take_text(*place, "description"))}
        )
    return steps


def _thresholds_of_b(keys: OldKeys) -> Settings:
    """Returns the thresholds; B stops a phase at any of them, medium ones too."""
    found: Settings = {}
    for place in (("verification", "findings_thresholds"), ("findings_thresholds",)):
        found |= _present(
            max_major=keys.take_count(1_000_000, *place, "major"),
            max_medium=keys.take_count(1_000_000, *place, "medium"),
            max_minor=keys.take_count(1_000_000, *place, "minor"),
        )
    return {**found, "on_medium": "fail"} if "max_medium" in found else found


def _verify_of_b(keys: OldKeys) -> Settings:
    found: Settings = {}
    for category, flag in (
        ("build", "build_enabled"),
        ("test", "test_enabled"),
        ("lint", "lint_enabled"),
        ("security", "security_scan_enabled"),
    ):
        enabled = keys.take_flag("verification", flag)
        command = keys.take_command("verification", f"{category}_command")
        if command is not None and enabled is not False:
            found[category] = [{"run": command}]
    custom = _custom_of_b(keys)
    return {**found, "custom": custom} if custom else found


def _custom_of_b(keys: OldKeys) -> list[Json]:
    custom: list[Json] = []
    for index in range(keys.length("verification", "custom_tests")):
        place = ("verification", "custom_tests", index)
        if keys.take_flag(*place, "enabled") is False:
            keys.refuse("is disabled", *place)
            continue
        command = keys.take_command(*place, "command")
        if command is not None:
            keys.take(*place, "name")
            custom.append({"run": command})
    return custom


def _copilot_of_b(keys: OldKeys) -> Settings:
    if keys.take_flag("copilot", "enabled") is not True:
        return {}
    timeout = _present(timeout_s=keys.take_seconds("copilot", "timeout"))
    steps: Json = [{"agent": "copilot", "task": "implement"}]
    return {"workflows": {"default": steps}, **({"agents": {"copilot": timeout}} if timeout else {})}


def _level(keys: OldKeys, *path: str) -> Settings:
    level = _LEVELS.get((keys.take_text(*path) or "").lower())
    return {"level": level} if level else {}


def _present(**values: Json) -> Settings:
    return {name: value for name, value in values.items() if value is not None}
