"""Makes short-lived git directories of our own that read others' objects and none of their settings.

An agent may have written anything into the git directory of its tree. What it left is therefore read through
a git directory made for one checkpoint, with a configuration of ours, which borrows the agent's objects and
the user's (`objects/info/alternates`); nothing the agent configured is ever in force.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import told
from orchestrator.model.ids import ObjectId
from orchestrator.repo.git import Git
from orchestrator.repo.settings import Pairs, as_config

PREFIX = "scratch-"

_DEPTH = 5  # as many alternates in a chain as git follows


class Scratch:
    """A git directory of our own below `place`; removed by `remove`, left-over ones by `sweep`."""

    def __init__(
        self,
        place: Path,
        *,
        object_format: str,
        objects: Sequence[Path],
        settings: Pairs = (),
        shallow: bytes = b"",
        exclude: bytes = b"",
        sparse: bool = False,
    ) -> None:
        self.path = place / f"{PREFIX}{os.getpid()}-{secrets.token_hex(6)}"
        self.object_format = object_format
        self.partial = any(key == "extensions.partialclone" for key, _ in settings)
        self.sparse = sparse
        self._borrowed: list[bytes] = []
        disk = Disk()
        disk.make_dir(place)
        with told(self.path):
            for part in ("objects/info", "objects/pack", "refs/heads", "info"):
                (self.path / part).mkdir(parents=True, mode=0o700)
            (self.path / "HEAD").write_bytes(b"ref: refs/heads/checkpoint\n")
            (self.path / "config").write_bytes(_format(object_format) + as_config(settings))
            (self.path / "info" / "exclude").write_bytes(exclude)
            if shallow:
                (self.path / "shallow").write_bytes(shallow)
        self.borrow(objects)

    def borrow(self, objects: Sequence[Path]) -> None:
        """Lets this git directory read the objects of more repositories."""
        for directory in objects:
            self._borrowed += [line for line in alternates_of(directory) if line not in self._borrowed]
        with told(self.path):
            (self.path / "objects" / "info" / "alternates").write_bytes(b"".join(self._borrowed))

    def git(self, work_tree: Path, *, trusted: bool, index: str = "index") -> Git:
        """Returns git on this directory with a work tree and an index (a file name in this directory)."""
        return Git(
            work_tree, trusted=trusted, git_dir=self.path, work_tree=work_tree, index=self.path / index
        )

    def put(self, kind: Literal["blob", "tree", "commit"], data: bytes) -> ObjectId:
        """Writes one object; not durable, the fetch into the user's repository makes it so."""
        whole = f"{kind} {len(data)}".encode() + b"\0" + data
        name = hashlib.new(self.object_format, whole, usedforsecurity=False).hexdigest()
        place = self.path / "objects" / name[:2]
        with told(place):
            place.mkdir(exist_ok=True)
            (place / name[2:]).write_bytes(zlib.compress(whole, 1))
        return ObjectId(name)

    def set_branch(self, name: str, commit: ObjectId) -> str:
        """Lets `refs/heads/<name>` stand for a commit and returns the full name."""
        with told(self.path):
            (self.path / "refs" / "heads" / name).write_bytes(f"{commit}\n".encode())
        return f"refs/heads/{name}"

    def remove(self) -> None:
        """Removes the git directory."""
        Disk().remove_tree(self.path)


@contextmanager
def drafts(place: Path, *, prefix: str = PREFIX) -> Iterator[Path]:
    """Yields an empty directory below `place`, 0700, that is gone afterwards; a kill leaves it for later.

    What dead processes of ours left there under the same prefix is removed first.
    """
    disk = Disk()
    if not place.is_dir():
        disk.make_dir(place)
    sweep(place, prefix=prefix)
    path = place / f"{prefix}{os.getpid()}-{secrets.token_hex(6)}"
    with told(path):
        path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        disk.remove_tree(path)


def sweep(place: Path, *, everything: bool = False, prefix: str = PREFIX) -> int:
    """Removes the scratch directories that dead processes of ours left in `place` and returns how many.

    With `everything` also those of living ones: for a place whose lock the caller holds.
    """
    if not place.is_dir():
        return 0
    found = [entry for entry in place.iterdir() if entry.name.startswith(prefix)]
    stale = [entry for entry in found if everything or _is_stale(entry, entry.name.removeprefix(prefix))]
    for entry in stale:
        Disk().remove_tree(entry)
    return len(stale)


def _is_stale(entry: Path, rest: str) -> bool:
    try:
        owner = entry.lstat().st_uid
    except FileNotFoundError:
        return False  # another process was faster
    return (not hasattr(os, "geteuid") or owner == os.geteuid()) and not _alive(rest)


def _alive(name: str) -> bool:
    pid = name.split("-")[0]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it lives, and belongs to somebody else
    return True


def alternates_of(objects: Path, *, depth: int = _DEPTH) -> list[bytes]:
    """Returns the lines for an alternates file that reads `objects` and all it borrows, as absolute paths."""
    if not objects.is_dir():
        return []
    lines = [quoted(objects)]
    try:
        raw = (objects / "info" / "alternates").read_bytes() if depth else b""
    except OSError:
        return lines
    for line in raw.split(b"\n"):
        if line and not line.startswith((b"#", b'"')):
            lines += alternates_of(objects / os.fsdecode(line), depth=depth - 1)
    return lines


def quoted(path: Path) -> bytes:
    """Returns the line that names a directory in an alternates file; git unquotes what begins with `"`."""
    raw = os.fsencode(os.path.realpath(path))
    if b"\n" in raw:
        raw = b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
    return raw + b"\n"


def _format(object_format: str) -> bytes:
    if object_format == "sha1":
        return b"[core]\n\trepositoryformatversion = 0\n"
    return f"[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = {object_format}\n".encode()
