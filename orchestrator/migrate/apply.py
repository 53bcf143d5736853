"""Carries out a recorded plan; called again after a kill at any point it goes on where that left off."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.migrate import sqlite
from orchestrator.migrate.actions import Step
from orchestrator.migrate.mover import Move, Mover
from orchestrator.migrate.progress import Counter, OnProgress, silent
from orchestrator.migrate.publish import adopt
from orchestrator.migrate.record import REPORT, Record, State
from orchestrator.migrate.tracked import IndexMove
from orchestrator.migrate.upgrade import stamp


def apply(record: Record, disk: Disk, *, jobs: int = 1, progress: OnProgress = silent) -> None:
    """Does what is left of a plan; returns when all of it is on the disk. Repeatable.

    Raises:
        Failed: something is at neither place, or something else appeared at a target.
        Locked: a database or git's index is in use.
        DiskFailed: the disk is full, read-only or broken. After any error: call again, or roll back.
    """
    if record.state is not State.APPLYING:
        return
    plan, journal = record.plan, record.journal
    clear_temporary(record, disk)
    for directory in plan.directories:
        disk.make_dir(record.root / directory)
    counter = Counter(plan.steps, progress)
    mover = Mover(disk, jobs=jobs, on_bytes=counter.wrote)
    for database, steps in itertools.groupby(plan.steps, key=lambda step: step.database):
        with _locked(record.root, database):
            for step in steps:
                counter.at(step)
                _do(step, record, disk, mover)
    if plan.index and not journal.said("index-moved"):
        index_move(record).forward(disk)
        journal.add("index-moved")
    adopt(record, disk)
    disk.write(record.directory / REPORT, report(record))
    journal.add("completed")


def forward_move(step: Step, record: Record) -> Move:
    """Returns the move of a step as `apply` does it."""
    return Move(
        source=os.path.join(record.root, step.source),
        target=os.path.join(record.root, step.target),
        tag=f"{record.plan.id}-{step.number}-a",
        begun=record.journal.said("intended", step.number),
    )


def clear_temporary(record: Record, disk: Disk) -> None:
    """Removes what a kill left under temporary names in the record's directory."""
    disk.sweep_temp(record.directory)
    for entry in sorted(record.directory.glob(f"{sqlite.SCRATCH_PREFIX}*")):
        disk.remove_tree(entry)


def index_move(record: Record) -> IndexMove:
    """Returns the move of the plan's entries in git's index."""
    return IndexMove(record.root, record.directory, record.plan.id, record.plan.index)


def report(record: Record) -> bytes:
    """Returns what `report.json` says: what was found and what became of it; secrets by name alone."""
    actions = [action.model_dump(mode="json") for action in record.plan.actions]
    document = {"schema_version": 1, "id": record.plan.id, "layouts": record.plan.layouts, "actions": actions}
    return json.dumps(document, indent=1).encode() + b"\n"


def _do(step: Step, record: Record, disk: Disk, mover: Mover) -> None:
    journal = record.journal
    if journal.said("done", step.number):
        return
    move = forward_move(step, record)
    if not move.begun:
        journal.add("intended", step.number)
    if step.op == "backup":
        _back_up(step, record, disk)
    elif step.op == "stamp" and record.plan.upgrade is not None:
        stamp(step, record, record.plan.upgrade, disk)
    else:
        if step.new_mode is not None:
            _make_private(move, step.new_mode, disk)
        mover.move(move)
    journal.add("done", step.number)


def _make_private(move: Move, mode: int, disk: Disk) -> None:
    # Before the move: a secret never lies at its new place with the old permissions.
    place = move.source if os.path.lexists(move.source) else move.target
    if os.path.lexists(place) and not os.path.islink(place) and os.lstat(place).st_mode & 0o7777 != mode:
        disk.set_mode(place, mode)


def _back_up(step: Step, record: Record, disk: Disk) -> None:
    target = Path(record.root, step.target)
    disk.sweep_temp(target.parent)
    source = Path(record.root, step.source)
    if not os.path.lexists(target) and sqlite.is_database(os.fspath(source)):
        sqlite.consistent_copy(source, target, disk, record.directory)


@contextlib.contextmanager
def _locked(root: Path, database: str) -> Iterator[None]:
    path = os.path.join(root, database)
    if not database or not os.path.isfile(path) or os.path.islink(path):
        yield
        return
    with sqlite.ExclusiveLock(path):
        yield
