"""Puts together what the next save of a run holds: only what is new, and nothing that must not leave."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.engine.context import EngineContext
from orchestrator.engine.persistence import PersistReason
from orchestrator.errors import Failed
from orchestrator.model.event import Event, EventKind
from orchestrator.model.ids import RunId
from orchestrator.model.json import Json, JsonObject
from orchestrator.repo.history import read_small
from orchestrator.sessions import clone, segments
from orchestrator.sessions.saved import is_paper_of
from orchestrator.sessions.scan import scan
from orchestrator.sessions.segments import Manifest, Save, Tips

PAPERS_BYTES = 4 << 20
"""Transcripts and check outputs that one save takes along at most; larger ones stay on the machine."""
SEALED = ".age"
_AGE = b"-----BEGIN AGE ENCRYPTED FILE-----\n"
_RESTS = frozenset({PersistReason.RESTS, PersistReason.STOPS})


@dataclass(frozen=True, slots=True)
class Wish:
    """What a save is made for: the session, the bytes allowed altogether, the remote whose branches count.

    With `searched` off nothing is looked for in the objects: they stay with the user.
    """

    session: str
    max_bytes: int
    remote: str = ""
    searched: bool = True


def next_save(
    context: EngineContext,
    run_id: RunId,
    wish: Wish,
    *,
    newest: Save | None,
    reason: PersistReason,
    begins: bool = False,
) -> Save | None:
    """Writes a save behind `newest` and returns it; None when nothing is new. `begins` counts the epoch up.

    Raises:
        Failed: `secret-found` or `state-too-large`; nothing was written.
        GitFailed, DiskFailed: nothing was written.
    """
    last = newest.manifest if newest is not None else None
    events = _unsaved_events(context, run_id, last)
    tips = segments.read_tips(context.repository, run_id)
    rests = reason in _RESTS
    if last is not None and not begins and not events and _same(tips, last) and last.rests == rests:
        return None
    size = _searched_bytes(context, run_id, wish, tips, newest)
    files, contents = _papers(context, run_id, events)
    total = size + sum(map(len, contents.values())) + (last.saved_bytes if last else 0)
    if total > wish.max_bytes:
        raise _too_large(run_id, total, wish.max_bytes)
    manifest = _manifest(context, run_id, wish, tips, last, begins=begins, reason=reason)
    return segments.write_save(
        context.repository,
        manifest.model_copy(
            update={
                "events_through": events[-1].run_seq if events else manifest.events_through,
                "saved_bytes": total,
                "files": files,
            }
        ),
        previous=newest.commit if newest else None,
        tips=tips,
        document=_clean(context, context.state.export_run_summary(run_id)),
        events=[replace(event, data=_clean(context, event.data)) for event in events],
        contents=contents,
    )


def _manifest(
    context: EngineContext,
    run_id: RunId,
    wish: Wish,
    tips: Tips,
    last: Manifest | None,
    *,
    begins: bool,
    reason: PersistReason,
) -> Manifest:
    """Returns what the next save says of itself, before it is known what it holds."""
    return Manifest(
        session=wish.session,
        run_id=run_id,
        number=last.number + 1 if last else 1,
        epoch=max(1, (last.epoch if last else 0) + begins),
        holder=clone.this_clone(context.paths).id,
        host=os.uname().nodename[:255] if hasattr(os, "uname") else "",
        at=datetime.now(UTC),
        reason=str(reason),
        rests=reason in _RESTS,
        repo_id=context.repo_id,
        checkpoint=tips.checkpoint,
        result=tips.result,
        base=tips.base,
        events_through=last.events_through if last else 0,
        saved_bytes=0,
    )


def _unsaved_events(context: EngineContext, run_id: RunId, last: Manifest | None) -> list[Event]:
    """Returns the events after the last save; one made elsewhere counted otherwise than our state does."""
    if last is None:
        return context.state.events(run_id)
    if last.holder == clone.this_clone(context.paths).id:
        return context.state.events(run_id, after_run_seq=last.events_through)
    events = context.state.events(run_id)
    came_back = [n for n, event in enumerate(events) if event.kind is EventKind.RUN_RECOVERED]
    return events[came_back[-1] :] if came_back else events


def _same(tips: Tips, last: Manifest) -> bool:
    return (tips.checkpoint, tips.result, tips.base) == (last.checkpoint, last.result, last.base)


def _searched_bytes(
    context: EngineContext, run_id: RunId, wish: Wish, tips: Tips, newest: Save | None
) -> int:
    """Returns the bytes of the objects that would leave with this save, after they were searched.

    Raises:
        Failed: a secret is in them, or a checkpoint was marked as local for one.
    """
    if not wish.searched:
        return 0
    known = (newest.commit,) if newest is not None else ()
    found = scan(
        context.repository, tips.present(), known=known, remote=wish.remote, redactor=context.redactor
    )
    if found.places:
        raise _secret(run_id, found.places)
    kept = context.checkpoints.list_checkpoints(run_id)
    if kept and kept[0].local_only:  # such as a value in a name, or one that only an earlier process knew
        raise _secret(run_id, ("a checkpoint that is marked as local",))
    return found.size_bytes


def _papers(
    context: EngineContext, run_id: RunId, events: Sequence[Event]
) -> tuple[dict[str, str], dict[str, bytes]]:
    """Returns the papers that these events tell of, by path and by content, as far as the budget goes."""
    files: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    left = PAPERS_BYTES
    for event in events:
        path = event.data.get("path")
        if event.kind is not EventKind.ARTIFACT_ADDED or not isinstance(path, str):
            continue
        if not is_paper_of(path, run_id):
            continue  # the event came from elsewhere, and names a file of this machine's
        data = _paper(context, path, most_bytes=left)
        if not data:
            continue
        left -= len(data)
        files[path] = segments.digest_of(data)
        contents[files[path]] = data
    return files, contents


def _paper(context: EngineContext, path: str, *, most_bytes: int) -> bytes:
    """Returns a paper as it may leave, empty where it is gone or too large; one that is encrypted stays so.

    Ciphertext says nothing, and could not be read any more were a piece of it taken for a key.
    """
    place = context.paths.artifacts_dir / path
    if Path(os.path.realpath(place)) != Path(os.path.realpath(context.paths.artifacts_dir)) / path:
        return b""  # a link on the way leads to what is no paper of ours
    data = read_small(place, largest_bytes=most_bytes)
    is_sealed = path.endswith(SEALED) and data.startswith(_AGE)
    return data if is_sealed else context.redactor.data(data)


def _clean(context: EngineContext, value: JsonObject) -> JsonObject:
    cleaned: Json = context.redactor.json(value, keys=False)
    assert isinstance(cleaned, dict), "an object stays one"
    return cleaned


def _secret(run_id: RunId, places: tuple[str, ...]) -> Failed:
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return Failed(
        f"What run {run_id} would push holds what must not leave: {'; '.join(places[:3])}{more}."
        " It, and what follows it, STAYS ON THIS MACHINE.",
        code="secret-found",
        hint=f"Take it along yourself: orchestrator bundle export {run_id} FILE",
    )


def _too_large(run_id: RunId, total: int, allowed: int) -> Failed:
    return Failed(
        f"What run {run_id} would push has {total:,} bytes; session.max_push_bytes allows {allowed:,}."
        " What follows STAYS ON THIS MACHINE.",
        code="state-too-large",
        hint="Raise session.max_push_bytes in workflow.yaml",
    )
