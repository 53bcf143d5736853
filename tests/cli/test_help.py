from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.commands import COMMANDS
from orchestrator.cli.help_pages import PAGES
from orchestrator.cli.help_source import TARGET, source
from tests.cli.conftest import Call, process

LATER = (
    "approve",
    "serve",
    "worker",
    "mcp",
    "chat",
)
HEAVY = (
    "ahocorasick_rs",
    "typer",
    "pydantic",
    "dataclasses",
    "git",
    "pathlib",
    "rich",
    "structlog",
    "yaml",
    "subprocess",
)


def test_the_pages_are_those_of_the_commands() -> None:
    assert TARGET.read_text(encoding="utf-8") == source(), "run: python -m orchestrator.cli.help_source"


def test_every_command_has_a_page_and_commands_to_come_have_none() -> None:
    assert set(COMMANDS) <= set(PAGES)
    assert not set(LATER) & set(COMMANDS)
    assert not [name for name in LATER if f"\n  {name} " in PAGES[""]]


@pytest.mark.parametrize(
    "line",
    [
        ["--help"],
        ["run", "--help"],
        ["--help", "run"],
        ["config", "show", "-h"],
        ["-h", "config", "show"],
        [],
    ],
)
def test_help_is_printed_and_ends_with_0(call: Call, tmp_path: Path, line: list[str]) -> None:
    answer = call(*line, cwd=tmp_path)

    path = " ".join(word for word in line if not word.startswith("-"))
    assert (answer.status, answer.out, answer.err) == (0, PAGES[path], "")


def test_unusual_help_is_the_same_page(call: Call, tmp_path: Path) -> None:
    answer = call("-q", "run", "a task", "--agent", "x", "--help", cwd=tmp_path)

    assert answer.status == 0
    assert answer.out.startswith("Usage: orchestrator run ")


def test_help_of_an_unknown_command_names_the_nearest(call: Call, tmp_path: Path) -> None:
    answer = call("merg", "--help", cwd=tmp_path)

    assert (answer.status, answer.err) == (
        2,
        "error[usage]: No such command 'merg'.\nhint: Did you mean: orchestrator merge\n",
    )


def test_help_fits_80_columns() -> None:
    assert max(len(line) for page in PAGES.values() for line in page.splitlines()) <= 80


def imported(tmp_path: Path, *arguments: str) -> set[str]:
    """Returns the modules that a command line has imported when it ends."""
    code = (
        "import sys, json, io; from orchestrator.cli.front import main; main(sys.argv[1:]);"
        "open('modules', 'w').write(chr(10).join(sys.modules))"
    )
    code = code.replace("import sys, json, io", "import sys")
    subprocess.run(  # a fresh interpreter, as a user's
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
    )
    return set((tmp_path / "modules").read_text().splitlines())


@pytest.mark.parametrize("page", ["", "run", "config show"])
def test_help_of_a_command_imports_nothing_dear(home: Path, tmp_path: Path, page: str) -> None:
    found = imported(tmp_path, *page.split(), "--help")

    assert not found & {*HEAVY, "json", "sqlite3", "typing"}


def test_the_version_imports_nothing_dear(home: Path, tmp_path: Path) -> None:
    assert not imported(tmp_path, "--version") & {*HEAVY, "json", "sqlite3"}


@pytest.mark.parametrize("flags", [[], ["--json"], ["-q"]])
def test_status_imports_nothing_dear(project: Path, call: Call, flags: list[str]) -> None:
    assert call("run", "x", "--command", "true", "--run-id", "a", cwd=project).status == 0

    found = imported(project, "status", *flags)

    assert not found & set(HEAVY)
    assert "sqlite3" in found
    assert "json" not in found


@pytest.mark.parametrize("flags", [[], ["--json"], ["-v"]])
@pytest.mark.parametrize("state", ["fresh", "initialised", "with a run"])
def test_a_quick_doctor_imports_nothing_dear(
    repository: Path, call: Call, state: str, flags: list[str]
) -> None:
    if state != "fresh":
        assert call("init", "--trust", cwd=repository).status == 0
    if state == "with a run":
        assert call("run", "x", "--command", "true", "--run-id", "a", cwd=repository).status == 0

    found = imported(repository, "doctor", "--quick", *flags)

    assert not found & {*HEAVY, "typing", "json", "re", "enum", "threading", "shutil", "tempfile"}
    assert ("sqlite3" in found) == (state == "with a run")
    assert "orchestrator.doctor.surface" in found


@pytest.mark.parametrize(
    ("line", "forbidden"),
    [
        (["config", "validate"], {"git", "sqlite3", "structlog", "rich"}),
        (["config", "schema"], {"git", "sqlite3", "structlog", "rich", "yaml"}),
        (["agents"], {"git", "structlog", "rich"}),
        (["trust", "--show"], {"structlog", "rich"}),
        (["log", "a"], {"structlog", "rich"}),
        (["diff", "a"], {"structlog", "rich"}),
        (["findings", "a"], {"structlog", "rich"}),
        (["report", "a"], {"structlog", "rich"}),
        (["checkpoints", "a"], {"structlog", "rich", "sqlite3"}),
        (["ops"], {"structlog", "rich"}),
        (["interventions"], {"structlog", "rich"}),
        (["resume"], {"rich"}),
        (["secrets", "list"], {"git", "structlog", "rich", "sqlite3", "pyrage"}),
    ],
)
def test_a_command_imports_only_what_it_needs(
    project: Path, call: Call, line: list[str], forbidden: set[str]
) -> None:
    call("run", "x", "--command", "touch made", "--run-id", "a", cwd=project)

    assert not imported(project, *line) & forbidden


def test_which_of_a_stored_secret_imports_nothing_dear(project: Path) -> None:
    assert process("secrets", "set", "A_KEY", cwd=project, stdin="a-value").status == 0

    found = imported(project, "secrets", "which", "A_KEY")

    assert not found & {"typer", "pydantic", "git", "rich", "structlog", "yaml", "subprocess", "sqlite3"}
    assert "pyrage" in found


def test_version_says_which(home: Path, tmp_path: Path) -> None:
    from orchestrator import __version__

    assert process("--version", cwd=tmp_path).out == f"orchestrator {__version__}\n"
    assert process("-q", "--version", cwd=tmp_path).out == f"orchestrator {__version__}\n"


def test_json_schema_is_json(call: Call, tmp_path: Path) -> None:
    answer = call("config", "schema", cwd=tmp_path)

    assert answer.status == 0
    assert json.loads(answer.out)["title"]
