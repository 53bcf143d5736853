"""Calls the command in this process or as a real one, in a repository of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.front import main
from tests.command import called


@dataclass(frozen=True)
class Answer:
    """What one call printed and ended with."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Answer]


@pytest.fixture
def call(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Yields a function that runs a command line in this process, in a directory, without a terminal."""

    def run(*arguments: str, cwd: Path) -> Answer:
        monkeypatch.chdir(cwd)
        capsys.readouterr()
        status = main(list(arguments))
        captured = capsys.readouterr()
        return Answer(status, captured.out, captured.err)

    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        yield run


@pytest.fixture
def project(repository: Path, call: Call) -> Path:
    """Returns a repository in which `init` has been called."""
    assert call("init", "--trust", cwd=repository).status == 0
    return repository


ENTRY = "import sys; from orchestrator.cli.front import main; sys.exit(main())"


def process(*arguments: str, cwd: Path, stdin: str = "", **environment: str) -> Answer:
    """Runs a command line as a process of its own."""
    done = subprocess.run(  # the command under test as its users start it
        [sys.executable, "-c", ENTRY, *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def here(*arguments: str, cwd: Path, stdin: str = "", **environment: str) -> Answer:
    """Runs a command line in this process, with all that `process` can give it."""
    done = called(cwd, *arguments, stdin=stdin, environment={**os.environ, **environment})
    return Answer(done.returncode, done.stdout, done.stderr)
