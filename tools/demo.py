"""Shows the main job on a sample repository that it makes: a failing check, its repair, the proof, the merge.

Everything happens below one new temporary directory, which is kept so that you can look around in it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent

FILES = {
    "shapes.py": '''"""Areas of shapes."""

import os
import sys


def area(width: int, height: int) -> int:
    """Returns the area of a rectangle."""
    return width * height
''',
    "test_shapes.py": """import unittest

from shapes import area


class AreaTest(unittest.TestCase):
    def test_area_is_width_times_height(self) -> None:
        self.assertEqual(area(3, 4), 12)
""",
    ".gitignore": "__pycache__/\n.ruff_cache/\n",
}

WORKFLOW = """\
version: 1
verify:
  test: [{run: ["python", "-m", "unittest", "-v"]}]
  lint: [{run: ["ruff", "check", "--output-format", "json", "."], parse: ruff}]
"""


def main() -> int:
    """Returns the exit status of the first command that fails, 0 when the whole job went through."""
    root = Path(tempfile.mkdtemp(prefix="orchestrator-demo-"))
    repository, home = root / "sample", root / "home"
    home.mkdir()
    make_sample(repository)
    environment = minimal_environment(home)
    print(f"A sample repository: a small library with a test and two unused imports, in {repository}")
    for caption, words, expected in steps():
        print(f"\n{styled('# ' + caption, '2')}\n{styled('$ ' + shlex.join(words), '1')}")
        sys.stdout.flush()
        status = subprocess.run(words, cwd=repository, env=environment, check=False).returncode
        if status != expected:
            print(f"The demo stopped: exit status {status}.", file=sys.stderr)
            return status or 1
    farewell(repository, environment)
    return 0


def styled(text: str, code: str) -> str:
    """Returns the text as a terminal shows it bold (1) or faint (2); plain where there is no terminal."""
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


def steps() -> list[tuple[str, list[str], int]]:
    """Returns what is to be seen, the command, and the exit status it must have, in order."""
    ruff = ["ruff", "check", "--output-format", "concise", "."]
    run = ["orchestrator", "run", "fix the lint findings", "--command", "ruff check --fix ."]
    return [
        ("The check fails.", ruff, 1),
        ("Set up, and approve the commands that would run.", ["orchestrator", "init", "--trust"], 0),
        (
            "A command works as the agent, in a tree of its own. What it leaves is saved and checked.",
            [*run, "--require-clean", "--run-id", "demo"],
            0,
        ),
        ("What was saved on the way; each can be taken back.", ["orchestrator", "checkpoints", "demo"], 0),
        ("The result is a branch; look at what it changes.", ["orchestrator", "diff", "demo"], 0),
        ("Take it.", ["orchestrator", "merge", "demo"], 0),
        ("The check passes.", ruff, 0),
        ("The history has one commit by the run, and the merge.", ["git", "log", "--graph", "--oneline"], 0),
        ("The run is done.", ["orchestrator", "status"], 0),
    ]


def make_sample(repository: Path) -> None:
    """Makes a git repository with one commit, and the checks that `init` will find."""
    (repository / ".orchestrator").mkdir(parents=True, mode=0o700)
    for name, text in FILES.items():
        (repository / name).write_text(text)
    (repository / ".orchestrator" / "workflow.yaml").write_text(WORKFLOW)
    for words in (
        ["git", "init", "-q", "-b", "main"],
        ["git", "config", "user.name", "Demo"],
        ["git", "config", "user.email", "demo@example.invalid"],
        ["git", "add", "-A"],
        ["git", "commit", "-q", "-m", "A small library"],
    ):
        subprocess.run(words, cwd=repository, check=True)


def minimal_environment(home: Path) -> dict[str, str]:
    """Returns an environment with the tools of this installation and nothing of yours."""
    kept = {name: os.environ[name] for name in ("TERM", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def farewell(repository: Path, environment: dict[str, str]) -> None:
    """Prints what came of it and the commands with which to look further."""
    checkpoint = subprocess.run(
        ["git", "rev-parse", "refs/orchestrator/runs/demo"],
        cwd=repository,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    print(f"\nBranch:     orchestrator/demo\nCheckpoint: {checkpoint}\n\nLook further:")
    for command in (f"cd {shlex.quote(str(repository))}", f"PATH={shlex.quote(str(BIN))}:$PATH"):
        print(f"  {command}")
    for command in ("report demo", "log demo", "ops", "undo", "doctor", "--help"):
        print(f"  orchestrator {command}")
    print("\nThen in a repository of your own: README.md goes on from here.")


if __name__ == "__main__":
    sys.exit(main())
