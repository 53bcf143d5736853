"""The page about machines that do not last, its snippets, and the action, run as far as they can be here."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.conftest import GitCall
from tests.test_docs import BIN, ROOT, environment_of_tests, examples, run_example, sample

__all__ = ["sample"]

PAGE = ROOT / "docs" / "web.md"
ACTION = ROOT / "action.yml"
TEXT = {"type": "string", "minLength": 1}
NAME = "^[a-z_][a-z0-9_-]*$"
ACTION_SCHEMA: dict[str, Any] = {  # docs.github.com: metadata syntax for GitHub Actions, composite actions
    "type": "object",
    "required": ["name", "description", "runs"],
    "additionalProperties": False,
    "properties": {
        "name": TEXT,
        "author": TEXT,
        "description": TEXT,
        "branding": {
            "type": "object",
            "required": ["icon", "color"],
            "properties": {
                "icon": TEXT,
                "color": {"enum": ["white", "black", "yellow", "blue", "green", "orange", "red", "purple"]},
            },
            "additionalProperties": False,
        },
        "inputs": {
            "type": "object",
            "propertyNames": {"pattern": NAME},
            "additionalProperties": {
                "type": "object",
                "required": ["description"],
                "properties": {
                    "description": TEXT,
                    "required": {"type": "boolean"},
                    "default": {"type": "string"},
                },
                "additionalProperties": False,
            },
        },
        "outputs": {
            "type": "object",
            "propertyNames": {"pattern": NAME},
            "additionalProperties": {
                "type": "object",
                "required": ["description", "value"],
                "properties": {"description": TEXT, "value": TEXT},
                "additionalProperties": False,
            },
        },
        "runs": {
            "type": "object",
            "required": ["using", "steps"],
            "properties": {
                "using": {"const": "composite"},
                "steps": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["run", "shell"],
                        "properties": {
                            "name": TEXT,
                            "id": {"type": "string", "pattern": NAME},
                            "if": TEXT,
                            "shell": {"const": "bash"},
                            "run": TEXT,
                            "env": {
                                "type": "object",
                                "propertyNames": {"pattern": "^[A-Z_]+$"},
                                "additionalProperties": {"type": "string"},
                            },
                        },
                        "additionalProperties": False,
                    },
                },
            },
            "additionalProperties": False,
        },
    },
}
PIPX = """#!/bin/sh
test "$1" = install || exit 9
echo "$@" >> "$PIPX_SAID"
"""


def blocks(kind: str) -> list[str]:
    """Returns the code blocks of one kind on the page."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def action() -> dict[str, Any]:
    found = yaml.safe_load(ACTION.read_text())
    assert isinstance(found, dict)
    return found


def problems(document: dict[str, Any]) -> list[str]:
    """Returns what is wrong with the metadata of an action."""
    said = [error.message for error in jsonschema.Draft202012Validator(ACTION_SCHEMA).iter_errors(document)]
    if said:
        return said
    steps = document["runs"]["steps"]
    known = {f"steps.{step['id']}.outputs" for step in steps if "id" in step}
    for name, output in document.get("outputs", {}).items():
        expression = re.fullmatch(r"\$\{\{ (steps\.[a-z-]+\.outputs)\.([a-z-]+) \}\}", output["value"])
        if expression is None or expression[1] not in known or expression[2] != name:
            said.append(f"output {name} is not one of a step's")
    for step in steps:
        if "${{" in step["run"]:
            said.append(f"step {step.get('name')} puts an expression into a script")
        for name, value in step.get("env", {}).items():
            used = re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value)
            if used is None or used[1] not in document["inputs"]:
                said.append(f"variable {name} is no input")
            elif name != "INPUT_" + used[1].upper().replace("-", "_"):
                said.append(f"variable {name} is not named like its input")
    passed = {name for step in steps for name in step.get("env", {})}
    given = {"INPUT_" + name.upper().replace("-", "_") for name in document.get("inputs", {})}
    return [*said, *(f"{name} reaches no step" for name in sorted(given - passed))]


def test_every_command_of_the_page_does_what_the_page_shows(sample: Path) -> None:
    machine = {"CODESPACES": "true", "CODESPACE_NAME": "fluffy-train"}
    found = list(examples(PAGE))

    for example in found:
        run_example(example, sample, {**environment_of_tests(), **machine})

    assert len(found) > 5


