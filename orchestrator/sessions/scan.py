"""Looks through what a push would publish: how much it is, and whether a secret is in it, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.model.ids import ObjectId
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.repository import Repository
from orchestrator.sessions.segments import contents

_CHUNK_BYTES = 16 << 20
LARGEST_BYTES = 100 << 20
"""No file of more bytes is pushed: hosts refuse it anyway."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What would be pushed: bytes of its objects, and a place for each secret or file that is too large."""

    size_bytes: int
    places: tuple[str, ...]


def scan(
    repository: Repository,
    tips: Sequence[ObjectId],
    *,
    known: Sequence[ObjectId],
    remote: str,
    redactor: Redactor,
) -> Scanned:
    """Looks at every object that `tips` reach and `known` do not.

    Where nothing is known yet, what the user has fetched of the remote's branches counts as there.
    """
    if not tips:
        return Scanned(0, ())
    there = known or tuple(repository.refs(f"refs/remotes/{remote}/").values() if remote else ())
    asked = "".join([*(f"{tip}\n" for tip in tips), *(f"^{oid}\n" for oid in there)])
    listed = repository.git.run("rev-list", "--objects", "--stdin", input=asked.encode()).stdout
    if not listed:
        return Scanned(0, ())
    objects = [_named(line) for line in listed.split(b"\n") if line]
    return _look(repository, objects, redactor)


def _look(repository: Repository, objects: list[tuple[bytes, bytes]], redactor: Redactor) -> Scanned:
    asked = b"".join(oid + b"\n" for oid, _ in objects)
    sizes = repository.git.run("cat-file", "--batch-check=%(objecttype) %(objectsize)", input=asked).stdout
    facts = [line.split(b" ") for line in sizes.split(b"\n") if line]
    total, places, batch, batch_bytes = 0, list[str](), list[tuple[bytes, bytes]](), 0
    for (oid, name), (kind, size) in zip(objects, facts, strict=True):
        total += int(size)
        if int(size) > LARGEST_BYTES:
            places.append(f"{_shown(oid, name)}: {int(size):,} bytes are more than hosts take")
            continue
        if kind == b"tree":
            continue
        batch.append((oid, name))
        batch_bytes += int(size)
        if batch_bytes > _CHUNK_BYTES:
            places += _search(repository, batch, redactor)
            batch, batch_bytes = [], 0
    return Scanned(total, (*places, *_search(repository, batch, redactor)))


def _search(repository: Repository, batch: list[tuple[bytes, bytes]], redactor: Redactor) -> list[str]:
    if not batch:
        return []
    asked = b"".join(oid + b"\n" for oid, _ in batch)
    data = repository.git.run("cat-file", "--batch", input=asked).stdout
    return [
        f"{_shown(oid, name)}: looks like a secret"
        for (oid, name), content in zip(batch, contents(data), strict=True)
        if redactor.data(content) is not content
    ]


def _named(line: bytes) -> tuple[bytes, bytes]:
    oid, _, name = line.partition(b" ")
    return oid, name


def _shown(oid: bytes, name: bytes) -> str:
    path = name.decode("utf-8", "backslashreplace")
    return path.removeprefix("tree/") if path else f"commit {oid[:12].decode()}"
