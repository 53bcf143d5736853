"""A repository, the command as its users start it, and what may be left of it afterwards."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orchestrator
from tests.command import called

CODE = "import sys; from orchestrator.cli.front import main; sys.exit(main())"
PACKAGE = str(Path(orchestrator.__file__).parents[1])
WORKFLOW = 'version: 1\nverify:\n  test: [{run: ["sh", "-c", "test -f last.txt"]}]\n'
AGENT = (
    "i=0; while [ $i -lt 5 ]; do echo line $i > f$i.txt; mkdir -p d; cp f$i.txt d/g$i.txt; sleep 0.1; "
    "i=$((i+1)); done; git add -A; echo end > last.txt; ln -sf f0.txt link"
)


@dataclass(frozen=True)
class Scene:
    """A repository with a first commit, initialised and trusted, at `place`."""

    place: Path
    git: Callable[..., str]

    def words(self, *arguments: str) -> list[str]:
        """Returns the command line that starts the command."""
        return [sys.executable, "-c", CODE, *arguments]

    def environment(self) -> dict[str, str]:
        """Returns the environment of the command: this package, no byte code written, no line counted."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        return {**kept, "PYTHONPATH": PACKAGE, "PYTHONDONTWRITEBYTECODE": "1"}

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end."""
        return called(self.place, *arguments)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts the command in a session of its own."""
        return subprocess.Popen(
            self.words(*arguments),
            cwd=self.place,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def initialise(self) -> None:
        """Writes the checks and calls `init`."""
        (self.place / ".orchestrator").mkdir(mode=0o700)
        (self.place / ".orchestrator" / "workflow.yaml").write_text(WORKFLOW)
        done = self.call("init", "--trust")
        assert done.returncode == 0, done.stderr

    def ends(self, run_id: str) -> dict[str, str]:
        """Returns what a run leads to: the tree of its result, of its last checkpoint, and all ref names."""
        return {
            "result": self.git(self.place, "rev-parse", f"orchestrator/{run_id}^{{tree}}"),
            "checkpoint": self.git(self.place, "rev-parse", f"refs/orchestrator/runs/{run_id}:tree"),
            "refs": self.git(self.place, "for-each-ref", "--format=%(refname)"),
        }

    def of_the_user(self) -> dict[str, str]:
        """Returns hashes of every file that is the user's: HEAD, index, configuration, hooks, refs, files."""
        return {
            str(path.relative_to(self.place)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.place.rglob("*"))
            if path.is_file()
            and not path.is_symlink()
            and not _OURS.search(str(path.relative_to(self.place)))
        }

    def litter(self) -> list[str]:
        """Returns temporary files, locks of git, and trees that nobody should have left."""
        found = [
            str(path.relative_to(self.place))
            for path in self.place.rglob("*")
            if path.name.startswith(".tmp-orchestrator-")
            or (path.suffix == ".lock" and path.parent.name != "locks")
            or path.name == "orchestrator-deletes-refs"
        ]
        trees = self.place / ".orchestrator" / "worktrees"
        left = [path for path in trees.iterdir() if path.name != ".checks" or any(path.iterdir())]
        return found + [str(path) for path in (*left, *(trees.parent / "tmp").iterdir())]

    def check_whole(self) -> None:
        """Fails when git finds a damaged object or something of ours was left behind."""
        assert self.git(self.place, "fsck", "--strict", "--no-dangling", "--no-progress") == ""
        assert self.litter() == []
        assert processes(self.place) == []


_OURS = re.compile(
    r"^(?:\.orchestrator|\.git/objects|\.git/(?:logs/)?refs/orchestrator|\.git/(?:logs/)?refs/heads/orchestrator)/"
)


def processes(root: Path) -> list[int]:
    """Returns the living processes that work below `root` or carry it in their environment (Linux only)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            marked = os.fsencode(root) in (entry / "environ").read_bytes()
            inside = os.readlink(entry / "cwd").startswith(str(root))
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if (marked or inside) and state != "Z":
            found.append(int(entry.name))
    return found


def kill_all(root: Path) -> None:
    """Kills every process below `root` until none is left: owner, supervisor, agent, git."""
    while left := processes(root):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def finish_all(started: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Waits for processes and returns exit status and standard error of each."""
    return [(process.wait(), error) for process in started for error in [process.communicate()[1]]]
