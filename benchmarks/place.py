"""A place to measure in: an empty home, a minimal environment, repositories of a chosen size."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orchestrator
from orchestrator.discovery import locate
from orchestrator.paths import OrchestratorPaths
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTrees

_PASSED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")
_FILES_A_DIRECTORY = 20
_FEW = 500
_PACKAGE = Path(orchestrator.__file__).parent


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured; the defaults are those of the goals."""

    runs: int = 10_000
    few_runs: int = 20
    large_files: int = 50_000
    tree_files: int = 4_000
    steps: int = 100
    legacy_files: int = 100_000
    carried_files: int = 20_000
    restored_files: int = 20_000
    restored_commits: int = 2_000
    commands: int = 0
    """How many of the commands are asked for their help; 0 stands for all."""
    redacted_mb: int = 32
    held_agents: int = 200
    agent_events: int = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of our own, and the environment in which everything below it runs."""

    root: Path
    environment: dict[str, str]

    def git(self, directory: Path, *arguments: str, input: bytes = b"") -> str:
        """Runs git and returns what it prints."""
        done = subprocess.run(
            ["git", *arguments], cwd=directory, env=self.environment, input=input, capture_output=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode().strip()

    def repository(self, name: str, files: int, commits: int = 1) -> Path:
        """Makes a packed repository of `files` files in nested directories, with everything checked out.

        The first of its `commits` makes all of them, each other one changes one.
        Where it is large, its index is newer than every file by more than a second, so that git need not read
        them again.
        """
        place = self.root / name
        place.mkdir()
        self.git(place, "init", "-q", "-b", "main")
        self.git(place, "fast-import", "--quiet", input=b"".join(_history(files, commits)))
        self.git(place, "repack", "-adq")
        self.git(place, "reset", "-q", "--hard", "main")
        if files > _FEW:
            settle(self, place)
        return place


def make_place(root: Path) -> Place:
    """Returns a place below `root`, with a home of its own; byte code of the package is compiled first."""
    home = root / "home"
    home.mkdir()
    config = home / ".gitconfig"
    config.write_text("[user]\n\tname = A User\n\temail = user@example.invalid\n")
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    environment.update(
        HOME=str(home), LC_ALL="C.UTF-8", GIT_CONFIG_GLOBAL=str(config), GIT_CONFIG_NOSYSTEM="1"
    )
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(_PACKAGE)], env=environment, check=True)
    return Place(root, environment)


def enter(place: Place) -> None:
    """Makes this process's environment that of the place: the rooms read it."""
    os.environ.clear()
    os.environ.update(place.environment)


def program() -> str:
    """Returns the installed console script."""
    return str(Path(sysconfig.get_path("scripts")) / "orchestrator")


def settle(place: Place, repository: Path) -> None:
    """Waits until no file is as young as the index, and lets git note that nothing changed."""
    time.sleep(1.1)
    place.git(repository, "status", "--porcelain")


@dataclass(frozen=True, slots=True)
class Rooms:
    """The parts of the product that work on one repository."""

    paths: OrchestratorPaths
    repository: Repository
    trees: IsolatedTrees
    checkpoints: Checkpoints


def rooms(directory: Path) -> Rooms:
    """Opens a repository as a run does."""
    located = locate(str(directory), dict(os.environ))
    paths = OrchestratorPaths(Path(located.home))
    repository = Repository(located, trusted=True)
    trees = IsolatedTrees(repository, paths.worktrees_dir)
    return Rooms(paths, repository, trees, Checkpoints(repository, paths, trees))


def _history(files: int, commits: int) -> Iterator[bytes]:
    for commit in range(commits):
        yield b"commit refs/heads/main\ncommitter A User <user@example.invalid> %d +0000\n" % (
            1_700_000_000 + commit
        )
        yield b"data 5\nwords\n"
        for number in range(files) if commit == 0 else (commit * 7919 % files,):
            yield _file(number, commit)
    yield b"done\n"


def _file(number: int, commit: int) -> bytes:
    directory = number // _FILES_A_DIRECTORY
    lines = [b"line %d of file %d\n" % (line, number) for line in range(20 + number % 40)]
    content = b"".join(lines) + (b"commit %d\n" % commit if commit else b"")
    name = b"part%d/area%d/file%d.txt" % (directory // 50, directory % 50, number)
    return b"M 100644 inline %b\ndata %d\n%b\n" % (name, len(content), content)
