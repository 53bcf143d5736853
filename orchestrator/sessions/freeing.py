"""What making room does to one run; the caller holds the run's lock."""

from __future__ import annotations

import gzip
import os
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.engine.context import EngineContext
from orchestrator.engine.keeping import remove_tree
from orchestrator.engine.merging import repository_lock
from orchestrator.engine.work import TREE, open_work
from orchestrator.fs.lock import FileLock
from orchestrator.model.event import Event
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.model.json import Json
from orchestrator.paths import names
from orchestrator.repo import archive as archiving
from orchestrator.repo import removal
from orchestrator.repo.archive import Archived, Leaving
from orchestrator.sessions.budget import WORTH_BYTES
from orchestrator.sessions.disk_use import PACKED, is_packed_log, is_rotated
from orchestrator.state.thinning import Thinning, bring_back
from orchestrator.verify.clean import discard

_LIMIT_BYTES = 256 << 20


def remove_trees(context: EngineContext, run_id: RunId) -> str:
    """Removes the trees of an ended run behind a checkpoint; returns the command that lists checkpoints.

    Raises:
        Refused, Failed, GitFailed: the tree cannot be kept, so it stays.
    """
    remove_tree(open_work(context, run_id, lambda: False), "pruned")
    removal.remove_notes(context.trees.root / run_id / TREE)
    discard(context.trees, run_id)
    return f"orchestrator checkpoints {run_id}"


def compress(context: EngineContext, run_id: RunId) -> int:
    """Compresses the outputs of a run, each beside itself first, and returns the bytes of all that is there.

    A kill leaves some compressed, one perhaps twice; the next call goes on.

    Raises:
        DiskFailed: the disk takes no more.
    """
    place = context.paths.run_artifacts_dir(run_id)
    with Thinning.open(context.paths) as thinning:
        for path in _plain_files(place):
            packed = path.with_name(path.name + PACKED)
            context.disk.write(packed, gzip.compress(path.read_bytes(), mtime=0))
            root = context.paths.artifacts_dir
            thinning.note_packed(run_id, os.path.relpath(path, root), os.path.relpath(packed, root))
            removal.remove_packed(path, packed)
    return removal.tree_bytes(place)


def _plain_files(place: Path) -> list[Path]:
    """Returns the outputs that are worth compressing."""
    found = []
    for directory, _, files in os.walk(place):
        for name in sorted(files):
            path = Path(directory, name)
            facts = os.lstat(path)
            worth = WORTH_BYTES < facts.st_size <= _LIMIT_BYTES
            if worth and stat.S_ISREG(facts.st_mode) and not name.endswith(PACKED):
                found.append(path)
    return found


def compress_logs(context: EngineContext) -> int:
    """Compresses the logs that were rotated, each under the time of its last line; returns the packed bytes.

    Raises:
        Locked: somebody rotates them just now.
        DiskFailed: the disk takes no more.
    """
    place = context.paths.logs_dir
    with _log_lock(context):
        for path in sorted(path for path in place.iterdir() if is_rotated(path.name)):
            stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%S")
            packed = place / f"{names.LOG}.{stamp}-{path.stat().st_ino:x}{PACKED}"
            context.disk.write(packed, gzip.compress(path.read_bytes(), mtime=0))
            removal.remove_packed(path, packed)
        return sum(path.stat().st_size for path in place.iterdir() if is_packed_log(path.name))


def remove_logs(context: EngineContext) -> None:
    """Removes the logs that are compressed; the events they tell of are in the database.

    Raises:
        Locked: somebody rotates logs just now.
    """
    place = context.paths.logs_dir
    with _log_lock(context):
        for path in sorted(path for path in place.iterdir() if is_packed_log(path.name)):
            removal.remove_outputs(path, root=place)


def _log_lock(context: EngineContext) -> FileLock:
    path = context.paths.log_file
    return FileLock(path.with_name(path.name + ".lock"), what="the log", command="orchestrator prune")


