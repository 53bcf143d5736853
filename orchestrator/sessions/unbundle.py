"""Reads a bundle of a run: every byte is checked in a place of its own before anything here changes."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from orchestrator.errors import GitFailed, Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import told
from orchestrator.fs.opening import open_regular
from orchestrator.model.ids import ObjectId
from orchestrator.model.json import JsonObject
from orchestrator.paths import names
from orchestrator.repo import borrowing
from orchestrator.repo.git import Git
from orchestrator.repo.scratch import Scratch, drafts
from orchestrator.sessions.bundle import GIT, MANIFEST, PAPERS, BundleManifest, Member
from orchestrator.sessions.giving_way import Target
from orchestrator.sessions.restore import Restored, bring_back
from orchestrator.sessions.saved import Saved, checked_path, parse_events, read_saved
from orchestrator.sessions.segments import (
    EVENTS,
    MAX_PART_BYTES,
    MAX_SMALL_BYTES,
    MAX_TOTAL_BYTES,
    RUN,
    SCHEMA_VERSION,
    chain_ref,
)
from orchestrator.state.document import parsed

MAX_GIT_BYTES = 8 << 30
_FETCH = ("-q", "--no-tags", "--no-auto-maintenance", "--no-write-fetch-head")
_PREFIX = "orchestrator-import-"
_HEAD = "refs/heads/saved"
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


def import_bundle(target: Target, file: Path) -> Restored:
    """Brings back the run in a file that `export_run` wrote, anywhere; nothing in it is believed.

    Raises:
        Refused: `bundle-missing`, `bundle-invalid`, `bundle-newer`, `unsafe-path`, `document-invalid`;
            nothing was changed.
        DiskFailed: there is no room to look into it.
    """
    with told(file), drafts(Path(tempfile.gettempdir()), prefix=_PREFIX) as place:
        manifest = _unpack(file, place)
        room = borrowing.scratch_for(target.repository, place)
        saved = _checked(room, manifest, place)
        into = f"{names.INCOMING_REFS}{manifest.session}/{manifest.run_id}"
        borrowing.fetch(target.repository, room.path, f"{_HEAD}:{into}")
        return bring_back(target, [saved])


def _unpack(file: Path, place: Path) -> BundleManifest:
    """Writes the members into `place` under numbers of ours, and returns what the archive says of them."""
    try:
        descriptor = open_regular(file)
    except (FileNotFoundError, NotADirectoryError):
        raise Refused(
            f"There is no file {os.path.normpath(file)}.",
            code="bundle-missing",
            hint="Export a run where it is: orchestrator bundle export RUN FILE",
        ) from None
    with os.fdopen(descriptor, "rb") as source:
        _require_room(place, os.fstat(descriptor).st_size)
        try:
            with tarfile.open(fileobj=source, mode="r:") as archive:
                return _members(archive, place)
        except (tarfile.TarError, EOFError, OverflowError, ValueError) as error:
            raise _invalid(f"it is no archive of ours ({error})") from error


def _require_room(place: Path, size: int) -> None:
    free = Disk().free_space(place).bytes
    if free < 2 * size:
        raise Refused(
            f"Looking into the bundle needs {2 * size:,} bytes in {place.parent}; {free:,} are free.",
            code="import-no-space",
            hint="Free space, or name another place with TMPDIR.",
        )


def _members(archive: tarfile.TarFile, place: Path) -> BundleManifest:
    first = archive.next()
    if first is None or first.name != MANIFEST:
        raise _invalid(f"it does not begin with {MANIFEST}")
    manifest = _manifest(_content(archive, _plain(first), MAX_SMALL_BYTES))
    seen: set[str] = set()
    while (entry := archive.next()) is not None:
        name = _plain(entry).name
        member = manifest.members.get(name)
        if member is None or name in seen:
            raise _invalid(f"{name[:100]!r} is in it, and not (or twice) in its list")
        seen.add(name)
        _copy(archive, entry, member, place / _kept_as(name, manifest))
    if missing := set(manifest.members) - seen:
        raise _invalid(f"{min(missing)[:100]!r} is in its list, and not in it")
    return manifest


def _manifest(data: bytes) -> BundleManifest:
    try:
        found = json.loads(data)
        version = found.get("schema_version") if isinstance(found, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise Refused(
                f"The bundle has format {version}; this version of orchestrator knows {SCHEMA_VERSION}.",
                code="bundle-newer",
                hint="Update orchestrator: pip install --upgrade orchestrator",
            )
        manifest = BundleManifest.model_validate_json(data)
    except (ValidationError, ValueError, RecursionError) as error:
        raise _invalid(f"its list cannot be read: {str(error).splitlines()[0]}") from error
    for name, member in manifest.members.items():
        if member.size_bytes > _allowed(name, manifest):
            raise _invalid(f"{name[:100]!r} is larger than allowed ({member.size_bytes:,} bytes)")
    if missing := {GIT, RUN, EVENTS} - set(manifest.members):
        raise _invalid(f"it holds no {min(missing)}")
    return manifest


def _allowed(name: str, manifest: BundleManifest) -> int:
    """Returns how many bytes a member may have.

    Raises:
        Refused: `bundle-invalid`, nothing of that name belongs into a bundle.
    """
    sizes = {GIT: MAX_GIT_BYTES, RUN: MAX_PART_BYTES, EVENTS: MAX_TOTAL_BYTES}
    if name in sizes:
        return sizes[name]
    if not name.startswith(PAPERS):
        raise _invalid(f"{name[:100]!r} does not belong into it")
    try:
        checked_path(name.removeprefix(PAPERS), manifest.run_id)
    except Refused as refusal:
        raise _invalid(f"{name[:100]!r} would lead out of its place") from refusal
    return MAX_PART_BYTES


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    if entry.type not in _PLAIN or entry.issparse() or entry.pax_headers or entry.size < 0:
        raise _invalid(f"{entry.name[:100]!r} is no plain file")
    return entry


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo, most_bytes: int) -> bytes:
    if entry.size > most_bytes:
        raise _invalid(f"{entry.name[:100]!r} is larger than allowed ({entry.size:,} bytes)")
    with _reader(archive, entry) as source:
        return source.read(most_bytes)


def _reader(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    source = archive.extractfile(entry)
    assert source is not None, "a plain file can be read"
    return source


def _kept_as(name: str, manifest: BundleManifest) -> str:
    return f"member-{sorted(manifest.members).index(name)}"


def _copy(archive: tarfile.TarFile, entry: tarfile.TarInfo, member: Member, into: Path) -> None:
    """Writes one member, whose size and hash must be as the list says."""
    if entry.size != member.size_bytes:
        raise _invalid(f"{entry.name!r} has {entry.size:,} bytes, not {member.size_bytes:,}")
    digest = hashlib.sha256()
    with _reader(archive, entry) as source, open(into, "wb") as out:
        while block := source.read(1 << 20):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != member.sha256:
        raise _invalid(f"{entry.name!r} has another hash than its list says")


def _checked(room: Scratch, manifest: BundleManifest, place: Path) -> Saved:
    """Returns what the git bundle holds, which goes into a repository of its own at first.

    Raises:
        Refused: it is not what the list and the other members say.
    """
    document = _read_json(place / _kept_as(RUN, manifest))
    parsed(document)
    events = (place / _kept_as(EVENTS, manifest)).read_bytes()
    past = tuple(parse_events(events, manifest.run_id))
    saved = _fetched(room, manifest, place)
    if saved.document != document or saved.past != past:
        raise _invalid("its record is not the one in its git bundle")
    listed = {f"{PAPERS}{path}": digest for path, (_, digest) in saved.papers.items()}
    said = {name: member.sha256 for name, member in manifest.members.items() if name.startswith(PAPERS)}
    if listed != said:
        raise _invalid("its papers are not those in its git bundle")
    return saved


def _fetched(room: Scratch, manifest: BundleManifest, place: Path) -> Saved:
    git = Git(place, trusted=False, git_dir=room.path)
    bundle = place / _kept_as(GIT, manifest)
    ref = chain_ref(manifest.session, manifest.run_id)
    try:
        git.run("fetch", *_FETCH, "--", str(bundle), f"{ref}:{_HEAD}")
        tip = git.text("rev-parse", "--verify", _HEAD)
        if tip != manifest.commit:
            raise _invalid("its git bundle holds another save than its list says")
        saved = read_saved(git, ObjectId(tip), session=manifest.session, run_id=manifest.run_id)
        for _ in saved.contents(git, saved.papers):
            pass
    except GitFailed as error:
        raise _invalid(f"its git bundle cannot be used ({error.message})") from error
    return saved


def _read_json(path: Path) -> JsonObject:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _invalid("its record is no JSON") from error
    if not isinstance(found, dict):
        raise _invalid("its record is no JSON object")
    return found


def _invalid(reason: str) -> Refused:
    return Refused(
        f"The bundle cannot be used: {reason}. Nothing was changed.",
        code="bundle-invalid",
        hint="Export the run again where it is: orchestrator bundle export RUN FILE",
    )
