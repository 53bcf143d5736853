"""Writes everything of ours into one bundle, and tells which runs hold work that nobody merged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import GitFailed, Refused
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId
from orchestrator.paths import names
from orchestrator.repo.archive import read_all
from orchestrator.repo.asking import OURS
from orchestrator.repo.repository import Repository
from orchestrator.repo.scratch import drafts


def export_bundle(repository: Repository, file: Path, *, scratch: Path) -> Mapping[str, ObjectId]:
    """Writes all our refs and branches, with their whole history, into the bundle `file`; returns them.

    Any repository can fetch from it. It appears under its name complete, checked and durable. A kill leaves
    files in `scratch`, a directory of ours, and perhaps one temporary file beside `file`, which the next
    export removes; a bundle that an earlier call completed and that holds everything still is taken as it is.

    Raises:
        Refused: `export-exists`, another file of that name is there; `nothing-to-export`.
        DiskFailed: the place is full or not writable.
    """
    refs, disk = repository.our_refs(), Disk()
    place = Path(os.path.abspath(file))
    if os.path.lexists(place):
        if _is_whole(repository, place, refs):
            return refs
        raise Refused(f"{file} exists already.", code="export-exists", hint="Choose another name.")
    if not refs:
        raise Refused(
            "There is nothing to export: no run has left anything.",
            code="nothing-to-export",
            hint="Take it out without --export: orchestrator deinit",
        )
    with drafts(scratch) as directory:
        draft = directory / "export.bundle"
        wanted = "".join(f"{name}\n" for name in refs).encode("utf-8", "surrogateescape")
        repository.git.run("bundle", "create", "-q", str(draft), "--stdin", input=wanted, mutates=True)
        if holds(repository, draft) != dict(refs):
            raise Refused(
                "A run changed something while it was exported.",
                code="export-changed",
                hint="Wait for the runs to end, then export again.",
            )
        disk.sweep_temp(place.parent)
        disk.copy(draft, place)
    return refs


def _is_whole(repository: Repository, bundle: Path, refs: Mapping[str, ObjectId]) -> bool:
    """Returns whether a file is a bundle of our refs that still holds each of `refs`."""
    try:
        held = holds(repository, bundle)
    except GitFailed:
        return False
    ours = bool(held) and all(name.startswith(OURS) for name in held)
    return ours and all(held.get(name) == oid for name, oid in refs.items())


def holds(repository: Repository, bundle: Path) -> Mapping[str, ObjectId]:
    """Returns the refs in a bundle that is complete by itself, by full name.

    Raises:
        GitFailed: it is damaged or no bundle.
    """
    repository.git.run("bundle", "verify", "-q", str(bundle))
    lines = repository.git.lines("bundle", "list-heads", str(bundle))
    pairs = (line.split(" ", 1) for line in lines)
    return {name: ObjectId(oid) for oid, name in pairs}


def unmerged_runs(repository: Repository) -> tuple[str, ...]:
    """Returns the ids of the runs that left something which no branch, tag or remote of the user's holds.

    What is kept as a fork of a run that went on elsewhere always counts.
    """
    refs = dict(repository.our_refs())
    for archived in read_all(repository):
        for name, oid in archived.refs.items():
            refs.setdefault(name, oid)
    prefixes = (names.RUN_REFS, names.RESULT_REFS, names.BRANCHES)
    runs = {name[len(prefix) :] for name in refs for prefix in prefixes if name.startswith(prefix)}
    forked = {name.split("/")[-2] for name in refs if name.startswith(names.FORK_REFS)}
    return tuple(sorted(run for run in runs | forked if run in forked or _is_unmerged(repository, refs, run)))


def _is_unmerged(repository: Repository, refs: Mapping[str, ObjectId], run: str) -> bool:
    results = {refs[ref + run] for ref in (names.RESULT_REFS, names.BRANCHES) if ref + run in refs}
    if any(not is_held_by_user(repository, commit) for commit in results):
        return True
    checkpoint = refs.get(names.RUN_REFS + run)
    if checkpoint is None:
        return False
    kept = {repository.tree_of(commit) for commit in results}
    base = refs.get(names.BASE_REFS + run)
    if base is not None:
        kept.add(repository.tree_of(base))
    last = repository.git.text("rev-parse", "-q", "--verify", f"{checkpoint}:tree", ok=(0, 1, 128))
    return last not in kept


def is_held_by_user(repository: Repository, commit: ObjectId) -> bool:
    """Returns whether a ref of the user's reaches `commit`."""
    found = repository.git.lines("for-each-ref", "--format=%(refname)", "--contains", commit)
    return any(not name.startswith(OURS) for name in found)
