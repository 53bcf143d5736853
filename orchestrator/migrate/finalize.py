"""Ends the possibility of rolling back: keeps what it needed in a ref of git, then drops it from the disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import printable
from orchestrator.migrate.actions import original, quarantined
from orchestrator.migrate.apply import clear_temporary
from orchestrator.migrate.record import LAYOUT_STAGE, Record, State
from orchestrator.migrate.tracked import located
from orchestrator.model.ids import ObjectId
from orchestrator.paths import names
from orchestrator.repo.git import Git
from orchestrator.repo.repository import Repository

REFS = "refs/orchestrator/migrations/"
_IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "orchestrator"), ("EMAIL", "orchestrator@localhost"))
}


@dataclass(frozen=True, slots=True)
class Finalized:
    """What finalizing did: the ref that keeps the originals; `kept` stays on the disk, being secret."""

    ref: str
    files: int
    kept: tuple[str, ...]


def finalize(record: Record, disk: Disk) -> Finalized:
    """Commits the originals and the quarantine under a ref, then removes them; repeatable.

    Secrets are never put into git: they stay where they are. Empty directories and files of no content kind
    are dropped. Modes other than executable, owners and times end here.

    Raises:
        Refused: `migration-unfinished`, it was not completed; `not-a-repository`, there is no git to keep it.
        GitFailed, DiskFailed: call again to go on.
    """
    ref = REFS + record.plan.id
    if record.state is State.FINALIZED:
        return Finalized(ref, 0, ())
    if record.state not in (State.COMPLETED, State.FINALIZING):
        raise Refused(
            f"The migration {record.plan.id} is {record.state}, not completed.",
            code="migration-unfinished",
            hint="Finish it first: orchestrator migrate --resume",
        )
    repository = _repository(record.root)
    clear_temporary(record, disk)
    if record.state is State.COMPLETED:
        record.journal.add("finalize-begun")
    kept = tuple(path for path in _secret(record) if os.path.lexists(record.root / path))
    paths = [path for path in _files(record) if not _is_below(path, kept)]
    if paths and repository.read_ref(ref) is None:
        commit = _commit(repository, record, paths, disk)
        repository.update_ref(ref, commit, None)
    _drop(record, disk, kept)
    record.journal.add("finalized")
    return Finalized(ref, len(paths), kept)


def _repository(root: Path) -> Repository:
    place = located(root)
    if place is None:
        raise Refused(
            f"{printable(root)} is no git repository, so there is nothing to keep the originals in.",
            code="not-a-repository",
            hint="Make one with `git init`, or leave the migration as it is.",
        )
    return Repository(place, trusted=False)


def _secret(record: Record) -> Iterator[str]:
    for action in record.plan.actions:
        if action.sensitive:
            yield original(record.plan.id, action.source)
            yield quarantined(record.plan.id, action.source)
            if action.target is not None:
                yield quarantined(record.plan.id, action.target)


def _files(record: Record) -> Iterator[str]:
    """Yields files and links that rollback needs, relative to the root."""
    for top in _tops(record):
        for here, directories, files in os.walk(top):
            for name in (*files, *(name for name in directories if os.path.islink(os.path.join(here, name)))):
                path = os.path.join(here, name)
                mode = os.lstat(path).st_mode
                if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                    yield os.path.relpath(path, record.root)


def _tops(record: Record) -> tuple[Path, ...]:
    quarantine = record.root / names.DIRECTORY / names.QUARANTINE / record.plan.id
    return record.originals, quarantine


def _is_below(path: str, tops: tuple[str, ...]) -> bool:
    return any(path == top or path.startswith(f"{top}/") for top in tops)


def _commit(repository: Repository, record: Record, paths: list[str], disk: Disk) -> ObjectId:
    index = record.directory / "index.kept"
    disk.remove(index)
    disk.remove(f"{index}.lock")
    git = Git(record.root, trusted=False, index=index)
    lines = bytearray()
    for path in paths:
        mode, blob = _blob(git, record.root, path)
        lines += f"{mode} {blob}\t".encode() + os.fsencode(path) + b"\0"
    git.run("update-index", "-z", "--index-info", input=bytes(lines), mutates=True)
    tree = git.run("write-tree", mutates=True).stdout.decode().strip()
    done = git.run("commit-tree", tree, input=b"Originals of a migration\n", env=_IDENTITY, mutates=True)
    disk.remove(index)
    return ObjectId(done.stdout.decode().strip())


def _blob(git: Git, root: Path, path: str) -> tuple[str, str]:
    place = os.path.join(root, path)
    facts = os.lstat(place)
    if stat.S_ISLNK(facts.st_mode):
        done = git.run("hash-object", "-w", "--stdin", input=os.fsencode(os.readlink(place)), mutates=True)
        return "120000", done.stdout.decode().strip()
    done = git.run("hash-object", "-w", "--no-filters", "--", path, mutates=True)
    return ("100755" if facts.st_mode & 0o100 else "100644"), done.stdout.decode().strip()


def _drop(record: Record, disk: Disk, kept: tuple[str, ...]) -> None:
    for top in _tops(record):
        if not os.path.isdir(top):
            continue
        if any((record.root / path).is_relative_to(top) for path in kept):
            for path in _files(record):
                if not _is_below(path, kept):
                    disk.remove(record.root / path)
        else:
            disk.remove_tree(top)
    for name in ("index.before", "index.after"):
        disk.remove(record.directory / name)
    if os.path.isdir(record.directory / LAYOUT_STAGE):
        disk.remove_tree(record.directory / LAYOUT_STAGE)
