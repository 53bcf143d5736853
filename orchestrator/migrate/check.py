"""Preflight: finds every reason why a plan could not be carried out, before anything is touched."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.errors import Locked, MigrationConflict, MigrationRefused
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import printable
from orchestrator.fs.probe import probe
from orchestrator.migrate import sqlite
from orchestrator.migrate.actions import Plan, Step, Trouble
from orchestrator.migrate.sniff import listed
from orchestrator.paths import names

_RESERVE_BYTES = 256 * 1024
_RESERVE_INODES = 32
_GETFLAGS = 0x80086601
_FIXED_FLAGS = {0x10: "immutable", 0x20: "append-only"}


def check(plan: Plan, root: Path, disk: Disk) -> tuple[Trouble, ...]:
    """Returns all reasons at once why the plan cannot be carried out; changes nothing.

    Databases are tried with SQLite's own lock for an instant; runs by theirs.
    """
    moves = [step for step in plan.steps if step.op == "move"]
    return (
        *plan.troubles,
        *_conflicts(plan),
        *_running(root),
        *_databases(moves, root),
        *_permissions(plan, moves, root),
        *_fixed(moves, root),
        *_copying(moves, root),
        *_space(plan, root, disk),
    )


def insist(troubles: Sequence[Trouble]) -> None:
    """Returns if there are no troubles.

    Raises:
        Locked: something is in use. MigrationConflict: old and new differ. MigrationRefused: anything else.
            The last two name all troubles.
    """
    if not troubles:
        return
    worst = max(troubles, key=lambda trouble: (2, 3, 5).index(trouble.exit_status))
    told = tuple(f"{one.message}{f' In use by {one.holder}.' if one.holder else ''}" for one in troubles)
    if worst.exit_status == 5:
        raise Locked(what=worst.message, holder=worst.holder)
    if worst.exit_status == 3:
        raise MigrationConflict(
            "Old and new both exist and differ; nothing was chosen or changed.",
            told,
            code=worst.code,
            hint=worst.hint,
        )
    raise MigrationRefused(told, code=worst.code, hint=worst.hint)


def running(root: Path) -> tuple[Trouble, ...]:
    """Returns a trouble for each run of ours that is alive in this checkout."""
    return tuple(_running(root))


def _conflicts(plan: Plan) -> Iterator[Trouble]:
    for action in plan.conflicts:
        yield Trouble(
            code="conflict",
            message=f"{printable(action.source)} and {printable(action.target or '')}: {action.reason}.",
            hint="Compare them, then decide: orchestrator migrate --prefer old|new",
            exit_status=3,
        )


def _running(root: Path) -> Iterator[Trouble]:
    locks = root / names.DIRECTORY / names.LOCKS
    if (root / names.DIRECTORY).is_symlink() or locks.is_symlink():
        return
    for name in listed(os.fspath(locks)):
        if name.startswith("run-") and name.endswith(".lock") and (locks / name).is_file():
            holder = probe(locks / name)
            if holder is not None:
                yield Trouble(
                    code="run-alive",
                    message=f"Run {name.removeprefix('run-').removesuffix('.lock')}",
                    holder=holder.describe(),
                    hint="Wait for it to end: orchestrator status",
                    exit_status=5,
                )


def _databases(moves: Sequence[Step], root: Path) -> Iterator[Trouble]:
    for database in dict.fromkeys(step.database for step in moves if step.database):
        path = os.fspath(root / database)
        if os.path.isfile(path) and not os.path.islink(path) and sqlite.in_use(path):
            yield Trouble(
                code="database-open",
                message=f"The database {printable(database)}",
                holder="another process that has it open",
                hint="End the program that uses it, then: orchestrator migrate",
                exit_status=5,
            )


def _permissions(plan: Plan, moves: Sequence[Step], root: Path) -> Iterator[Trouble]:
    places = {os.path.dirname(os.path.join(root, step.source)) for step in moves}
    if plan.steps:
        places.add(os.fspath(root if plan.place in ("absent", "unsafe") else root / names.DIRECTORY))
    places |= {os.path.join(root, step.source) for step in moves if step.is_directory}
    for place in sorted(places):
        if os.path.isdir(place) and not os.access(place, os.W_OK | os.X_OK):
            yield Trouble(
                code="permission",
                message=f"{printable(place)} is read-only for you; nothing can be moved out of or into it.",
                hint=f"Make it writable: chmod u+w {printable(place)}",
            )
    for step in moves:
        yield from _sticky(os.path.join(root, step.source))


def _sticky(path: str) -> Iterator[Trouble]:
    try:
        here, above = os.lstat(path), os.lstat(os.path.dirname(path))
    except OSError:
        return
    user = os.geteuid()
    if above.st_mode & stat.S_ISVTX and user not in (0, here.st_uid, above.st_uid):
        yield Trouble(
            code="permission",
            message=f"{printable(path)} belongs to user id {here.st_uid}, who alone may move it there.",
            hint="Let its owner run: orchestrator migrate",
        )


def _fixed(moves: Sequence[Step], root: Path) -> Iterator[Trouble]:
    for path in dict.fromkeys(os.path.join(root, step.source) for step in moves):
        for place in (path, os.path.dirname(path)):
            yield from _flagged(place)


def _flagged(path: str) -> Iterator[Trouble]:
    what = _fixed_flag(path)
    if what:
        yield Trouble(
            code="fixed-file",
            message=f"{printable(path)} is {what}.",
            hint=f"Take the mark away, then: orchestrator migrate (chattr -ia {printable(path)})",
        )


def _fixed_flag(path: str) -> str:
    if sys.platform != "linux":
        return ""
    import fcntl

    try:
        if not stat.S_ISREG(os.lstat(path).st_mode) and not stat.S_ISDIR(os.lstat(path).st_mode):
            return ""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        answer = fcntl.ioctl(descriptor, _GETFLAGS, b"\0" * 8)
    except OSError:
        return ""  # a file system without such marks
    finally:
        os.close(descriptor)
    flags = int.from_bytes(answer[:4], sys.byteorder)
    return next((word for bit, word in _FIXED_FLAGS.items() if flags & bit), "")


def _copying(moves: Sequence[Step], root: Path) -> Iterator[Trouble]:
    """Looks at each file only where file systems are crossed; a rename needs none of this."""
    for step in moves:
        if step.crosses:
            for path in _files(os.path.join(root, step.source)):
                yield from _flagged(path)
                yield from _unreadable(path)


def _files(top: str) -> Iterator[str]:
    yield top
    if os.path.isdir(top) and not os.path.islink(top):
        for here, directories, files in os.walk(top):
            yield from (os.path.join(here, name) for name in (*directories, *files))


def _unreadable(path: str) -> Iterator[Trouble]:
    try:
        facts = os.lstat(path)
    except OSError:
        return
    if stat.S_ISLNK(facts.st_mode):
        return
    if not os.access(path, os.R_OK):
        yield Trouble(
            code="unreadable",
            message=f"{printable(path)} cannot be read, so it cannot be copied to the other file system.",
            hint=f"Make it readable: chmod u+r {printable(path)}",
        )
    if os.geteuid() not in (0, facts.st_uid):
        yield Trouble(
            code="owned-by-other",
            message=f"{printable(path)} belongs to user id {facts.st_uid}; a copy would belong to you.",
            hint="Let its owner run: orchestrator migrate",
        )


def _space(plan: Plan, root: Path, disk: Disk) -> Iterator[Trouble]:
    if not plan.steps or plan.place == "unsafe":
        return
    inside = root / names.DIRECTORY
    free = disk.free_space(inside if inside.is_dir() else root)
    needed_bytes = plan.bytes_needed + _RESERVE_BYTES + 1024 * len(plan.steps)
    needed_inodes = plan.inodes_needed + _RESERVE_INODES + len(plan.directories)
    if free.bytes < needed_bytes:
        yield Trouble(
            code="migration-no-space",
            message=f"{names.DIRECTORY} needs {needed_bytes:,} free bytes; there are {free.bytes:,}.",
            hint="Free space, or move a part: orchestrator migrate --only KIND",
        )
    if free.inodes is not None and free.inodes < needed_inodes:
        yield Trouble(
            code="migration-no-space",
            message=f"{names.DIRECTORY} needs {needed_inodes:,} more files; {free.inodes:,} are possible.",
            hint="Remove files that nobody needs, or move a part: orchestrator migrate --only KIND",
        )
