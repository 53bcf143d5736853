"""Whole runs of the command with real agents."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.process import leftovers
from tests.real.agents import KEY, REAL, RealAgent, Via
from tests.real.places import SCENES
from tests.scripted_model.server import ScriptedModel, Talk
from tests.scripted_model.steps import Answer, Script, Shell

pytestmark = pytest.mark.agents

CAST: Mapping[str, Via] = {"codex": "headless", "copilot": "headless", "gemini": "acp", "claude": "acp"}
THOROUGH = {
    "max_iterations": 5,
    "min_suggestions_threshold": 3,
    "steps": [
        {"agent": "codex", "task": "implement", "description": "Create initial implementation"},
        {
            "agent": "copilot",
            "task": "suggestions",
            "description": "Get alternative approaches",
            "optional": True,
        },
        {"agent": "gemini", "task": "review", "description": "Comprehensive code review"},
        {"agent": "claude", "task": "refine", "description": "Implement feedback"},
        {"agent": "gemini", "task": "review", "description": "Verify improvements"},
    ],
}
_SUGGESTION = {
    "severity": "minor",
    "category": "custom",
    "message": "Greet by name.",
    "location": "hello.py:1",
}
_WAIT_S = 120.0


@dataclass(slots=True)
class Run:
    """A repository, and the command in it; `name` is that of the test."""

    name: str
    place: Path
    environment: Mapping[str, str]

    @property
    def repository(self) -> Path:
        return self.place / "repository"

    @property
    def marker(self) -> str:
        """Returns how the markers of all attempts in this repository begin."""
        known = (self.repository / ".git").stat()
        return f"{known.st_dev:x}-{known.st_ino:x}/"

    def left(self) -> list[leftovers.Leftover]:
        """Returns the processes of all attempts that still run."""
        return leftovers.find(self.marker)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts the command; what it prints goes into a file."""
        with (self.place / "printed").open("a") as printed:
            return subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *words],
                cwd=self.repository,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def do(self, *words: str) -> str:
        """Returns what the command printed, which must end well."""
        before = len(self.printed())
        assert self.start(*words).wait(_WAIT_S) == 0, self.printed()[-4000:]
        return self.printed()[before:]

    def printed(self) -> str:
        file = self.place / "printed"
        return file.read_text() if file.exists() else ""

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words],
            cwd=self.repository,
            env=dict(self.environment),
            check=True,
            capture_output=True,
            text=True,
        ).stdout


def cast(model: ScriptedModel, run: Run, asleep: Path) -> Mapping[str, Talk]:
    """Makes each agent play its part; gemini's first review sleeps until it is killed."""
    once = f"test -e '{asleep}' || {{ touch '{asleep}'; sleep 600; }}"
    scripts: Mapping[str, Script] = {
        "codex": (Shell("echo 'print(1)' > hello.py"), Answer("I wrote hello.py.")),
        "copilot": (Answer(_findings(_SUGGESTION)),),
        "gemini": (Shell(once), Answer(_findings())),
        "claude": (Shell("echo 'print(2)' > better.py"), Answer("I wrote better.py.")),
    }
    return {name: model.add(f"{run.name}-{name}", script) for name, script in scripts.items()}


def _findings(*found: Mapping[str, str]) -> str:
    return f"```json\n{json.dumps({'findings': found})}\n```"


@pytest.fixture
def agents() -> Mapping[str, RealAgent]:
    """Returns the four agents of the workflow, or skips where one is not there."""
    chosen = {agent.name: agent for agent in REAL if agent.name in CAST}
    for agent in chosen.values():
        if reason := agent.missing(CAST[agent.name]):
            pytest.skip(reason)
    return chosen


