"""What is saved of a run each time, as one commit: its record, the events since the last time, new papers.

The commits of a run form a chain at `refs/orchestrator/sessions/<session>/<run>`. The first parent is the
save before; the others are the run's checkpoint, result and base: whoever has the commit has all of it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import Refused
from orchestrator.model.event import Event
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.model.json import JsonObject
from orchestrator.paths import names
from orchestrator.repo.borrowing import AUTHOR
from orchestrator.repo.git import Git
from orchestrator.repo.repository import Repository

SCHEMA_VERSION = 1
MANIFEST, RUN, EVENTS, FILES = "manifest.json", "run.json", "events.jsonl", "files"
MAX_SMALL_BYTES = 1 << 20
MAX_PART_BYTES = 64 << 20
MAX_ALL_BYTES = 512 << 20
"""All that is read at once of a chain, such as its manifests: a long run has tens of thousands of saves."""
_MOST_SAVES = 10_000_000
_TRAILER = "Orchestrator-Save: "

Oid = Annotated[str, Field(pattern=r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What `manifest.json` of a save says; read back it is the word of a stranger.

    `epoch` counts how often somebody took the run up; `holder` is the clone that did, `rests` says that it
    let go. `events_through` is the number of the last event that the holder has saved, `saved_bytes` what all
    saves hold together. `files` are papers new in this save: path below `artifacts/` → hash of the content,
    under which `files/` holds it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    session: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    run_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    number: int = Field(ge=1)
    epoch: int = Field(ge=1)
    holder: str = Field(pattern=r"^local-[0-9a-f]{12}$")
    host: str = Field(max_length=255)
    at: AwareDatetime
    reason: str = Field(max_length=40)
    rests: bool
    repo_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    checkpoint: Oid | None
    result: Oid | None
    base: Oid | None
    events_through: int = Field(ge=0)
    saved_bytes: int = Field(ge=0)
    files: dict[str, Digest] = {}


@dataclass(frozen=True, slots=True)
class Save:
    """One save of a run: its commit and what it says."""

    commit: ObjectId
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Tips:
    """The commits that a run stands on; None for what it has not reached."""

    checkpoint: ObjectId | None
    result: ObjectId | None
    base: ObjectId | None

    def present(self) -> tuple[ObjectId, ...]:
        """Returns those that there are, each once."""
        return tuple(dict.fromkeys(tip for tip in (self.checkpoint, self.result, self.base) if tip))


def chain_ref(session: str, run_id: str) -> str:
    """Returns the ref of a run's saves."""
    return f"{names.SESSION_REFS}{session}/{run_id}"


def read_tips(repository: Repository, run_id: str) -> Tips:
    """Returns what our refs hold of a run; one process, however many runs there are."""
    wanted = [f"{prefix}{run_id}" for prefix in (names.RUN_REFS, names.RESULT_REFS, names.BASE_REFS)]
    asked = "".join(f"{name}\n" for name in wanted).encode()
    done = repository.git.run("cat-file", "--batch-check=%(objectname)", input=asked)
    found = [_oid_or_none(line) for line in done.stdout.decode("ascii", "replace").splitlines()]
    return Tips(*found)


def _oid_or_none(line: str) -> ObjectId | None:
    return None if line.endswith((" missing", " ambiguous")) else ObjectId(line)


def write_save(
    repository: Repository,
    manifest: Manifest,
    *,
    previous: ObjectId | None,
    tips: Tips,
    document: JsonObject,
    events: Iterable[Event],
    contents: Mapping[str, bytes],
) -> Save:
    """Writes a save and moves the chain to it; durable when it returns, a kill leaves the save before.

    `contents` are the files by the hash that the manifest names. Everything given is written as it is: the
    caller has taken the secrets out.
    """
    lines = [f"{json.dumps(_event(each), ensure_ascii=True)}\n" for each in events]
    parts = {
        MANIFEST: manifest.model_dump_json(indent=1).encode() + b"\n",
        RUN: json.dumps(document, ensure_ascii=True, sort_keys=True, indent=1).encode() + b"\n",
        EVENTS: "".join(lines).encode(),
        **{f"{FILES}/{digest}": data for digest, data in contents.items()},
    }
    ref = chain_ref(manifest.session, manifest.run_id)
    parents = tuple(tip for tip in tips.present() if tip != previous)
    stream = _stream(ref, manifest, previous, parents, parts)
    settings = (("fastimport.unpackLimit", "10000"), ("core.logAllRefUpdates", "false"))
    done = repository.git.run(
        "fast-import", "--quiet", "--done", input=stream, mutates=True, settings=settings
    )
    repository.sync_ref(ref)
    return Save(ObjectId(done.stdout.decode("ascii").strip()), manifest)


