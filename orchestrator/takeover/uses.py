"""Counts, on this machine alone, how often a command still answered from an earlier tool's files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from orchestrator.errors import DiskFailed, Refused
from orchestrator.fs.disk import Disk
from orchestrator.migrate.sniff import read_head
from orchestrator.paths import OrchestratorPaths

NAME = "legacy-uses.json"
"""Its name in `logs/`."""

_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Uses:
    """How often a layout was read in its old place, and when first and last."""

    count: int
    first: datetime
    last: datetime


class _Counter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    first: AwareDatetime
    last: AwareDatetime


class _Counters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    layouts: dict[str, _Counter] = {}


def count_use(paths: OrchestratorPaths, disk: Disk, layout: str) -> None:
    """Adds one to a layout's count, in an `.orchestrator/` that is there and may be written.

    For commands that write; a count that cannot be kept is not worth an error, nor are two lost in a race.
    """
    if not paths.logs_dir.is_dir() or paths.logs_dir.is_symlink() or not os.path.isfile(paths.layout_file):
        return
    known, now = _read(paths), datetime.now(UTC)
    old = known.layouts.get(layout)
    new = _Counter(count=old.count + 1 if old else 1, first=old.first if old else now, last=now)
    counted = _Counters(layouts={**known.layouts, layout: new})
    with suppress(DiskFailed, Refused):
        disk.write(_path(paths), counted.model_dump_json().encode() + b"\n")


def uses(paths: OrchestratorPaths) -> Mapping[str, Uses]:
    """Returns the counts by layout; none where nothing was counted or the file cannot be read."""
    return {name: Uses(one.count, one.first, one.last) for name, one in _read(paths).layouts.items()}


def _path(paths: OrchestratorPaths) -> Path:
    return paths.logs_dir / NAME


def _read(paths: OrchestratorPaths) -> _Counters:
    try:
        return _Counters.model_validate_json(read_head(os.fspath(_path(paths)), _MAX_BYTES))
    except ValidationError:
        return _Counters()
