"""What is saved of a run each time, as one commit: its record, the events since the last time, new papers.

The commits of a run form a chain at `refs/orchestrator/sessions/<session>/<run>`. The first parent is the
save before; the others are the run's checkpoint, result and base: whoever has the commit has all of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
MAX_TOTAL_BYTES = 512 << 20
"""What is read of one run at a time, and all its papers together."""
_SAVE_NUMBER = re.compile(r"^Orchestrator-Save: ([0-9]{1,9})$", re.MULTILINE)
_FEW_SAVES = 200
"""As many saves are read at once where nobody knows yet how many there are."""
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
    (data,) = read_parts(git, [(commit, MANIFEST, MAX_SMALL_BYTES)])
    manifest = parse_manifest(data)
    parents = git.text("rev-parse", f"{commit}^@").split()
    require_own(manifest, session, run_id, parents)
    return Save(commit, manifest)


def require_own(manifest: Manifest, session: str, run_id: RunId, parents: Collection[str]) -> None:
    """Makes sure that the manifest of a save with these parents belongs to that run.

    Raises:
        Refused: `save-invalid`, also when the save does not hold the commits that it names.
    """
    if (manifest.session, manifest.run_id) != (session, run_id):
        raise invalid(run_id, "it belongs to another run")
    named = [oid for oid in (manifest.checkpoint, manifest.result, manifest.base) if oid]
    if any(oid not in parents for oid in named):
        raise invalid(run_id, "it names commits that it does not hold")


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


Part = tuple[ObjectId, str, int]
"""A file of a save: its commit, its name, and how many bytes it may have at most."""


def read_parts(git: Git, wanted: Sequence[Part]) -> list[bytes]:
    """Returns files of saves, all by two processes: no content is read before every size is known.

    Raises:
        Refused: `save-invalid`, one is missing or too large, or all together are (`MAX_TOTAL_BYTES`).
    """
    part_sizes(git, wanted)
    return list(contents(git.run("cat-file", "--batch", input=_asked(wanted)).stdout))


def part_sizes(git: Git, wanted: Sequence[Part]) -> list[int]:
    """Returns the sizes of files of saves, in bytes; raises as `read_parts`."""
    listed = git.run("cat-file", "--batch-check=%(objecttype) %(objectsize)", input=_asked(wanted)).stdout
    sizes = []
    for line, (_, name, most_bytes) in zip(listed.splitlines(), wanted, strict=True):
        kind, _, size = line.partition(b" ")
        if kind != b"blob":
            raise invalid("a run", f"it holds no {name}")
        sizes.append(int(size))
        if sizes[-1] > most_bytes:
            raise invalid("a run", f"its {name} has {sizes[-1]:,} bytes; {most_bytes:,} are allowed")
    if sum(sizes) > MAX_TOTAL_BYTES:
        raise invalid("a run", f"it has {sum(sizes):,} bytes; {MAX_TOTAL_BYTES:,} are allowed")
    return sizes


def _asked(wanted: Sequence[Part]) -> bytes:
    return "".join(f"{commit}:{name}\n" for commit, name, _ in wanted).encode()


def contents(data: bytes) -> Iterator[bytes]:
    """Yields the contents in what `cat-file --batch` printed."""
    at = 0
    while at < len(data):
        line_end = data.index(b"\n", at)
        size = int(data[at:line_end].split(b" ")[2])
        yield data[line_end + 1 : line_end + 1 + size]
        at = line_end + 1 + size + 1


def chain(git: Git, tip: ObjectId) -> tuple[tuple[ObjectId, ...], tuple[str, ...]]:
    """Returns the commits of a chain of saves, oldest first, and all parents of its tip.

    The chain ends where a commit is no save. No further back is looked than the newest save counts: behind
    the first one lies the history of the project.

    Raises:
        Refused: `save-invalid`, saves are missing in it.
    """
    items = _first_parents(git, tip, _FEW_SAVES)
    count = _SAVE_NUMBER.findall(items[0].decode("utf-8", "replace")) if items else []
    if count and int(count[-1]) > _FEW_SAVES:
        items = _first_parents(git, tip, int(count[-1]))
    found: list[list[str]] = []
    for item in items:
        commits, _, message = item.decode("utf-8", "replace").partition("\n")
        numbers = _SAVE_NUMBER.findall(message)
        if not numbers:
            break
        found.append(commits.split())
        if int(numbers[-1]) == 1:
            return tuple(ObjectId(each[0]) for each in reversed(found)), tuple(found[0][1:])
    raise invalid("a run", "saves are missing in its chain")


def _first_parents(git: Git, tip: ObjectId, most: int) -> tuple[bytes, ...]:
    return git.zsplit("log", "-z", "--first-parent", f"--max-count={most}", "--format=%H %P%n%B", tip, "--")


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
