"""Machines that share nothing but a bare remote: clones, the command as its users start it, and kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orchestrator
from tests.command import called

CODE = "import sys; from orchestrator.cli.front import main; sys.exit(main())"
PACKAGE = str(Path(orchestrator.__file__).parents[1])
PATIENCE_S = 60.0
AGENT = '''"""Works in two halves; waits between them while somebody holds it."""
import pathlib, sys, time

control, here = pathlib.Path(sys.argv[1]), pathlib.Path(".")
number = len(list(here.glob("done-*.txt")))
half = here / f"half-{number}.txt"
with open(control / "calls", "a") as calls:
    calls.write(f"{number} {'again' if half.exists() else 'new'}\\n")
half.write_text("half\\n")
print("half way", flush=True)
while (control / f"hold-{number}").exists():
    time.sleep(0.02)
(here / f"done-{number}.txt").write_text(half.read_text() * 2)
print("done", flush=True)
'''
WORKFLOW = """\
version: 1
session: {persist_every_s: 0.2}
verify:
  test: [{run: ["sh", "-c", "ls done-*.txt"]}]
"""
REFUSES_REFS = """#!/bin/sh
while read old new name; do
  case $name in refs/heads/*) ;; *) echo "only branches here" >&2; exit 1 ;; esac
done
"""
REFUSES_ALL = '#!/bin/sh\\necho "read only" >&2\\nexit 1\\n'.replace("\\n", "\n")

GitCall = Callable[..., str]


@dataclass
class Machines:
    """A bare remote, a place outside of all clones from which agents are held, and the clones."""

    root: Path
    git: GitCall
    control: Path = field(init=False)
    remote: Path = field(init=False)

    def __post_init__(self) -> None:
        self.control = self.root / "control"
        self.remote = self.root / "remote.git"
        self.control.mkdir()
        (self.control / "agent.py").write_text(AGENT)
        self._make_remote()

    def _make_remote(self) -> None:
        seed = self.root / "seed"
        seed.mkdir()
        self.git(self.root, "init", "-q", "--bare", "-b", "main", str(self.remote))
        self.git(seed, "init", "-q", "-b", "main")
        (seed / "app.py").write_text("print(1)\n")
        (seed / ".orchestrator").mkdir()
        (seed / ".orchestrator" / "workflow.yaml").write_text(WORKFLOW)
        self.git(seed, "add", "-A", "-f")
        self.git(seed, "commit", "-q", "-m", "first")
        self.git(seed, "push", "-q", str(self.remote), "main")

    def refuse(self, hook: str) -> None:
        """Gives the remote a hook that decides what it takes."""
        path = self.remote / "hooks" / "pre-receive"
        path.parent.mkdir(exist_ok=True)
        path.write_text(hook)
        path.chmod(0o755)

    def clone(self, name: str) -> Machine:
        """Returns a new machine: a fresh clone."""
        place = self.root / name
        self.git(self.root, "clone", "-q", str(self.remote), str(place))
        return Machine(self, place)

    def hold(self, number: int) -> None:
        """Makes the agent of a phase wait half way."""
        (self.control / f"hold-{number}").touch()

    def let_go(self, number: int) -> None:
        """Lets it go on."""
        (self.control / f"hold-{number}").unlink(missing_ok=True)

    def calls(self) -> list[str]:
        """Returns which phases agents were called for, and whether the half was there already."""
        path = self.control / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def plan(self, phases: int) -> str:
        """Writes a plan of phases that follow each other, and returns its path."""
        listed = [
            {
                "id": f"p{n}",
                "name": f"phase {n}",
                "description": "",
                "dependencies": [f"p{n - 1}"] if n else [],
            }
            for n in range(phases)
        ]
        path = self.root / "plan.json"
        path.write_text(json.dumps({"phases": listed}))
        return str(path)

    def run_words(self, run_id: str, phases: int = 3) -> tuple[str, ...]:
        """Returns the words that start a run."""
        command = f"{sys.executable} {self.control / 'agent.py'} {self.control}"
        return ("run", "task", "--run-id", run_id, "--command", command, "--plan", self.plan(phases))

    def saves(self) -> Mapping[str, dict[str, Any]]:
        """Returns what the newest save of each run at the remote says, by ref name."""
        listed = self.git(self.remote, "for-each-ref", "--format=%(refname)")
        kinds = ("refs/orchestrator/sessions/", "refs/heads/orchestrator/state/")
        return {
            name: json.loads(self.git(self.remote, "show", f"{name}:manifest.json"))
            for name in listed.splitlines()
            if name.startswith(kinds) and "/forks/" not in name
        }

    def saved(self, **facts: object) -> bool:
        """Returns whether a save at the remote says all of this."""
        return any(
            all(said.get(key) == value for key, value in facts.items()) for said in self.saves().values()
        )

    def saved_files(self) -> list[str]:
        """Returns the files of the newest checkpoint that was saved."""
        found = [said["checkpoint"] for said in self.saves().values() if said["checkpoint"]]
        return self.git(self.remote, "ls-tree", "--name-only", f"{found[0]}:tree").split() if found else []


@dataclass
class Machine:
    """One clone."""

    all: Machines
    place: Path

    def environment(self) -> dict[str, str]:
        """Returns the environment of the command."""
        return {**os.environ, "PYTHONPATH": PACKAGE, "PYTHONDONTWRITEBYTECODE": "1"}

    def call(self, *arguments: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end, which must be the given status."""
        done = called(self.place, *arguments)
        assert status is None or done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts the command."""
        return subprocess.Popen(
            [sys.executable, "-c", CODE, *arguments],
            cwd=self.place,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def die(self, process: subprocess.Popen[str]) -> None:
        """Kills the command and takes the whole machine away."""
        kill(process)
        shutil.rmtree(self.place)


def kill(process: subprocess.Popen[str]) -> None:
    """Ends a process as a power cut does, and waits until its agent, which dies with it, is gone."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(0.3)


def until(met: Callable[[], bool], *, process: subprocess.Popen[str] | None = None) -> None:
    """Waits until something is so; fails when the process ended before."""
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        if process is not None and process.poll() is not None:
            out, err = process.communicate()
            assert met(), f"it ended with {process.returncode}: {out}{err}"
            return
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
