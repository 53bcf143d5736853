"""Takes a migration back, bit for bit; shown as a plan first, killable anywhere, and repeatable."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.errors import MigrationConflict, Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import printable
from orchestrator.fs.temp import PREFIX as TEMP_PREFIX
from orchestrator.migrate.actions import Step, quarantined
from orchestrator.migrate.apply import clear_temporary, forward_move, index_move
from orchestrator.migrate.compare import is_empty_directory, same_tree
from orchestrator.migrate.mover import Move, Mover
from orchestrator.migrate.progress import Counter, OnProgress, silent
from orchestrator.migrate.publish import is_untouched, take_back_layout, temporary
from orchestrator.migrate.record import LAYOUT_STAGE, Record, State
from orchestrator.migrate.scan import scan
from orchestrator.migrate.upgrade import unstamp
from orchestrator.paths import names

Verdict = Literal["put-back", "nothing", "changed", "occupied", "lost", "remove-copy"]

Expendable = Callable[[], Collection[str]]
"""Returns the names in `.orchestrator/` of what may go with it: nothing is in them that is not elsewhere."""


def nothing_expendable() -> Collection[str]:
    """Returns no names."""
    return ()


@dataclass(frozen=True, slots=True)
class Return:
    """What rollback will do about one step: `changed`, `occupied` and `lost` need a decision."""

    step: Step
    verdict: Verdict
    reason: str = ""


def plan_rollback(record: Record, expendable: Expendable = nothing_expendable) -> tuple[Return, ...]:
    """Returns what taking a migration back means, last step first; changes nothing.

    What is `expendable` stands in nobody's way.

    Raises:
        Refused: `migration-finalized`, what it would need was dropped.
    """
    if record.state in (State.FINALIZED, State.FINALIZING):
        raise Refused(
            f"The migration {record.plan.id} was finalized, so it cannot be taken back as a whole.",
            code="migration-finalized",
            hint=f"Its originals are in git: git ls-tree -r refs/orchestrator/migrations/{record.plan.id}",
        )
    if record.state is State.ROLLED_BACK:
        return ()
    returns: list[Return] = []
    freed = {f"{names.DIRECTORY}/{name}" for name in _expended(record, expendable)}
    for step in reversed(record.plan.steps):
        if record.journal.said("intended", step.number) and not record.journal.said("undone", step.number):
            returns.append(_look(step, record, freed))
            freed.add(step.target)
    return tuple(returns)


def rollback(
    record: Record,
    disk: Disk,
    *,
    force: bool = False,
    jobs: int = 1,
    progress: OnProgress = silent,
    expendable: Expendable = nothing_expendable,
) -> tuple[str, ...]:
    """Puts back what the migration moved, takes away what it made; returns what could not go back.

    With `force`, what was changed since is kept in quarantine instead of being put back, and what stands in
    the way goes there too. A database that `expendable` names goes with the layout that the migration made;
    any other keeps that layout, which says whose it is.

    Raises:
        Refused: as `plan_rollback`.
        MigrationConflict: `changed-since`, without `force`; nothing was touched.
        Failed, DiskFailed: after any of them: call again to go on.
    """
    returns = plan_rollback(record, expendable)
    if record.state is not State.ROLLED_BACK:
        if not force:
            _insist(returns)
        clear_temporary(record, disk)
        if record.state is not State.ROLLING_BACK:
            record.journal.add("rollback-begun")
        for name in _expended(record, expendable):
            _set_aside(name, record, disk)
        counter = Counter((one.step for one in returns), progress)
        mover = Mover(disk, jobs=jobs, on_bytes=counter.wrote)
        _take_back(record, returns, disk, force=force, mover=mover, counter=counter)
        take_back_layout(record, disk)
        _remove_directories(record, disk)
        record.journal.add("rolled-back")
    _tidy(record, disk, expendable)
    return tuple(line.detail for line in record.journal.lines if line.event == "kept")


def _expended(record: Record, expendable: Expendable) -> Collection[str]:
    """Returns what goes before anything comes back: what came into a directory that was there before.

    Afterwards the old files of the same names may be in their place again.
    """
    begun = any(line.event == "undo-intended" for line in record.journal.lines)
    return () if begun or not (record.directory / LAYOUT_STAGE).is_dir() else expendable()


def _set_aside(name: str, record: Record, disk: Disk) -> None:
    place = record.root / names.DIRECTORY / name
    if os.path.lexists(place):
        disk.rename(place, record.directory / LAYOUT_STAGE / name)


def _take_back(
    record: Record,
    returns: tuple[Return, ...],
    disk: Disk,
    *,
    force: bool,
    mover: Mover,
    counter: Counter,
) -> None:
    if record.plan.index:
        index_move(record).backward(disk)
    for one in returns:
        counter.at(one.step)
        _undo(one, record, disk, mover, force=force)


def _insist(returns: tuple[Return, ...]) -> None:
    bad = [one for one in returns if one.verdict in ("changed", "occupied", "lost")]
    if bad:
        raise MigrationConflict(
            "What was moved has changed since; nothing was touched.",
            tuple(one.reason for one in bad),
            code="changed-since",
            hint="Keep the changed ones in quarantine with: orchestrator migrate --rollback --force",
        )


def _look(step: Step, record: Record, freed: Collection[str] = (), *, scanning: bool = True) -> Return:
    """Returns what to do about a step; `freed` are places that will be empty by the time it is undone."""
    move = forward_move(step, record)
    old, new = move.source, move.target
    if step.op == "backup":
        return Return(step, "remove-copy" if os.path.lexists(new) else "nothing")
    if step.op == "stamp":
        return Return(step, "put-back")
    here, there = os.path.lexists(old) and step.source not in freed, os.path.lexists(new)
    backward = _backward(step, record)
    if any(os.path.lexists(mark) for way in (move, backward) for mark in (way.gone, way.removing)):
        return Return(step, "put-back")
    if here and (not there or _stands_for_nothing(step, new)):
        return Return(step, "nothing")
    if not here and not there:
        return Return(step, "lost", f"{printable(step.target)} is gone.")
    if here and same_tree(old, new) and _in_flight(step, record):
        return Return(step, "remove-copy")
    if here:
        return Return(step, "occupied", f"Something new stands at {printable(step.source)}.")
    if scanning and step.shape and scan(new, mode=step.mode).shape != step.shape:
        return Return(step, "changed", f"{printable(step.target)} was changed since it was moved.")
    return Return(step, "put-back")


def _in_flight(step: Step, record: Record) -> bool:
    journal = record.journal
    return not journal.said("done", step.number) or journal.said("undo-intended", step.number)


def _stands_for_nothing(step: Step, new: str) -> bool:
    """Returns whether the new place holds only the empty directory that was there, or that our layout has."""
    return step.is_directory and is_empty_directory(new)


def _backward(step: Step, record: Record) -> Move:
    move = forward_move(step, record)
    return Move(
        source=move.target,
        target=move.source,
        tag=f"{record.plan.id}-{step.number}-r",
        begun=record.journal.said("undo-intended", step.number),
    )


def _undo(planned: Return, record: Record, disk: Disk, mover: Mover, *, force: bool) -> None:
    step = planned.step
    # Looked at again, because what was undone before has freed places; scanned only once.
    found = planned if planned.verdict == "changed" else _look(step, record, scanning=False)
    move, back = forward_move(step, record), _backward(step, record)
    if found.verdict in ("changed", "occupied", "lost"):
        if not force:
            _insist((found,))
        _keep(found, record, disk, mover)
        return
    if not back.begun:
        record.journal.add("undo-intended", step.number)
    if step.op == "backup":
        disk.remove(move.target)
        if os.path.isdir(os.path.dirname(move.target)):
            disk.sweep_temp(os.path.dirname(move.target))
    elif step.op == "stamp" and record.plan.upgrade is not None:
        unstamp(step, record, record.plan.upgrade, disk)
    else:
        mover.settle(move)
        _return(step, move, back, disk, mover)
    record.journal.add("undone", step.number)


def _return(step: Step, move: Move, back: Move, disk: Disk, mover: Mover) -> None:
    old, new = move.source, move.target
    if os.path.lexists(back.gone) or os.path.lexists(back.removing):
        mover.settle(back)
    if os.path.lexists(old) and os.path.lexists(new) and not _stands_for_nothing(step, new):
        mover.retire(back)  # a copy that a kill left beside the whole old one
    elif not os.path.lexists(old):
        mover.move(back)
    if step.replaced_mode is not None and not os.path.lexists(new):
        disk.make_dir(new, mode=step.replaced_mode)
    if step.new_mode is not None and os.lstat(old).st_mode & 0o7777 != step.mode:
        disk.set_mode(old, step.mode)


def _keep(found: Return, record: Record, disk: Disk, mover: Mover) -> None:
    """Puts what cannot go back into quarantine, and tells; for `--force` alone."""
    step, name = found.step, record.plan.id
    move = forward_move(step, record)
    if found.verdict == "lost":
        record.journal.add("kept", step.number, found.reason)
    elif found.verdict == "occupied":
        aside = _aside(record, f"occupied/{step.source}", disk)
        mover.move(Move(move.source, aside, f"{name}-{step.number}-o"))
        record.journal.add(
            "kept", step.number, f"What stood at {printable(step.source)} is in {printable(aside)}."
        )
        _undo(Return(step, "put-back"), record, disk, mover, force=True)
        return
    else:
        aside = _aside(record, f"changed/{step.source}", disk)
        mover.move(Move(move.target, aside, f"{name}-{step.number}-c"))
        record.journal.add(
            "kept", step.number, f"{printable(step.source)}, changed since, is in {printable(aside)}."
        )
    record.journal.add("undone", step.number)


def _aside(record: Record, path: str, disk: Disk) -> str:
    place = os.path.join(record.root, quarantined(record.plan.id, path))
    disk.make_dir(os.path.dirname(place))
    return place


def _remove_directories(record: Record, disk: Disk) -> None:
    for directory in sorted(record.plan.directories, reverse=True):
        path = record.root / directory
        if path.is_dir() and not path.is_symlink():
            disk.remove_empty(path)


def _tidy(record: Record, disk: Disk, expendable: Expendable) -> None:
    """Removes `.orchestrator/` where the migration made it and nothing but its own is in it."""
    inside = record.root / names.DIRECTORY
    if record.plan.place == "absent":
        if _only_ours(record, inside, expendable()):
            gone = record.root / f"{temporary(record.plan.id)}-gone"
            disk.rename(inside, gone)
            disk.remove_tree(gone)
        return
    stage = record.directory / LAYOUT_STAGE
    if stage.is_dir() and not stage.is_symlink():
        disk.remove_tree(stage)


def _only_ours(record: Record, inside: Path, expendable: Collection[str]) -> bool:
    made = {one.name: one for one in record.made}
    for name in os.listdir(inside):
        path = inside / name
        if name == names.LOCKS or name in expendable or name.startswith(TEMP_PREFIX):
            continue
        if name == names.MIGRATIONS:
            if os.listdir(path) != [record.plan.id] or os.path.lexists(record.originals):
                return False
        elif name not in made or not is_untouched(path, made[name]):
            return False
    return True
