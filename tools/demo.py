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
    print(f"A sample repository with two unused imports: {repository}")
    for words in steps():
        print(f"\n\033[1m$ {shlex.join(words)}\033[0m" if sys.stdout.isatty() else f"\n$ {shlex.join(words)}")
        sys.stdout.flush()
        status = subprocess.run(words, cwd=repository, env=environment, check=False).returncode
        if status not in (0, 1 if words[0] == "ruff" else 0):
            print(f"The demo stopped: exit status {status}.", file=sys.stderr)
            return status
    farewell(repository, environment)
    return 0


def steps() -> list[list[str]]:
    """Returns the commands in their order; the first one is expected to find something."""
    task = "fix the lint findings"
    return [
        ["ruff", "check", "--output-format", "concise", "."],
        ["orchestrator", "init", "--trust"],
        [
            "orchestrator",
            "run",
            task,
            "--command",
            "ruff check --fix .",
            "--require-clean",
            "--run-id",
            "demo",
        ],
        ["orchestrator", "checkpoints", "demo"],
        ["orchestrator", "diff", "demo"],
        ["orchestrator", "merge", "demo"],
        ["ruff", "check", "."],
        ["git", "log", "--graph", "--oneline"],
        ["orchestrator", "status"],
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
    print(f"\nBranch:     orchestrator/demo\nCheckpoint: {checkpoint}\n\nLook further:\n  cd {repository}")
    for command in ("report demo", "log demo", "findings demo", "ops", "undo", "doctor"):
        print(f"  {BIN / 'orchestrator'} {command}")


if __name__ == "__main__":
    sys.exit(main())
