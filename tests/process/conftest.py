from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.process import supervised
from orchestrator.process.leftovers import end_all, find
from orchestrator.process.spawn import Command, minimal_environment

MakeCommand = Callable[..., Command]


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets coverage, when it measures, see supervisors too: it needs `site`, which -I -S leave out."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        monkeypatch.setattr(supervised, "_INTERPRETER", ())
        # Coverage's own os._exit would let the forked child write into its parent's data file.
        bootstrap = "import os, posix; os._exit = posix._exit; " + supervised._BOOTSTRAP
        monkeypatch.setattr(supervised, "_BOOTSTRAP", bootstrap)
        monkeypatch.setattr(supervised, "_PASSED", (*supervised._PASSED, "COVERAGE_PROCESS_CONFIG"))


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[str]:
    """Yields a marker of this test alone and kills what carries it in the end."""
    name = f"test-{os.getpid()}-{tmp_path.name}"
    yield name
    end_all(name)


@pytest.fixture
def python(tmp_path: Path, marker: str) -> MakeCommand:
    """Returns a function that makes the command for a Python program."""

    def make(code: str, **more: Any) -> Command:
        facts: dict[str, Any] = {"timeout_s": 60.0, "marker": marker, "cwd": tmp_path, **more}
        argv = (sys.executable, "-I", "-S", "-c", code)
        return Command(argv=argv, environment=minimal_environment({}), **facts)

    return make


def nothing_is_left(marker: str) -> bool:
    """Waits up to 10 s for the last process with the marker to go: a killed one needs a moment."""
    limit = time.monotonic() + 10
    while find(marker):
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True
