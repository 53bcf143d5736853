"""The record of a migration under `.orchestrator/migrations/<id>/`: its plan, and a journal of what was done.

The journal is a file of JSON lines, only ever added to, numbered without a gap. Each line is on the disk
before the effect it announces begins; a torn last line is what a kill leaves, and is dropped.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from orchestrator.errors import Failed
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import printable
from orchestrator.migrate.actions import Plan, record_directory
from orchestrator.migrate.naming import Name
from orchestrator.migrate.sniff import listed, read_head
from orchestrator.migrate.standing import JOURNAL, PLAN
from orchestrator.paths import names

MADE = "made.json"
REPORT = "report.json"
LAYOUT_STAGE = "layout"
_LIMIT_BYTES = 256 * 1024 * 1024

EventName = Literal[
    "begun",
    "intended",
    "done",
    "index-moved",
    "completed",
    "rollback-begun",
    "undo-intended",
    "undone",
    "kept",
    "rolled-back",
    "finalize-begun",
    "finalized",
]


class State(StrEnum):
    """How far a migration is."""

    APPLYING = "applying"
    COMPLETED = "completed"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"
    FINALIZING = "finalizing"
    FINALIZED = "finalized"


STATES: dict[str, State] = {
    "begun": State.APPLYING,
    "completed": State.COMPLETED,
    "rollback-begun": State.ROLLING_BACK,
    "rolled-back": State.ROLLED_BACK,
    "finalize-begun": State.FINALIZING,
    "finalized": State.FINALIZED,
}
"""The events of a journal after which a migration is in another state."""

OPEN = (State.APPLYING, State.ROLLING_BACK, State.FINALIZING)
"""The states of a migration that was interrupted, unless a process is just at work on it."""


class Line(BaseModel):
    """One line of the journal: `seq` counts from 1; `step` is the number of the plan's step it is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    seq: int
    at: AwareDatetime
    event: EventName
    step: int | None = None
    detail: str = ""


class Made(BaseModel):
    """Something of our own layout that the migration made: a file with its SHA-256, or a directory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    sha256: str | None


class _MadeFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    made: tuple[Made, ...]


class Journal:
    """The journal of one migration. Adding a line returns when it is on the disk."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self.lines, self._torn = read_lines(path)
        self._known = {(line.event, line.step) for line in self.lines}

    def add(self, event: EventName, step: int | None = None, detail: str = "") -> None:
        """Adds one line.

        Raises:
            DiskFailed: it is not on the disk, so what it announces must not begin.
        """
        if self._torn:
            self._disk.write(self._path, b"".join(_encoded(line) for line in self.lines))
            self._torn = False
        line = Line(
            seq=len(self.lines) + 1,
            at=datetime.datetime.now(datetime.UTC),
            event=event,
            step=step,
            detail=detail,
        )
        self._disk.append(self._path, _encoded(line))
        self.lines.append(line)
        self._known.add((event, step))

    def said(self, event: EventName, step: int | None = None) -> bool:
        """Returns whether the journal holds such a line."""
        return (event, step) in self._known

    @property
    def state(self) -> State:
        """Returns how far the migration is."""
        return [STATES[line.event] for line in self.lines if line.event in STATES][-1]


@dataclass(frozen=True, slots=True)
class Record:
    """One migration as its directory tells it; `root` is the checkout's and may have moved since."""

    root: Path
    directory: Path
    plan: Plan
    made: tuple[Made, ...]
    journal: Journal = field(compare=False)

    @property
    def state(self) -> State:
        """Returns how far it is."""
        return self.journal.state

    @property
    def begun_at(self) -> datetime.datetime:
        """Returns when it began."""
        return self.journal.lines[0].at

    @property
    def originals(self) -> Path:
        """Returns the directory in which imported files are kept under the paths they had."""
        return self.directory / "original"


def first_line() -> bytes:
    """Returns the line with which a journal begins."""
    return _encoded(Line(seq=1, at=datetime.datetime.now(datetime.UTC), event="begun"))


def made_file(made: tuple[Made, ...]) -> bytes:
    """Returns the content of `made.json`."""
    return _MadeFile(made=made).model_dump_json().encode() + b"\n"


def records(root: Path, disk: Disk | None = None) -> tuple[Record, ...]:
    """Returns the migrations recorded in a checkout, oldest first.

    Raises:
        Failed: `record-damaged`, one of them cannot be read.
    """
    base = root / names.DIRECTORY / names.MIGRATIONS
    if (root / names.DIRECTORY).is_symlink() or base.is_symlink():
        return ()
    found = [
        read_record(root, name, disk or Disk())
        for name in listed(os.fspath(base))
        if (base / name).is_dir() and (base / name / PLAN).is_file()
    ]
    return tuple(sorted(found, key=lambda record: record.begun_at))


def read_record(root: Path, name: str, disk: Disk) -> Record:
    """Returns one migration's record; raises what `records` raises."""
    directory = root / record_directory(name)
    try:
        plan = Plan.model_validate_json(read_head(os.fspath(directory / PLAN), _LIMIT_BYTES))
        made = _MadeFile.model_validate_json(read_head(os.fspath(directory / MADE), _LIMIT_BYTES))
    except ValidationError as error:
        raise _damaged(directory, "its plan cannot be read") from error
    journal = Journal(directory / JOURNAL, disk)
    if not journal.lines:
        raise _damaged(directory, "its journal is empty")
    return Record(root=root, directory=directory, plan=plan, made=made.made, journal=journal)


def read_lines(path: Path) -> tuple[list[Line], bool]:
    """Returns the lines of a journal, and whether a torn last one was dropped.

    Raises:
        Failed: `record-damaged`, a line before the last cannot be read or a number is missing.
    """
    lines: list[Line] = []
    texts = read_head(os.fspath(path), _LIMIT_BYTES).split(b"\n")
    torn = texts.pop() != b""
    for number, text in enumerate(texts, start=1):
        try:
            line = Line.model_validate_json(text)
        except ValidationError as error:
            if number == len(texts) and not torn:
                return lines, True
            raise _damaged(path, f"line {number} cannot be read") from error
        if line.seq != number:
            raise _damaged(path, f"line {number} has the number {line.seq}")
        lines.append(line)
    return lines, torn


def _encoded(line: Line) -> bytes:
    return line.model_dump_json().encode() + b"\n"


def _damaged(path: Path, reason: str) -> Failed:
    return Failed(
        f"The record of a migration, {printable(path)}, is damaged: {reason}.",
        code="record-damaged",
        hint="Nothing was touched. Look at it; what it moved is named in its plan.json.",
    )
