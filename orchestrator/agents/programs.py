"""Finds installed programs and asks them for their version; free, offline, and never from the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping

from orchestrator.agents.text import plain_text
from orchestrator.errors import Failed
from orchestrator.model.agent import AgentHealth, Health
from orchestrator.process.spawn import run_captured

PROBE_TIMEOUT_S = 10.0
_MAX_VERSION = 200
_VERSION = re.compile(r"\d+(?:\.\d+){1,3}")
_MAX_LEVELS = 4
_MAX_PACKAGE_BYTES = 1 << 20


def find_program(name: str, environment: Mapping[str, str]) -> str | None:
    """Returns the absolute path of a program on PATH, None when there is none.

    Relative entries of PATH are passed over: they would find what a repository put there.
    """
    if os.sep in name:
        return name if os.path.isabs(name) and shutil.which(name) else None
    absolute = [
        place for place in environment.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(place)
    ]
    return shutil.which(name, path=os.pathsep.join(absolute)) if absolute else None


def ask_version(
    path: str, environment: Mapping[str, str], *, timeout_s: float = PROBE_TIMEOUT_S
) -> AgentHealth:
    """Returns what `path --version` says, run outside of any repository; never raises.

    `broken`: it ended with another status than 0, could not be started, or took longer than `timeout_s`.
    """
    try:
        done = run_captured([path, "--version"], cwd=os.sep, environment=environment, timeout_s=timeout_s)
    except Failed as error:
        return AgentHealth(Health.BROKEN, path, detail=error.message)
    said = _first_line(done.stdout) or _first_line(done.stderr)
    if done.status != 0:
        return AgentHealth(Health.BROKEN, path, detail=f"--version ended with status {done.status}: {said}")
    return AgentHealth(Health.READY, path, version=said)


def is_within(said: str, versions: str) -> bool | None:
    """Returns whether the version in what a program said is in a range (PEP 440); None when there is none."""
    from packaging.specifiers import SpecifierSet  # 10 ms that no turn has to pay

    found = _VERSION.search(said)
    return SpecifierSet(versions).contains(found[0]) if found else None


def package_version(path: str) -> str:
    """Returns name and version of the npm package that a program belongs to, empty when it is in none.

    Reads the nearest package.json above the file that the program's link leads to; starts nothing.
    """
    place = os.path.dirname(os.path.realpath(path))
    for _ in range(_MAX_LEVELS):
        try:
            with open(os.path.join(place, "package.json"), "rb") as file:
                facts = json.loads(file.read(_MAX_PACKAGE_BYTES))
            return f"{facts['name']} {facts['version']}"[:_MAX_VERSION]
        except (OSError, ValueError, LookupError, TypeError):
            place = os.path.dirname(place)
    return ""


def _first_line(output: bytes) -> str:
    lines = (line.strip() for line in plain_text(output[: 1 << 16]).splitlines())
    return next((line for line in lines if line), "")[:_MAX_VERSION]
