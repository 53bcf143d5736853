"""Makes the record of a migration appear in one step, and with it `.orchestrator/` where there was none.

Everything is built under a temporary name beside its place and renamed: a kill before leaves a directory that
`sweep` removes, and the tree as it was; a kill after leaves a complete record that says what to undo.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.fs.temp import PREFIX as TEMP_PREFIX
from orchestrator.migrate.actions import Plan
from orchestrator.migrate.compare import digest
from orchestrator.migrate.record import LAYOUT_STAGE, MADE, Made, Record, first_line, made_file, read_record
from orchestrator.migrate.sniff import listed
from orchestrator.migrate.standing import JOURNAL, PLAN
from orchestrator.paths import names

MakeLayout = Callable[[Path], None]
"""Makes our own `.orchestrator/` complete in an existing directory that has none, each file durable."""

_OURS = re.compile(re.escape(TEMP_PREFIX) + r"m-[0-9a-f]{12}(-[0-9]+)?(-gone)?")


def temporary(name: str) -> str:
    """Returns the temporary name under which a migration builds what it publishes."""
    return TEMP_PREFIX + name


def sweep(root: Path, disk: Disk) -> None:
    """Removes what killed migrations were building or had put away; only for a holder of their lock."""
    inside = root / names.DIRECTORY
    for directory in (root, inside) if _is_real_directory(inside) else (root,):
        for name in listed(os.fspath(directory)):
            if _OURS.fullmatch(name) and _is_real_directory(directory / name):
                disk.remove_tree(directory / name)
    for directory in (inside, inside / names.LOCKS):
        if _is_real_directory(inside) and _is_real_directory(directory):
            disk.sweep_temp(directory)


def publish(plan: Plan, root: Path, disk: Disk, make_layout: MakeLayout | None) -> Record:
    """Makes the record of a migration that is about to begin and returns it; nothing has moved yet.

    Where `.orchestrator/` is missing it appears together with the record, holding what `make_layout` makes;
    where it exists without being ours, that is kept aside in the record until `adopt`.
    """
    inside = root / names.DIRECTORY
    absent = plan.place == "absent"
    stage = (root if absent else inside) / temporary(plan.id)
    disk.make_dir(stage)
    ours = stage / names.DIRECTORY
    if make_layout is not None and plan.place not in ("ours", "older"):
        make_layout(stage)
    elif absent:
        disk.make_dir(ours)
    made = _made(ours)
    if absent:
        _write_record(ours / names.MIGRATIONS / plan.id, plan, made, disk)
        disk.rename(ours, inside)
    else:
        record = stage / names.MIGRATIONS / plan.id
        _write_record(record, plan, made, disk)
        if made:
            disk.rename(ours, record / LAYOUT_STAGE)
        whole = not os.path.lexists(inside / names.MIGRATIONS)
        disk.rename(
            record.parent if whole else record,
            inside / names.MIGRATIONS if whole else inside / names.MIGRATIONS / plan.id,
        )
    disk.remove_tree(stage)
    return read_record(root, plan.id, disk)


def adopt(record: Record, disk: Disk) -> None:
    """Puts what is missing of our own layout in its place, the mark of ownership last; repeatable."""
    stage = record.directory / LAYOUT_STAGE
    inside = record.root / names.DIRECTORY
    for one in record.made:
        if os.path.lexists(stage / one.name) and not os.path.lexists(inside / one.name):
            disk.rename(stage / one.name, inside / one.name)


def take_back_layout(record: Record, disk: Disk) -> None:
    """Takes away again what `adopt` put in place and nobody changed since; repeatable.

    All of it stays beside a database of ours: without our layout nobody could tell whose that is.
    """
    stage = record.directory / LAYOUT_STAGE
    inside = record.root / names.DIRECTORY
    if not _is_real_directory(stage):
        return
    state = f"{names.DIRECTORY}/{names.STATE}"
    if os.path.lexists(inside / names.STATE) and state not in {step.source for step in record.plan.steps}:
        return
    for one in reversed(record.made):
        if not os.path.lexists(stage / one.name) and is_untouched(inside / one.name, one):
            disk.rename(inside / one.name, stage / one.name)


def is_untouched(path: Path, one: Made) -> bool:
    """Returns whether something that we made is as we made it: the same bytes, or an empty directory."""
    if one.sha256 is None:
        return _is_real_directory(path) and not os.listdir(path)
    try:
        return not path.is_symlink() and digest(os.fspath(path)) == one.sha256
    except OSError:
        return False


def _made(directory: Path) -> tuple[Made, ...]:
    found = [name for name in listed(os.fspath(directory)) if name != names.LAYOUT]
    if os.path.lexists(directory / names.LAYOUT):
        found.append(names.LAYOUT)
    return tuple(
        Made(name=name, sha256=None if (path := directory / name).is_dir() else digest(os.fspath(path)))
        for name in found
    )


def _write_record(directory: Path, plan: Plan, made: tuple[Made, ...], disk: Disk) -> None:
    disk.make_dir(directory)
    disk.write(directory / PLAN, plan.model_dump_json(indent=1).encode() + b"\n")
    disk.write(directory / MADE, made_file(made))
    disk.write(directory / JOURNAL, first_line())


def _is_real_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
