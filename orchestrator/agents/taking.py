"""Writes the files of an answer into the tree: all of them, or none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from orchestrator.agents.answer import AnsweredFile, files_in
from orchestrator.agents.confined import ConfinedTree, PathRefused
from orchestrator.agents.patching import DiffRefused, applied, patches_in
from orchestrator.fs.disk import Disk
from orchestrator.model.agent import WrittenFile

_MAX_BYTES = 16 << 20


class AnswerRefused(Exception):
    """Nothing of an answer was written; the sentence tells why."""


def take_files(answer: str, root: Path) -> tuple[WrittenFile, ...]:
    """Returns the files that an answer holds, written into the tree at `root`; none where it holds none.

    What was there is in the checkpoint before. Every path and every change is looked at before the first
    file is written. A kill leaves some of them written, each of them whole.

    Raises:
        AnswerRefused: a path leads out of the tree or into `.git` or `.orchestrator`, or a diff does not fit.
        DiskFailed: one cannot be written.
    """
    tree = ConfinedTree(root)
    try:
        wanted = _wanted(answer, tree)
    except (PathRefused, DiffRefused) as error:
        raise AnswerRefused(f"nothing was written: {error}") from error
    disk = Disk()
    return tuple(_written(disk, tree, place, text) for place, text in wanted.items())


def put(disk: Disk, place: Path, text: str) -> None:
    """Writes a file of the tree, which keeps its mode; directories are made.

    Raises:
        DiskFailed: it cannot be written.
    """
    mode = place.stat().st_mode & 0o777 if place.exists() else 0o644
    disk.make_dir(place.parent, mode=0o755)
    disk.write(place, text.encode("utf-8", "surrogateescape"), mode=mode)


def _wanted(answer: str, tree: ConfinedTree) -> Mapping[Path, str]:
    wanted: dict[Path, str] = {}
    for each in files_in(answer):
        if isinstance(each, AnsweredFile):
            wanted[tree.to_write(each.path)] = each.text
            continue
        for patch in patches_in(each.text):
            place = tree.to_write(patch.path)
            wanted[place] = applied(patch, wanted.get(place, _before(place)))
    inside = next((one for one in wanted if any(one in other.parents for other in wanted)), None)
    if inside is not None:
        raise PathRefused(f"{tree.shown(inside)} would be a file and a directory")
    if sum(map(len, wanted.values())) > _MAX_BYTES:
        raise PathRefused(f"the files are larger than {_MAX_BYTES >> 20} MiB")
    return wanted


def _before(place: Path) -> str | None:
    return place.read_bytes().decode("utf-8", "surrogateescape") if place.exists() else None


def _written(disk: Disk, tree: ConfinedTree, place: Path, text: str) -> WrittenFile:
    put(disk, place, text)
    data = text.encode("utf-8", "surrogateescape")
    return WrittenFile(tree.shown(place), hashlib.sha256(data).hexdigest(), len(data))
