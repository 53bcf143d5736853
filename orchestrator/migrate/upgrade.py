"""Marks `.orchestrator/` as of our next layout version: the last step of an upgrade, first to be taken back.

`layout.json` is replaced in one step after a whole copy of it is in the record: there is one at every moment,
and it tells the earlier version until every file has arrived.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.fs.temp import PREFIX as TEMP_PREFIX
from orchestrator.migrate.actions import Step
from orchestrator.migrate.catalogue import Upgrade
from orchestrator.migrate.record import Record
from orchestrator.migrate.sniff import layout_version, read_object


def stamp(step: Step, record: Record, upgrade: Upgrade, disk: Disk) -> None:
    """Keeps the original of `layout.json` in the record, then writes that of the next version; repeatable."""
    mark, kept = Path(record.root, step.source), Path(record.root, step.target)
    disk.sweep_temp(mark.parent)
    if not os.path.lexists(kept):
        stage = kept.parent / f"{TEMP_PREFIX}{record.plan.id}-stage"
        disk.remove(stage)
        disk.carry(mark, stage)
        disk.rename(stage, kept)
    disk.write(mark, _text(kept, upgrade.to_version), mode=step.mode)


def unstamp(step: Step, record: Record, upgrade: Upgrade, disk: Disk) -> None:
    """Puts the original of `layout.json` back; where somebody removed it, writes one of that version."""
    mark, kept = Path(record.root, step.source), Path(record.root, step.target)
    disk.sweep_temp(mark.parent)
    if os.path.lexists(kept):
        disk.rename(kept, mark)
    elif layout_version(os.fspath(mark.parent)) != upgrade.from_version:
        disk.write(mark, _text(mark, upgrade.from_version), mode=step.mode)
    disk.remove(kept.parent / f"{TEMP_PREFIX}{record.plan.id}-stage")


def _text(path: Path, version: int) -> bytes:
    document = {**(read_object(os.fspath(path)) or {}), "layout_version": version}
    return (json.dumps(document, indent=2) + "\n").encode()