def test_the_action_is_what_github_takes() -> None:
    assert problems(action()) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("runs", "using"), "node20"),
        (("runs", "steps", 0, "run"), "echo ${{ inputs.task }}"),
        (("runs", "steps", 1, "env", "INPUT_TASK"), "${{ inputs.tsk }}"),
        (("runs", "steps", 1, "env", "INPUT_TASK"), "${{ inputs.agent }}"),
        (("runs", "steps", 1, "id"), "worked"),
        (("outputs", "branch", "value"), "${{ steps.work.outputs.head }}"),
        (("inputs", "task", "default"), 3),
        (("name",), ""),
        (("extra",), "x"),
    ],
)
def test_what_is_wrong_with_an_action_is_noticed(place: tuple[Any, ...], value: object) -> None:
    document: Any = action()
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value

    assert problems(document)


@pytest.mark.parametrize("step", action()["runs"]["steps"], ids=lambda step: str(step["name"]))
def test_the_scripts_of_the_action_are_sound(step: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(step["run"])

    assert subprocess.run(["bash", "-n", script]).returncode == 0
    assert not re.search(r"(?<![\"\w])\$\{?[A-Z_]+", step["run"]), "every variable stands in quotes"


def runner(tmp_path: Path, checkout: Path, **inputs: str) -> dict[str, str]:
    """Returns the variables of a runner whose installation is this environment's."""
    place = tmp_path / "runner/orchestrator"
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(BIN.parent)
    defaults = {name: str(facts.get("default", "")) for name, facts in action()["inputs"].items()}
    given = {**defaults, "directory": str(checkout), **{n.replace("_", "-"): v for n, v in inputs.items()}}
    return {
        **environment_of_tests(),
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": "1",
        "GITHUB_ACTION_PATH": str(ROOT),
        "RUNNER_TEMP": str(tmp_path / "runner"),
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        **{"INPUT_" + name.upper().replace("-", "_"): value for name, value in given.items()},
    }


def work(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the step of the action that works, as a runner does."""
    script = action()["runs"]["steps"][1]["run"]
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def outputs(tmp_path: Path) -> dict[str, str]:
    lines = (tmp_path / "outputs").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_action_verifies_and_tells_summary_and_findings(sample: Path, tmp_path: Path) -> None:
    done = work(runner(tmp_path, sample, trust="true"))

    assert done.returncode == 0, done.stderr
    found = outputs(tmp_path)
    assert (found["status"], found["exit-status"]) == ("passed", "0")
    assert "::warning file=shapes.py,line=3::" in done.stdout
    assert "## Checks passed" in (tmp_path / "summary.md").read_text()
    assert set(found) <= set(action()["outputs"])


def test_the_action_runs_and_tells_the_branch(sample: Path, tmp_path: Path, git: GitCall) -> None:
    done = work(runner(tmp_path, sample, mode="run", task="tidy", command="ruff check --fix .", trust="true"))

    assert done.returncode == 0, done.stderr
    found = outputs(tmp_path)
    assert found["status"] == "completed"
    assert found["outcome"] == "verified"
    assert found["branch"] == f"orchestrator/{found['run-id']}"
    assert git(sample, "rev-parse", found["branch"]) == found["head"]
    assert set(found) == set(action()["outputs"])
    assert "tidy" in (tmp_path / "summary.md").read_text()


def test_an_annotation_is_read_back_as_it_was() -> None:
    finding = {"location": "a,b:c.py:3", "severity": "major", "message": "50%: no\ntwo"}
    words = "import json, sys; sys.path.insert(0, 'tools'); import action; "
    words += "print(action.annotation(json.loads(sys.argv[1])))"

    done = subprocess.run(
        [BIN / "python", "-c", words, json.dumps(finding)], cwd=ROOT, capture_output=True, text=True
    )

    assert done.stdout == "::error file=a%2Cb%3Ac.py,line=3::50%25: no%0Atwo\n"


def test_a_failed_run_ends_the_step_with_its_status(sample: Path, tmp_path: Path) -> None:
    done = work(runner(tmp_path, sample, mode="run", task="x", command="false", trust="true"))

    assert done.returncode == 3
    assert outputs(tmp_path)["exit-status"] == "3"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"mode": "runs"}, "::error::The input `mode`"),
        ({"mode": "run"}, "::error::The input `task`"),
        ({"mode": "run", "task": "x", "command": "true"}, ""),
    ],
)
def test_what_cannot_be_done_is_said(sample: Path, tmp_path: Path, inputs: dict[str, str], said: str) -> None:
    done = work(runner(tmp_path, sample, **inputs))

    assert done.returncode == 2
    assert said in done.stdout
    assert said or "error[not-trusted]" in done.stderr


def test_no_input_is_a_word_of_a_shell(sample: Path, tmp_path: Path) -> None:
    hostile = f'$(touch {tmp_path}/pwned)"; touch {tmp_path}/pwned; `touch {tmp_path}/pwned`'

    work(runner(tmp_path, sample, mode="run", task=hostile, command="true", agent="", trust="true"))
    work(runner(tmp_path, sample, mode=hostile))

    assert not (tmp_path / "pwned").exists()


def test_an_input_that_looks_like_a_flag_is_a_task(sample: Path, tmp_path: Path) -> None:
    done = work(runner(tmp_path, sample, mode="run", task="--help", command="true", trust="true"))

    assert done.returncode == 0, done.stderr
    assert outputs(tmp_path)["status"] == "completed"


@pytest.fixture
def pipx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a `pipx` on PATH that notes what it is asked for, beside the command of this environment."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "pipx").write_text(PIPX)
    (place / "pipx").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(place), str(BIN), os.environ["PATH"])))
    monkeypatch.setenv("PIPX_SAID", str(tmp_path / "said"))
    return tmp_path / "said"


def script(beginning: str) -> str:
    return next(text for text in blocks("sh") if beginning in text)


def test_the_dev_container_sets_itself_up(sample: Path, pipx: Path) -> None:
    container = next(json.loads(text) for text in blocks("json") if '"image"' in text)
    place = sample / ".devcontainer"
    place.mkdir()
    (place / "set-up.sh").write_text(next(text for text in blocks("sh") if "CLAUDE" not in text))

    for command in (container["onCreateCommand"], container["postStartCommand"]):
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=sample,
            capture_output=True,
            text=True,
            env={**os.environ, **container["containerEnv"], "REMOTE_CONTAINERS": "true"},
        )
        assert done.returncode == 0, done.stderr

    assert pipx.read_text().startswith("install --quiet ")
    assert (sample / ".orchestrator/layout.json").is_file()
    shown = subprocess.run(
        [BIN / "orchestrator", "config", "show", "--json"],
        cwd=sample,
        capture_output=True,
        text=True,
        env={**os.environ, **container["containerEnv"]},
        check=True,
    )
    values = {row["key"]: row["value"] for row in json.loads(shown.stdout)["values"]}
    assert values["session.max_bytes"] == 1 << 30


@pytest.mark.parametrize("remote", ["true", ""])
def test_the_session_hook_sets_up_on_the_web_alone(
    sample: Path, pipx: Path, tmp_path: Path, remote: str
) -> None:
    settings = next(json.loads(text) for text in blocks("json") if "SessionStart" in text)
    (hook,) = settings["hooks"]["SessionStart"][0]["hooks"]
    place = sample / ".claude"
    place.mkdir()
    (place / "session-start.sh").write_text(script("CLAUDE_CODE_REMOTE"))

    done = subprocess.run(
        ["sh", "-c", hook["command"]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "CLAUDE_CODE_REMOTE": remote,
            "CLAUDE_CODE_REMOTE_SESSION_ID": "cse_1",
            "CLAUDE_PROJECT_DIR": str(sample),
            "CLAUDE_ENV_FILE": str(tmp_path / "env"),
        },
    )

    assert done.returncode == 0, done.stderr
    assert (sample / ".orchestrator").exists() is bool(remote)
    assert (tmp_path / "env").exists() is bool(remote)
    assert ("Claude Code on the web" in done.stderr) is bool(remote)


def test_the_workflow_on_the_page_uses_what_the_action_has() -> None:
    (text,) = blocks("yaml")
    steps = yaml.safe_load(text)["jobs"]["verify"]["steps"]
    ours = next(step for step in steps if "orchestrator" in step.get("uses", ""))

    assert set(ours["with"]) <= set(action()["inputs"])
    for name in re.findall(r"outputs\.([a-z-]+)", text):
        assert name in action()["outputs"]


def test_the_page_names_every_variable_and_every_key() -> None:
    from orchestrator.config.schema import Web
    from orchestrator.sessions.environment import _KINDS

    text = PAGE.read_text()

    for _, _, marks, _, _ in _KINDS:
        assert all(f"`{mark}`" in text for mark in marks)
    assert all(f"`web.{key}`" in text for key in Web.model_fields)