@pytest.fixture
def run(
    agents: Mapping[str, RealAgent], model: ScriptedModel, request: pytest.FixtureRequest
) -> Iterator[Run]:
    """Returns a repository, initialised, whose configuration names the workflow and the agents."""
    test = re.sub(r"\W+", "-", request.node.name).strip("-")
    place = SCENES / test
    shutil.rmtree(place, ignore_errors=True)
    (place / "home").mkdir(parents=True)
    (place / "repository").mkdir()
    urls = {name: model.url(f"{test}-{name}") for name in agents}
    made = Run(test, place, _environment(place, agents, urls))
    made.git("init", "-q", "-b", "main")
    made.git("commit", "-q", "--allow-empty", "-m", "start")
    made.do("init")
    config = {"version": 1, "workflows": {"thorough": THOROUGH}, "agents": _configured(agents, urls)}
    (made.repository / ".orchestrator" / "workflow.yaml").write_text(json.dumps(config, indent=2))
    yield made
    leftovers.end_all(made.marker)


def _environment(place: Path, agents: Mapping[str, RealAgent], urls: Mapping[str, str]) -> dict[str, str]:
    paths = [agent.path(CAST[name]) for name, agent in agents.items()]
    variables = {
        "PATH": os.pathsep.join(dict.fromkeys(part for path in paths for part in path.split(os.pathsep))),
        "HOME": str(place / "home"),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A User",
        "GIT_AUTHOR_EMAIL": "user@example.invalid",
        "GIT_COMMITTER_NAME": "A User",
        "GIT_COMMITTER_EMAIL": "user@example.invalid",
    }
    for name, agent in agents.items():
        variables |= {**agent.point(place / "settings" / name, urls[name]), agent.key: KEY}
    return variables


def _configured(agents: Mapping[str, RealAgent], urls: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {
            "kind": name,
            "via": CAST[name],
            "state": "contained",
            "args": agent.args(CAST[name], urls[name]),
            "env": dict(agent.settings(CAST[name], urls[name])),
            **({"model": agent.model_by(CAST[name])} if agent.model_by(CAST[name]) else {}),
        }
        for name, agent in agents.items()
    }


def test_thorough(run: Run, model: ScriptedModel, record_property: Callable[[str, object], None]) -> None:
    asleep = run.place / "asleep"
    talks = cast(model, run, asleep)

    owner = run.start("run", "say hello", "--workflow", "thorough", "--run-id", "one", "--trust")
    until(asleep.exists, run)
    assert run.left()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    until(lambda: not run.left(), run)
    run.do("resume", "one", "--trust")

    [status] = json.loads(run.do("status", "--json"))["runs"]
    record_property("ending", status["status"])
    assert status["status"] == "completed"
    assert [run.do("log", "one").count(f"step {number} of 5") for number in range(1, 6)] == [1, 1, 2, 1, 1]
    assert [len(talks[name].main) for name in ("codex", "copilot", "claude")] == [2, 1, 2]
    assert run.git("show", "orchestrator/one:hello.py") == "print(1)\n"
    assert run.git("show", "orchestrator/one:better.py") == "print(2)\n"
    assert "Greet by name." in run.do("findings", "one")
    assert run.left() == []
    assert sorted(run.git("ls-tree", "--name-only", "orchestrator/one").split()) == ["better.py", "hello.py"]


@pytest.mark.parametrize("name", ["codex", "gemini"])
def test_budget(
    name: str, run: Run, model: ScriptedModel, record_property: Callable[[str, object], None]
) -> None:
    model.add(f"{run.name}-{name}", tuple(Shell(f"echo {number} >> kept.txt") for number in range(500)))

    status = run.start(
        "run", "go on", "--agent", name, "--max-turns", "3", "--run-id", "one", "--trust"
    ).wait(_WAIT_S)

    record_property("ending", f"exit status {status}")
    assert status == 6, run.printed()[-4000:]
    assert run.left() == []
    *_, kept = json.loads(run.do("checkpoints", "one", "--json"))["checkpoints"]
    assert run.git("show", f"{kept['commit']}:tree/kept.txt").splitlines()[0] == "0"


def until(true: Callable[[], bool], run: Run) -> None:
    """Waits until something holds."""
    limit = time.monotonic() + _WAIT_S
    while not true():
        assert time.monotonic() < limit, run.printed()[-4000:]
        time.sleep(0.1)
