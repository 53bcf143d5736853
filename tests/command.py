"""The command called in this process: a start of its own costs more than most of what is asked of it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.cli.front import main


def called(
    place: Path, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Returns what a command line said and ended with, called in a directory."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        contextlib.chdir(place),
        _environment(dict(os.environ) if environment is None else environment),
        _typed(stdin),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = main(list(arguments))
    return subprocess.CompletedProcess(arguments, status, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


@contextlib.contextmanager
def _typed(text: str) -> Iterator[None]:
    before = sys.stdin
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        file.write(text)
        file.seek(0)
        sys.stdin = file
        try:
            yield
        finally:
            sys.stdin = before


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before, place = dict(os.environ), tempfile.tempdir
    _become(variables)
    tempfile.tempdir = None  # what TMPDIR said is remembered there
    try:
        yield
    finally:
        _become(before)
        tempfile.tempdir = place


def _become(variables: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    os.environ.update(variables)
