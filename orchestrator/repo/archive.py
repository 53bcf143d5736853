"""Keeps runs that were pruned: one ref a month reaches everything of them, and a small tree lists them.

`refs/orchestrator/archive/<yyyy-mm>` is a chain of commits of ours. The tree of each holds
`runs/<run-id>.json` for every run archived under that month, its parents are the refs that those runs had:
a hundred runs cost one ref, and nothing of them is out of reach.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Failed, OrchestratorError, Refused
from orchestrator.model.ids import ObjectId, RunId, parse_run_id
from orchestrator.model.json import Json, JsonObject
from orchestrator.paths import names
from orchestrator.repo import borrowing, scratch
from orchestrator.repo.repository import Repository
from orchestrator.repo.settle import is_ancestor

RUN_PREFIXES = (names.RUN_REFS, names.RESULT_REFS, names.BASE_REFS, names.DISCARDED_REFS)
"""Refs of a run that go into the archive; its branch is the user's to keep or remove."""

_PARENTS = 64
_MONTH = re.compile(r"\d{4}-\d{2}")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FOLDER = "runs"


@dataclass(frozen=True, slots=True)
class Leaving:
    """A run on its way into the archive: under which month, its document, and its events."""

    run_id: RunId
    month: str
    document: JsonObject
    events: Json


@dataclass(frozen=True, slots=True)
class Archived:
    """A run in the archive, as the newest entry tells; nobody vouches for document and events."""

    run_id: RunId
    ref: str
    refs: Mapping[str, ObjectId]
    document: JsonObject
    events: Json


def refs_of(repository: Repository, run_ids: Iterable[RunId]) -> Mapping[RunId, Mapping[str, ObjectId]]:
    """Returns the refs that go into the archive with each of these runs."""
    wanted = {run_id: dict[str, ObjectId]() for run_id in run_ids}
    for prefix in RUN_PREFIXES:
        for name, oid in repository.refs(prefix).items():
            run_id = RunId(name.removeprefix(prefix))
            if run_id in wanted:
                wanted[run_id][name] = oid
    return wanted


def archive(
    repository: Repository,
    runs: Sequence[Leaving],
    refs: Mapping[RunId, Mapping[str, ObjectId]],
    *,
    place: Path,
) -> Mapping[RunId, str]:
    """Puts runs into the archive and returns the ref that keeps each; durable when it returns.

    Their own refs stay for now. `place` is a directory of ours for scratch space. A kill leaves each month's
    ref as it was, or with all the runs of that month. The caller holds the lock of the repository.

    Raises:
        GitFailed, DiskFailed: the objects could not be written; the refs of the runs are untouched.
    """
    kept = {}
    for month in sorted({run.month for run in runs}):
        ref = names.ARCHIVE_REFS + month
        _extend(repository, ref, [run for run in runs if run.month == month], refs, place)
        kept.update({run.run_id: ref for run in runs if run.month == month})
    return kept


def _extend(
    repository: Repository,
    ref: str,
    runs: Sequence[Leaving],
    refs: Mapping[RunId, Mapping[str, ObjectId]],
    place: Path,
) -> None:
    scratch.sweep(place)
    room = borrowing.scratch_for(repository, place)
    try:
        entries = _entries(repository, ref)
        for run in runs:
            entries[f"{run.run_id}.json"] = room.put("blob", _record(run, refs[run.run_id]))
        folder = _tree(room, [("100644", name, oid) for name, oid in entries.items()])
        tree = _tree(room, [("40000", _FOLDER, folder)])
        tips = sorted({oid for run in runs for oid in refs[run.run_id].values()})
        tip = repository.read_ref(ref)
        message = f"{len(runs)} runs are archived\n"
        for start in range(0, max(len(tips), 1), _PARENTS):
            parents = (*((tip,) if tip is not None else ()), *tips[start : start + _PARENTS])
            tip = room.put("commit", borrowing.commit_bytes(tree, parents, message))
        assert tip is not None, "the loop makes at least one commit"
        branch = room.set_branch("archive", tip)
        borrowing.fetch(repository, room.path, f"{branch}:{ref}")
    finally:
        room.remove()


def _record(run: Leaving, refs: Mapping[str, ObjectId]) -> bytes:
    record = {
        "schema_version": 1,
        "run_id": run.run_id,
        "refs": dict(refs),
        "document": run.document,
        "events": run.events,
    }
    return json.dumps(record, ensure_ascii=True, sort_keys=True, indent=1).encode() + b"\n"


def _tree(room: scratch.Scratch, entries: Sequence[tuple[str, str, ObjectId]]) -> ObjectId:
    ordered = sorted(entries, key=lambda entry: entry[1] + ("/" if entry[0] == "40000" else ""))
    data = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(oid) for mode, name, oid in ordered)
    return room.put("tree", data)


