"""Writes the commented `workflow.yaml` with which a repository starts; only keys that work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from orchestrator.config.origin import printable
from orchestrator.model.json import Json

SCHEMA_NAME = "workflow.schema.json"
"""Name of the JSON schema beside the file, so that editors find it without a network."""

_CATEGORIES = ("build", "test", "lint", "security", "custom")


@dataclass(frozen=True, slots=True)
class DetectedCheck:
    """A check for the file: its category, what stands in the list, and why. An inactive one is a comment."""

    category: str
    entry: Json
    reason: str = ""
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class DetectedSetup:
    """A command that makes a fresh tree ready. An inactive one is a comment."""

    argv: tuple[str, ...]
    reason: str = ""
    is_active: bool = True


def render_workflow(
    agents: Sequence[str],
    checks: Sequence[DetectedCheck],
    setup: Sequence[DetectedSetup] = (),
    *,
    schema: str = SCHEMA_NAME,
) -> str:
    """Returns the text of a `workflow.yaml` that loads without a problem.

    `agents` are presets found on PATH, best first; `schema` is the address of the JSON schema, absolute or
    relative to the file.
    """
    parts = [_HEAD.format(schema=printable(schema)), _agents(agents), _workflows(agents), _worktrees(setup)]
    return "\n".join([*parts, _verify(checks), _TAIL])


_HEAD = """\
# yaml-language-server: $schema={schema}
#
# How orchestrator works in this repository. Every key is optional.
#   what a key means:              orchestrator config explain KEY
#   what applies, and who says so: orchestrator config show --origin
version: 1
"""

_TAIL = """\
# How many findings are too many. null: any number. scope: only those the base does not have (new), or all.
# thresholds: {max_major: 0, max_medium: 5, max_minor: null, on_medium: warn, scope: new}

# Further attempts at a phase whose checks fail, and when an agent is ended.
# execution: {max_retries: 2, timeout_s: 3600, idle_timeout_s: 600, retry_backoff_s: 5}

# Keys for agents are kept encrypted (orchestrator secrets --help). An agent or step gets those that it lists:
# `secrets: [NAME]`.
# secrets: {mode: local, max_age_days: null, providers: []}

# What the processes of agents and checks may use. null: no limit.
# limits: {memory_mb: null, cpu_s: null, processes: null, disk_mb: null}

# none: checkpoints only; branch: the branch orchestrator/<run>; merge: into your branch.
# git: {integrate: branch, commit_trailers: true}
"""


def _agents(agents: Sequence[str]) -> str:
    found = ", ".join(agents) if agents else "none"
    return f"""\
# Agents. claude, codex, gemini, copilot and opencode work without being listed.
# Found on this machine: {found}.
# Any command can be one; {{prompt}}, {{prompt_file}} and {{worktree}} in it are replaced.
# agents:
#   fixer: {{kind: command, command: ["ruff", "check", "--fix", "."]}}
#   claude: {{model: sonnet, timeout_s: 1800}}
"""


def _workflows(agents: Sequence[str]) -> str:
    lines = ["# The steps in which a task is worked on. Without any, the first agent found works alone."]
    if agents:
        review = agents[1] if len(agents) > 1 else agents[0]
        lines += [
            "workflows:",
            "  default:",
            f"    - {{agent: {agents[0]}, task: implement}}",
            f"    # - {{agent: {review}, task: review, optional: true}}",
            f"    # - {{agent: {agents[0]}, task: refine}}",
        ]
    else:
        lines += [
            "# workflows:",
            "#   default:",
            "#     - {agent: claude, task: implement}",
            "#     - {agent: gemini, task: review, optional: true}",
        ]
    return "\n".join(lines) + "\n"


def _worktrees(setup: Sequence[DetectedSetup]) -> str:
    lines = [
        "# The isolated trees in which agents work: commands that make a fresh one ready (setup), ignored",
        "# files to copy into it (bring), and ignored files that count as work (checkpoint_include).",
    ]
    active = any(each.is_active for each in setup)
    mark = "" if active else "# "
    lines.append(f"{mark}worktrees:")
    lines.append(f"{mark}  setup:")
    for each in setup:
        lines.append(_item(list(each.argv), each.reason, commented=not each.is_active))
    if not setup:
        lines.append('#     - ["pip", "install", "-e", "."]')
    lines += ['#   bring: [".env"]', "#   checkpoint_include: []"]
    return "\n".join(lines) + "\n"


def _verify(checks: Sequence[DetectedCheck]) -> str:
    lines = [
        "# The checks that decide whether a result is good: run on exactly what becomes the result.",
        "# report: junit reads the file {report}; parse: ruff or lines reads what the command prints.",
    ]
    if not checks:
        lines += ["# Nothing was detected: without any check a run completes as unverified.", "# verify:"]
        lines += ["#   test:", '#     - ["make", "test"]']
        return "\n".join(lines) + "\n"
    order = sorted(checks, key=lambda each: _CATEGORIES.index(each.category))
    lines.append("verify:" if any(each.is_active for each in order) else "# verify:")
    for category, group in groupby(order, key=lambda each: each.category):
        members = list(group)
        mark = "" if any(each.is_active for each in members) else "# "
        lines.append(f"{mark}  {category}:")
        lines += [_item(each.entry, each.reason, commented=not each.is_active) for each in members]
    return "\n".join(lines) + "\n"


def _item(entry: Json, reason: str, *, commented: bool) -> str:
    why = f"  # {printable(reason)}" if reason else ""
    return f"{'# ' if commented else ''}    - {_flow(entry)}{why}"


def _flow(value: Json) -> str:
    """Returns the value in YAML's flow style, on one line, every text in quotes."""
    if isinstance(value, str):
        return f'"{"".join(map(_quoted, value))}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value)


def _quoted(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable():
        return letter
    number = ord(letter)
    return f"\\U{number:08x}" if not 0xD800 <= number < 0xE000 else "?"
