"""Reads back what was saved of a run: the whole chain, checked before anything of it is used."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from orchestrator.errors import Refused
from orchestrator.model.event import EventKind, PastEvent
from orchestrator.model.ids import ObjectId, RunId, parse_run_id
from orchestrator.model.json import JsonObject
from orchestrator.repo.git import Git
from orchestrator.sessions import segments
from orchestrator.sessions.segments import MAX_PART_BYTES, MAX_SMALL_BYTES, Manifest, invalid

_KINDS = frozenset(str(kind) for kind in EventKind)
_AT_ONCE_BYTES = 32 << 20
"""Papers that are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A run as it was saved elsewhere; checked in form, but nobody vouches for what it says.

    `events` are those of each commit of the chain, oldest first; `papers` tells in which commit each paper
    is, by its path below `artifacts/`.
    """

    tip: ObjectId
    manifest: Manifest
    document: JsonObject
    events: tuple[tuple[ObjectId, tuple[PastEvent, ...]], ...]
    papers: Mapping[str, tuple[ObjectId, str]]

    @property
    def run_id(self) -> RunId:
        """Returns the id of the run."""
        return RunId(self.manifest.run_id)

    @property
    def past(self) -> tuple[PastEvent, ...]:
        """Returns all events, oldest first."""
        return tuple(event for _, events in self.events for event in events)

    @property
    def status(self) -> str:
        """Returns where the run stood, in the words of its record."""
        run = self.document.get("run")
        status = run.get("status") if isinstance(run, Mapping) else None
        return status if isinstance(status, str) else ""

    def contents(self, git: Git, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yields papers with what they hold, in the order of `paths`; reads a few dozen megabytes at a time.

        Raises:
            Refused: `save-invalid`, one is missing, too large, or not what the manifest says.
        """
        for names in self._portions(git, list(paths)):
            for path, data in zip(names, segments.read_parts(git, self._parts(names)), strict=True):
                if segments.digest_of(data) != self.papers[path][1]:
                    raise invalid(self.manifest.run_id, f"{path} is not what was saved")
                yield path, data

    def _portions(self, git: Git, paths: list[str]) -> Iterator[list[str]]:
        sizes = segments.part_sizes(git, self._parts(paths)) if paths else []
        portion: list[str] = []
        held = 0
        for path, size in zip(paths, sizes, strict=True):
            if portion and held + size > _AT_ONCE_BYTES:
                yield portion
                portion, held = [], 0
            portion.append(path)
            held += size
        if portion:
            yield portion

    def _parts(self, paths: list[str]) -> list[segments.Part]:
        found = [self.papers[path] for path in paths]
        return [(commit, f"{segments.FILES}/{digest}", MAX_PART_BYTES) for commit, digest in found]


def read_saved(git: Git, tip: ObjectId, *, session: str, run_id: str) -> Saved:
    """Returns what the chain that ends in `tip` holds of a run.

    Raises:
        Refused: `save-invalid`, `save-newer`, `run-id-invalid`.
    """
    name = parse_run_id(run_id)
    commits, parents = _chain(git, tip, session, name)
    parts = segments.read_parts(
        git,
        [
            (tip, segments.RUN, MAX_PART_BYTES),
            *((commit, segments.MANIFEST, MAX_SMALL_BYTES) for commit in commits),
            *((commit, segments.EVENTS, MAX_PART_BYTES) for commit in commits),
        ],
    )
    record, said, told = parts[0], parts[1 : len(commits) + 1], parts[len(commits) + 1 :]
    manifests = [segments.parse_manifest(data) for data in said]
    segments.require_own(manifests[-1], session, name, parents)
    events = tuple(
        (commit, tuple(parse_events(data, run_id))) for commit, data in zip(commits, told, strict=True)
    )
    papers = {
        checked_path(path, run_id): (commit, digest)
        for commit, manifest in zip(commits, manifests, strict=True)
        for path, digest in manifest.files.items()
    }
    if any(str(above) in papers for path in papers for above in PurePosixPath(path).parents):
        raise invalid(run_id, "it has a file where another has its directory")
    return Saved(tip, manifests[-1], _record(record, run_id), events, papers)


def _chain(
    git: Git, tip: ObjectId, session: str, run_id: RunId
) -> tuple[tuple[ObjectId, ...], tuple[str, ...]]:
    try:
        return segments.chain(git, tip)
    except Refused:
        segments.read_save(git, tip, session=session, run_id=run_id)  # a later version may chain otherwise
        raise


def _record(data: bytes, run_id: str) -> JsonObject:
    document = _object(data, run_id)
    run = document.get("run")
    if not isinstance(run, Mapping) or run.get("id") != run_id:
        raise invalid(run_id, "its record is that of another run")
    return document


def parse_events(data: bytes, run_id: str) -> Iterator[PastEvent]:
    """Yields the events of one save.

    Raises:
        Refused: `save-invalid`, or `save-newer` for a kind of event that a later version wrote.
    """
    for line in data.splitlines():
        found = _object(line, run_id)
        at, kind, said = found.get("at"), found.get("kind"), found.get("data")
        if not isinstance(at, str) or not isinstance(kind, str) or not isinstance(said, Mapping):
            raise invalid(run_id, "one of its events is none")
        if kind not in _KINDS:
            raise segments.newer()
        yield PastEvent(_time(at, run_id), EventKind(kind), said)


def checked_path(path: str, run_id: str) -> str:
    """Returns a path below `artifacts/` that stays in the directory of its run.

    Raises:
        Refused: `save-invalid`, it would lead elsewhere.
    """
    if not is_paper_of(path, run_id):
        raise invalid(run_id, f"it names a file {path[:100]!r}, which would lead out of its place")
    return path


def is_paper_of(path: str, run_id: str) -> bool:
    """Returns whether a path below `artifacts/` stays in the directory of its run."""
    parts = PurePosixPath(path).parts
    plain = "/".join(parts) == path and not set(path) & set("\0\\:") and len(path) <= 400
    return plain and len(parts) >= 2 and parts[0] == run_id and ".." not in parts


def _object(data: bytes, run_id: str) -> JsonObject:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise invalid(run_id, "a part of it is no JSON") from error
    if not isinstance(found, dict):
        raise invalid(run_id, "a part of it is no JSON object")
    return found


def _time(text: str, run_id: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(run_id, "an event has no time") from error
    if at.tzinfo is None:
        raise invalid(run_id, "an event has no time zone")
    return at