def _entries(repository: Repository, ref: str) -> dict[str, ObjectId]:
    """Returns the files of an archive's list by name; none where there is no such ref."""
    done = repository.git.run("ls-tree", "-z", f"{ref}:{_FOLDER}", ok=(0, 128))
    found = {}
    for item in done.stdout.split(b"\0") if done.status == 0 else ():
        facts, _, raw = item.partition(b"\t")
        if raw and facts.split(b" ")[1] == b"blob":
            found[raw.decode("utf-8", "replace")] = ObjectId(facts.split(b" ")[2].decode())
    return found


def months(repository: Repository) -> tuple[str, ...]:
    """Returns the full names of the archive's refs, newest month first."""
    found = sorted(repository.refs(names.ARCHIVE_REFS), reverse=True)
    return tuple(name for name in found if _MONTH.fullmatch(name.removeprefix(names.ARCHIVE_REFS)))


def archived_runs(repository: Repository) -> Mapping[RunId, str]:
    """Returns the ids of all archived runs, each with the ref that keeps it."""
    found: dict[RunId, str] = {}
    for ref in months(repository):
        for name in _entries(repository, ref):
            try:
                found.setdefault(parse_run_id(name.removesuffix(".json")), ref)
            except OrchestratorError:
                continue  # somebody else's file
    return found


def read_archived(repository: Repository, run_id: RunId) -> Archived | None:
    """Returns a run from the archive; None where it is in none.

    Raises:
        Failed: `archive-unreadable`.
    """
    for ref in months(repository):
        done = repository.git.run("cat-file", "blob", f"{ref}:{_FOLDER}/{run_id}.json", ok=(0, 128))
        if done.status == 0:
            return _parsed(run_id, ref, done.stdout)
    return None


def _parsed(run_id: RunId, ref: str, data: bytes) -> Archived:
    try:
        record = json.loads(data)
        refs, document, events = record["refs"], record["document"], record["events"]
        if not isinstance(document, dict) or record["run_id"] != run_id or record["schema_version"] != 1:
            raise ValueError("the record is of another run or version")
        allowed = {prefix + run_id for prefix in RUN_PREFIXES}
        if not set(refs) <= allowed or not all(_OBJECT_ID.fullmatch(oid) for oid in refs.values()):
            raise ValueError("it names refs that are not this run's")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Failed(
            f"What {ref} says of run {run_id} cannot be used: {error}.",
            code="archive-unreadable",
            hint=f"Its commits are still there: git log {ref}",
        ) from None
    return Archived(run_id, ref, {name: ObjectId(oid) for name, oid in refs.items()}, document, events)


def put_refs_back(repository: Repository, archived: Archived) -> tuple[str, ...]:
    """Makes the refs of an archived run again and returns those that were missing; repeating it is fine.

    Only commits that the archive reaches come back: its list is nobody's word. The caller holds the run's
    lock.

    Raises:
        Refused: `ref-taken`, a ref of that name is elsewhere by now.
        Failed: `archive-unreadable`, a commit is not in the archive.
    """
    made = []
    for name, oid in sorted(archived.refs.items()):
        found = repository.read_ref(name)
        if found == oid:
            continue
        if found is not None:
            raise Refused(
                f"{name} is at {found[:12]} by now, so run {archived.run_id} does not come back over it.",
                code="ref-taken",
                hint=f"Look at it with: git log {name}",
            )
        if not is_ancestor(repository, oid, ObjectId(archived.ref)):
            raise Failed(
                f"{oid[:12]} is not in {archived.ref}.",
                code="archive-unreadable",
                hint=f"Look at what is there: git log {archived.ref}",
            )
        repository.update_ref(name, oid, None)
        made.append(name)
    return tuple(made)


def read_all(repository: Repository) -> tuple[Archived, ...]:
    """Returns every run in the archive; what cannot be read is left out."""
    runs = archived_runs(repository)
    wanted = "".join(f"{ref}:{_FOLDER}/{run_id}.json\n" for run_id, ref in runs.items())
    data = repository.git.run("cat-file", "--batch", input=wanted.encode()).stdout if wanted else b""
    found, at = [], 0
    for run_id, ref in runs.items():
        head, _, _ = data[at:].partition(b"\n")
        words = head.split(b" ")
        size = int(words[2]) if len(words) == 3 and words[2].isdigit() else 0
        at += len(head) + 1
        with suppress(Failed):  # `restore` says what is wrong with it
            found.append(_parsed(run_id, ref, data[at : at + size]))
        at += size + 1 if len(words) == 3 and words[2].isdigit() else 0
    return tuple(found)
