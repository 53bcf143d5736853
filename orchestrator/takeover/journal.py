"""The journal of a takeover: what it is about to write is durable before it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk

NAME = "takeover.jsonl"
"""Its name in `migrations/<id>/`."""

_MAX_BYTES = 4 * 1024 * 1024

Step = Literal["config", "runs"]
State = Literal["intended", "done", "taken-back"]


class Record(BaseModel):
    """One line. `target` is relative to the checkout's root, POSIX, and `sha256` what is written there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    seq: int
    at: AwareDatetime
    step: Step
    state: State
    target: str | None = None
    sha256: str | None = None


class Journal:
    """An append-only file; a line that a crash tore off counts as never written."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._records, whole = _read(path)
        if not whole:
            text = "".join(record.model_dump_json() + "\n" for record in self._records)
            disk.write(path, text.encode())

    def last(self, step: Step) -> Record | None:
        """Returns the newest record of a step."""
        return next((record for record in reversed(self._records) if record.step == step), None)

    def is_done(self, step: Step) -> bool:
        """Returns whether a step is finished and was not taken back."""
        last = self.last(step)
        return last is not None and last.state == "done"

    def append(
        self, step: Step, state: State, *, target: str | None = None, sha256: str | None = None
    ) -> None:
        """Adds a record; durable when it returns."""
        record = Record(
            seq=len(self._records) + 1,
            at=datetime.now(UTC),
            step=step,
            state=state,
            target=target,
            sha256=sha256,
        )
        self._disk.append(self._path, (record.model_dump_json() + "\n").encode())
        self._records.append(record)


def is_finished(path: Path) -> bool:
    """Returns whether the takeover that a journal tells of has done all its steps; reads only.

    Raises:
        Refused: `takeover-journal-damaged`.
    """
    records, _ = _read(path)
    ends = {record.step: record.state for record in records}
    return ends.get("config") == "done" and ends.get("runs") == "done"


def _read(path: Path) -> tuple[list[Record], bool]:
    """Returns the records, and whether the file ends with a whole line."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return [], True
    except OSError as error:
        raise _damaged(path, error.strerror or "it cannot be read") from error
    with open(descriptor, "rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise _damaged(path, "it is too large")
    complete, _, torn = data.rpartition(b"\n")
    return list(_records(path, complete)), not torn


def _records(path: Path, data: bytes) -> Iterator[Record]:
    for number, line in enumerate(data.split(b"\n") if data else [], 1):
        try:
            record = Record.model_validate_json(line)
        except ValidationError as error:
            raise _damaged(path, f"line {number} is no record") from error
        if record.seq != number:
            raise _damaged(path, f"record {number} is missing")
        yield record


def _damaged(path: Path, reason: str) -> Refused:
    return Refused(
        f"The journal {path} cannot be used: {reason}.",
        code="takeover-journal-damaged",
        hint="Put it aside; taking over again finds what is there already: orchestrator migrate",
    )
