"""Finds out how a project builds, tests and lints itself, for `init` to write down."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.errors import Failed
from orchestrator.model.finding import Category
from orchestrator.model.json import Json, JsonObject
from orchestrator.process.spawn import minimal_environment, run_captured
from orchestrator.verify.output import plain_text, read_regular

_MAX_FILE_BYTES = 1 << 20
_MAX_ENTRIES = 20_000
_PROBE_TIMEOUT_S = 10.0
_SKIPPED = frozenset({"node_modules", "venv", "env", "build", "dist", "target", "vendor", "site-packages"})
_TEST_FILE = re.compile(r"test_.*\.py|.*_test\.py")
_NPM_PLACEHOLDER = re.compile(r"no test specified")
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_LOCKS = (("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"))

FindProgram = Callable[[str], str | None]
HasModule = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Detected:
    """A command a project seems to be checked with, and why.

    `available` is False when its program is not installed: as a check it would only ever be broken.
    """

    category: Category
    argv: tuple[str, ...]
    reason: str
    report: Literal["junit"] | None = None
    parse: Literal["ruff"] | None = None
    available: bool = True

    def entry(self) -> Json:
        """Returns what to write into `verify:` of workflow.yaml."""
        if self.report is None and self.parse is None:
            return list(self.argv)
        entry: dict[str, Json] = {"run": list(self.argv)}
        if self.report is not None:
            entry["report"] = self.report
        if self.parse is not None:
            entry["parse"] = self.parse
        return entry


@dataclass(frozen=True, slots=True)
class DetectedSetup:
    """A command that installs what the checks need inside the tree, and why; for `worktrees.setup`."""

    argv: tuple[str, ...]
    reason: str
    available: bool = True


def has_module(python: str, module: str) -> bool:
    """Returns whether an interpreter on PATH can import a module; asked outside of any repository."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    words = [shutil.which(python) or python, "-c", code]
    try:
        done = run_captured(
            words, cwd=os.sep, environment=minimal_environment({}), timeout_s=_PROBE_TIMEOUT_S
        )
    except Failed as failure:
        if isinstance(failure.__cause__, OSError) and failure.__cause__.filename != words[0]:
            raise  # this machine cannot start anything now, which says nothing about the module
        return False
    return done.status == 0


def detect(
    root: Path, *, find_program: FindProgram = shutil.which, has_module: HasModule = has_module
) -> tuple[Detected, ...]:
    """Returns the commands for the project in `root`, at most one for each category but lint.

    A language's own tool is preferred to a target of a makefile. Reads at most 20,000 names and a few small
    files; runs nothing of the project, follows no link; what cannot be read is taken as absent.
    """
    found = [*_python(root, find_program, has_module), *_node(root, find_program)]
    covered = {each.category for each in found}
    found += [each for each in _make(root, find_program) if each.category not in covered]
    return tuple(found)


def detect_setup(root: Path, *, find_program: FindProgram = shutil.which) -> tuple[DetectedSetup, ...]:
    """Returns the commands that make a fresh tree of this project ready, where they stay inside the tree."""
    if not _package(root):
        return ()
    if (root / "package-lock.json").is_file():
        return (DetectedSetup(("npm", "ci"), "package-lock.json", find_program("npm") is not None),)
    for lock, tool in _LOCKS:
        if (root / lock).is_file():
            argv = (tool, "install", "--frozen-lockfile")
            return (DetectedSetup(argv, lock, find_program(tool) is not None),)
    return ()


