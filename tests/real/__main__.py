"""Runs every case with every real agent, offline: `python -m tests.real` (`make test-agents`).

What cannot be done here is skipped with its reason, never passed. Exit status: that of pytest, 0 when all is
skipped. Further words go to pytest, such as `-k "codex and write"`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.real import namespace
from tests.real.places import OUTCOMES, RECORD, ROOT, SCENES

_WORKERS = ("-n", "4")
_COVERED = tuple(Path(tempfile.gettempdir()) / name for name in (".git", ".codex", ".agents"))


def main(words: list[str]) -> int:
    """Runs the cases where that is possible and tells what came of it."""
    if reason := _impossible():
        print(f"test-agents: SKIPPED, {reason}", flush=True)
        return 0
    shutil.rmtree(SCENES, ignore_errors=True)
    (SCENES / "home").mkdir(parents=True)
    pytest = (
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.real.recording",
        "-m",
        "agents",
        "-q",
        "tests/real",
    )
    there = {place for place in _COVERED if place.exists()}
    try:
        status = subprocess.run(_inside(*pytest, *_WORKERS, *words), cwd=ROOT, env=_environment()).returncode
    finally:
        _remove_covers(there)
    _tell_skipped()
    return status


def _remove_covers(there: set[Path]) -> None:
    """Removes the empty directories that codex's sandbox leaves when it is killed during a command.

    Source: codex-acp 2.6.0, which puts them over what a command shall not change; an empty `/tmp/.git` would
    make every directory below it look like a part of a broken repository.
    """
    for place in set(_COVERED) - there:
        with contextlib.suppress(OSError):  # not there, or not empty and so not of that kind
            place.rmdir()


def _tell_skipped() -> None:
    """Tells why agents were not run, so that nobody takes silence for success."""
    rows = json.loads(OUTCOMES.read_text())["cases"] if OUTCOMES.is_file() else []
    for reason in dict.fromkeys(row["reason"] for row in rows if row["status"] == "skipped"):
        print(f"test-agents: SKIPPED, {reason}", flush=True)


def _impossible() -> str:
    if not RECORD.is_file():
        return "the agents were never installed: run `make agents`"
    tried = subprocess.run(_inside(sys.executable, "-c", ""), cwd=ROOT, capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode == namespace.UNAVAILABLE else ""


def _inside(*command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.real.namespace", *command)


def _environment() -> dict[str, str]:
    # Nothing of the caller's but where programs are: no key, no address, no home.
    home = str(SCENES / "home")
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": home, "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