def remove_outputs(context: EngineContext, run_id: RunId) -> None:
    """Removes the outputs of an ended run; what it proved stays in its document.

    The rows go first: files that a kill leaves behind are still counted, and the next call removes them.
    """
    root = context.paths.artifacts_dir
    with Thinning.open(context.paths) as thinning:
        thinning.forget_artifacts(run_id)
    removal.remove_outputs(context.paths.run_artifacts_dir(run_id), root=root)


def archive(context: EngineContext, run_ids: Sequence[RunId]) -> Iterator[tuple[RunId, str]]:
    """Puts ended runs into the archive and yields each with its ref, once the state has forgotten it.

    First everything is reachable from the archive, then the runs' own refs go, then their papers, at last
    the rows: as long as a run is in the state, the next call does again what a kill has cut off.

    Raises:
        Failed: `not-kept`, the archive does not reach something; nothing of it goes then.
        Locked, GitFailed, DiskFailed: what was not done stays for the next call.
    """
    if not run_ids:
        return
    repository = context.repository
    with repository_lock(context, "orchestrator prune"):
        own = archiving.refs_of(repository, run_ids)
        refs = {run_id: {**_archived_before(context, run_id), **own[run_id]} for run_id in run_ids}
        leaving = [_leaving(context, run_id) for run_id in run_ids]
        kept = archiving.archive(repository, leaving, refs, place=context.paths.tmp_dir)
        going = {name: oid for run_id in run_ids for name, oid in own[run_id].items()}
        removal.remove_archived_refs(repository, going)
    with Thinning.open(context.paths) as thinning:
        for run_id in run_ids:
            paths = context.paths
            removal.remove_papers(
                paths.run_artifacts_dir(run_id),
                paths.checkpoint_manifest(run_id),
                root=paths.artifacts_dir,
            )
            thinning.forget_run(run_id, kept[run_id])
            yield run_id, kept[run_id]


def _archived_before(context: EngineContext, run_id: RunId) -> dict[str, ObjectId]:
    """Returns the refs that an archive lists already: a kill may have come when some of them were gone."""
    found = archiving.read_archived(context.repository, run_id)
    return dict(found.refs) if found is not None else {}


def _leaving(context: EngineContext, run_id: RunId) -> Leaving:
    state = context.state
    document = {**state.export_run_summary(run_id), "repo_id": context.repo_id}
    events: list[Json] = [_event(event) for event in state.events(run_id)]
    return Leaving(run_id, f"{state.get_run(run_id).created_at:%Y-%m}", document, events)


def _event(event: Event) -> Json:
    return {"at": event.at.isoformat(), "kind": str(event.kind), "data": dict(event.data)}


def restore(context: EngineContext, archived: Archived) -> tuple[str, ...]:
    """Brings an archived run back into the state, with its refs, and returns those that were missing.

    Its files come back with its checkpoints; outputs that were removed do not. Repeating it after a kill
    completes it; the entry in the archive stays. The caller holds the run's lock.

    Raises:
        Refused: `ref-taken`, or its document cannot be used; nothing of the state was changed.
        Failed: `archive-unreadable`.
    """
    made = archiving.put_refs_back(context.repository, archived)
    bring_back(context.paths, context.state, archived.document, archived.events)
    context.checkpoints.restore_manifest(archived.run_id)
    return made


def compact(context: EngineContext) -> int:
    """Gives the room of removed rows back to the disk and returns the bytes."""
    before = _database_bytes(context)
    with Thinning.open(context.paths) as thinning:
        thinning.compact()
    return before - _database_bytes(context)


def _database_bytes(context: EngineContext) -> int:
    total = 0
    for suffix in ("", "-wal"):
        path = f"{context.paths.state_file}{suffix}"
        total += os.lstat(path).st_size if os.path.lexists(path) else 0
    return total