def _stream(
    ref: str,
    manifest: Manifest,
    previous: ObjectId | None,
    parents: tuple[ObjectId, ...],
    parts: Mapping[str, bytes],
) -> bytes:
    message = f"{manifest.run_id}: {manifest.reason}\n\n{_TRAILER}{manifest.number}\n".encode()
    head = [f"commit {ref}", "mark :1", f"committer {AUTHOR} {int(time.time())} +0000"]
    data = "\n".join(head).encode() + b"\n" + _data(message)
    if previous is not None:
        data += f"from {previous}\n".encode()
    data += b"".join(f"merge {parent}\n".encode() for parent in parents) + b"deleteall\n"
    for name, content in parts.items():
        data += f"M 100644 inline {name}\n".encode() + _data(content)
    return data + b"get-mark :1\ndone\n"


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _event(event: Event) -> JsonObject:
    return {
        "run_seq": event.run_seq,
        "at": event.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "kind": str(event.kind),
        "data": event.data,
    }


def read_save(git: Git, commit: ObjectId, *, session: str, run_id: RunId) -> Save:
    """Returns a save, checked by itself: it belongs to that run, and its commit holds what it names.

    Raises:
        Refused: `save-invalid`, or `save-newer`: a later version wrote it.
    """
    data = read_part(git, commit, MANIFEST, most_bytes=MAX_SMALL_BYTES)
    manifest = parse_manifest(data)
    if (manifest.session, manifest.run_id) != (session, run_id):
        raise invalid(run_id, "it belongs to another run")
    parents = git.text("rev-parse", f"{commit}^@").split()
    named = [oid for oid in (manifest.checkpoint, manifest.result, manifest.base) if oid]
    if any(oid not in parents for oid in named):
        raise invalid(run_id, "it names commits that it does not hold")
    return Save(commit, manifest)


def parse_manifest(data: bytes) -> Manifest:
    """Returns the manifest in `data`, which anybody may have written.

    Raises:
        Refused: `save-invalid` or `save-newer`.
    """
    try:
        found = json.loads(data)
        version = found.get("schema_version") if isinstance(found, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise newer()
        return Manifest.model_validate_json(data)
    except (ValidationError, ValueError, RecursionError) as error:
        raise invalid("a run", str(error).splitlines()[0]) from error


def read_part(git: Git, commit: ObjectId, name: str, *, most_bytes: int) -> bytes:
    """Returns one file of a save; raises as `read_parts`."""
    return read_parts(git, [(commit, name)], most_bytes=most_bytes)[0]


def read_parts(git: Git, wanted: Sequence[tuple[ObjectId, str]], *, most_bytes: int) -> list[bytes]:
    """Returns files of saves, all by two processes.

    Raises:
        Refused: `save-invalid`, one is missing or larger than `most_bytes`, or all together than 512 MiB.
    """
    asked = "".join(f"{commit}:{name}\n" for commit, name in wanted).encode()
    sizes = git.run("cat-file", "--batch-check=%(objecttype) %(objectsize)", input=asked).stdout
    total = 0
    for line, (_, name) in zip(sizes.decode("utf-8", "replace").splitlines(), wanted, strict=True):
        kind, _, size = line.partition(" ")
        if kind != "blob":
            raise invalid("a run", f"it holds no {name}")
        total += int(size)
        if int(size) > most_bytes or total > MAX_ALL_BYTES:
            raise invalid("a run", f"its {name} has {int(size):,} bytes; {most_bytes:,} are allowed")
    return list(contents(git.run("cat-file", "--batch", input=asked).stdout))


def contents(data: bytes) -> Iterator[bytes]:
    """Yields the contents in what `cat-file --batch` printed."""
    at = 0
    while at < len(data):
        line_end = data.index(b"\n", at)
        size = int(data[at:line_end].split(b" ")[2])
        yield data[line_end + 1 : line_end + 1 + size]
        at = line_end + 1 + size + 1


def chain(git: Git, newest: Save) -> tuple[ObjectId, ...]:
    """Returns the commits of a chain of saves, oldest first; the chain ends where a commit is no save.

    No further back is looked than the newest save counts: behind the first lies the history of the project.

    Raises:
        Refused: `save-invalid`, saves are missing in it.
    """
    most = f"--max-count={min(newest.manifest.number, _MOST_SAVES)}"
    items = git.zsplit("log", "-z", "--first-parent", most, "--format=%H%n%B", newest.commit, "--")
    found: list[ObjectId] = []
    for item in items:
        commit, _, message = item.decode("utf-8", "replace").partition("\n")
        number = _number(message)
        if number is None:
            break
        found.append(ObjectId(commit))
        if number == 1:
            return tuple(reversed(found))
    raise invalid("a run", "saves are missing in its chain")


def _number(message: str) -> int | None:
    for line in reversed(message.splitlines()):
        if line.startswith(_TRAILER) and line[len(_TRAILER) :].isdigit():
            return int(line[len(_TRAILER) :])
    return None


def digest_of(data: bytes) -> str:
    """Returns the name under which a save keeps a file: its SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def invalid(what: str, reason: str) -> Refused:
    """Returns the refusal of a save that cannot be used; nothing was changed."""
    return Refused(
        f"What was saved of {what} cannot be used: {reason}.",
        code="save-invalid",
        hint="Its checkpoints may still be there: git log --all --grep Orchestrator-Number",
    )


def newer() -> Refused:
    """Returns the refusal of what a later version wrote."""
    return Refused(
        "What was saved was written by a newer version of orchestrator.",
        code="save-newer",
        hint="Update orchestrator: pip install --upgrade orchestrator",
    )