def _python(root: Path, find_program: FindProgram, has_module: HasModule) -> Iterator[Detected]:
    project = _toml(root / "pyproject.toml")
    python = next((name for name in ("python", "python3") if find_program(name)), None)
    test_file = next((name for name in _names(root) if _TEST_FILE.fullmatch(name.rpartition("/")[2])), None)
    if test_file is not None:
        argv = (python or "python3", "-m", "pytest", "-q", "--junitxml={report}")
        available = python is not None and has_module(python, "pytest")
        yield Detected(Category.TEST, argv, f"test file {test_file}", "junit", available=available)
    configured = _where(root, project, "ruff", ("ruff.toml", ".ruff.toml"))
    if configured is not None:
        argv = ("ruff", "check", "--output-format", "json", ".")
        available = find_program("ruff") is not None
        yield Detected(Category.LINT, argv, configured, parse="ruff", available=available)
    configured = _where(root, project, "mypy", ("mypy.ini", ".mypy.ini")) or _mypy_in_setup_cfg(root)
    if configured is not None:
        words: tuple[str, ...] = ("mypy",) if _mypy_knows_its_files(root, project) else ("mypy", ".")
        yield Detected(Category.LINT, words, configured, available=find_program("mypy") is not None)


def _where(root: Path, project: JsonObject, tool: str, files: tuple[str, ...]) -> str | None:
    for name in files:
        if (root / name).is_file():
            return name
    tools = project.get("tool")
    return f"[tool.{tool}] in pyproject.toml" if isinstance(tools, Mapping) and tool in tools else None


def _mypy_in_setup_cfg(root: Path) -> str | None:
    return "[mypy] in setup.cfg" if "mypy" in _ini(root / "setup.cfg") else None


def _mypy_knows_its_files(root: Path, project: JsonObject) -> bool:
    tools = project.get("tool")
    section = tools.get("mypy") if isinstance(tools, Mapping) else None
    told: set[str] = set(section) if isinstance(section, Mapping) else set()
    for name in ("mypy.ini", ".mypy.ini", "setup.cfg"):
        parser = _ini(root / name)
        told |= set(parser["mypy"]) if "mypy" in parser else set()
    return bool(told & {"files", "packages", "modules"})


def _node(root: Path, find_program: FindProgram) -> Iterator[Detected]:
    scripts = _package(root).get("scripts")
    if not isinstance(scripts, Mapping):
        return
    tool = next((tool for lock, tool in _LOCKS if (root / lock).is_file()), "npm")
    for script, category in (("build", Category.BUILD), ("test", Category.TEST), ("lint", Category.LINT)):
        command = scripts.get(script)
        if isinstance(command, str) and command.strip() and not _NPM_PLACEHOLDER.search(command):
            available = find_program(tool) is not None
            yield Detected(
                category, (tool, "run", script), f"script {script} in package.json", available=available
            )


def _make(root: Path, find_program: FindProgram) -> Iterator[Detected]:
    makefile = next((name for name in _MAKEFILES if (root / name).is_file()), None)
    if makefile is None:
        return
    targets = set(re.findall(r"^([A-Za-z0-9_-]+)[ \t]*::?(?![:=])", _text(root / makefile), re.MULTILINE))
    tests = "test" if "test" in targets else "check"
    for target, category in (("build", Category.BUILD), (tests, Category.TEST), ("lint", Category.LINT)):
        if target in targets:
            available = find_program("make") is not None
            yield Detected(category, ("make", target), f"target {target} in {makefile}", available=available)


def _package(root: Path) -> JsonObject:
    try:
        value = json.loads(_text(root / "package.json") or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _toml(path: Path) -> JsonObject:
    try:
        return tomllib.loads(_text(path))
    except (ValueError, RecursionError):
        return {}


def _ini(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(_text(path))
    except configparser.Error:
        return configparser.RawConfigParser()
    return parser


def _text(path: Path) -> str:
    content = read_regular(path, limit_bytes=_MAX_FILE_BYTES)
    return plain_text(content.data) if content is not None and not content.cut else ""


def _is_repository(directory: str, name: str) -> bool:
    """Returns whether a directory is a repository of its own, as a submodule is: our trees lack its files."""
    return os.path.lexists(os.path.join(directory, name, ".git"))


def _names(root: Path) -> Iterator[str]:
    seen = 0
    for directory, directories, files in os.walk(root):
        directories[:] = sorted(
            name
            for name in directories
            if not name.startswith(".") and name not in _SKIPPED and not _is_repository(directory, name)
        )
        for name in sorted(files):
            seen += 1
            if seen > _MAX_ENTRIES:
                return
            yield os.path.relpath(os.path.join(directory, name), root).replace(os.sep, "/")
