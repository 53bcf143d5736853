"""One file that holds a run and continues elsewhere without a remote: git bundle, state, papers, hashes.

The file is a plain tar archive of regular files. Its first member, `bundle.json`, names every other one with
its size and SHA-256; nothing else may be in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.engine.context import EngineContext
from orchestrator.engine.keeping import keep_live
from orchestrator.engine.persistence import PersistReason
from orchestrator.engine.work import open_work
from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import told
from orchestrator.fs.lock import FileLock
from orchestrator.model.ids import RunId
from orchestrator.paths import names
from orchestrator.repo.scratch import drafts
from orchestrator.sessions.clone import session_of_run
from orchestrator.sessions.saved import Saved, read_saved
from orchestrator.sessions.segments import EVENTS, RUN, Digest, Oid, Save, chain_ref, read_save
from orchestrator.sessions.writing import Wish, next_save

MANIFEST = "bundle.json"
GIT = "run.bundle"
PAPERS = "artifacts/"
_NO_LIMIT = 2**50


class Member(BaseModel):
    """One file of the archive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Digest
    size_bytes: int = Field(ge=0)


class BundleManifest(BaseModel):
    """What `bundle.json` says; `commit` is the save that the git bundle brings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    session: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    run_id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    commit: Oid
    members: dict[str, Member]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the file, its bytes, and whether something in it must not become public."""

    file: Path
    size_bytes: int
    local_only: bool


def export_run(context: EngineContext, run_id: RunId, file: Path) -> Exported:
    """Writes a run into one file; what the tree holds and no checkpoint is checkpointed first.

    The file appears complete and durable under its name, which must be free.

    Raises:
        Refused: `unknown-run`, `export-exists`.
        Locked: a process works on the run.
        DiskFailed: the place is full or not writable.
    """
    context.state.get_run(run_id)
    if os.path.lexists(file):
        raise Refused(
            f"{os.path.normpath(file)} exists already.",
            code="export-exists",
            hint=f"Name another file: orchestrator bundle export {run_id} FILE",
        )
    words = f"orchestrator bundle export {run_id}"
    with FileLock(context.paths.run_lock(run_id), what=f"run {run_id}", command=words):
        keep_live(open_work(context, run_id, lambda: False))
        newest = context.checkpoints.list_checkpoints(run_id)[:1]
        saved = _saved(context, run_id)
        size = write_bundle(context, saved, file)
    return Exported(file, size, any(each.local_only for each in newest))


def _saved(context: EngineContext, run_id: RunId) -> Saved:
    git, session = context.repository.git, session_of_run(context.repository, context.paths, run_id)
    tip = context.repository.read_ref(chain_ref(session, run_id))
    newest = read_save(git, tip, session=session, run_id=run_id) if tip else None
    wish = Wish(session, _NO_LIMIT, searched=False)
    made: Save | None = next_save(context, run_id, wish, newest=newest, reason=PersistReason.EXPORTED)
    last = made or newest
    assert last is not None, "the first save is always news"
    return read_saved(git, last.commit, session=session, run_id=run_id)


def write_bundle(context: EngineContext, saved: Saved, file: Path) -> int:
    """Writes the file for what was saved and returns its size; a kill leaves drafts in `tmp/`.

    The next export removes them.
    """
    disk = Disk()
    with drafts(context.paths.tmp_dir) as directory:
        git_bundle, draft = directory / "run.bundle", directory / "run.tar"
        refs = [chain_ref(saved.manifest.session, saved.run_id)]
        refs += [
            name
            for name in (f"{names.RUN_REFS}{saved.run_id}", f"{names.RESULT_REFS}{saved.run_id}")
            if context.repository.read_ref(name) is not None
        ]
        context.repository.git.run("bundle", "create", "-q", str(git_bundle), *refs, mutates=True)
        disk.write(draft, b"")
        with told(draft), open(draft, "wb") as out:
            _write_archive(out, context, saved, git_bundle)
            out.flush()
            os.fsync(out.fileno())
        disk.sweep_temp(file.absolute().parent)
        disk.copy(draft, file.absolute())
        return draft.stat().st_size


def _write_archive(out: IO[bytes], context: EngineContext, saved: Saved, git_bundle: Path) -> None:
    parts = dict(_parts(context, saved))
    members = {
        name: Member(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        for name, data in parts.items()
    }
    members[GIT] = Member(sha256=_digest(git_bundle), size_bytes=git_bundle.stat().st_size)
    manifest = BundleManifest(
        session=saved.manifest.session, run_id=saved.run_id, commit=saved.tip, members=members
    )
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, MANIFEST, manifest.model_dump_json(indent=1).encode() + b"\n")
        for name, data in parts.items():
            _add(archive, name, data)
        with open(git_bundle, "rb") as file:
            archive.addfile(_entry(GIT, git_bundle.stat().st_size), file)


def _parts(context: EngineContext, saved: Saved) -> Iterator[tuple[str, bytes]]:
    yield RUN, json.dumps(saved.document, ensure_ascii=True, sort_keys=True, indent=1).encode() + b"\n"
    lines = (
        {"at": event.at.isoformat(), "kind": str(event.kind), "data": event.data} for event in saved.past
    )
    yield EVENTS, "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    for path, data in saved.contents(context.repository.git, sorted(saved.papers)):
        yield f"{PAPERS}{path}", data


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    archive.addfile(_entry(name, len(data)), io.BytesIO(data))


def _entry(name: str, size_bytes: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size_bytes, 0o600
    return entry


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
