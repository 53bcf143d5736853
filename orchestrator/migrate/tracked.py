"""What git knows of the files to be moved, and their move in the index; nothing is committed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.discovery import Located, locate
from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.migrate.compare import digest
from orchestrator.repo.git import Git, split
from orchestrator.repo.index_lock import HardLinksMissing, IndexLock
from orchestrator.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class GitFacts:
    """What the survey asks of git; empty outside a repository.

    `tracked` holds paths relative to the checkout's root, as Python has names; `operation` is a merge, rebase
    or the like in progress; `index_lock` says that an `index.lock` stands there.
    """

    tracked: frozenset[str] = frozenset()
    operation: str | None = None
    index_lock: bool = False


def located(root: Path) -> Located | None:
    """Returns the repository whose checkout is exactly `root`; None where there is none.

    Raises:
        Refused: there is one, broken or not to be trusted.
    """
    if not os.path.lexists(root / ".git"):
        return None
    found = locate(os.fspath(root), {})
    return found if os.path.realpath(root) == found.checkout else None


def ask_git(root: Path, sources: Sequence[str]) -> GitFacts:
    """Returns what git knows about paths relative to `root`; takes no lock, runs nothing of it."""
    place = located(root)
    if place is None:
        return GitFacts()
    repository = Repository(place, trusted=False)
    return GitFacts(
        tracked=_tracked(root, sources) if sources else frozenset(),
        operation=repository.operation_in_progress(),
        index_lock=os.path.lexists(os.path.join(place.git_dir, "index.lock")),
    )


def _tracked(root: Path, sources: Sequence[str]) -> frozenset[str]:
    words = ["ls-files", "-z", "--", *(f":(top,literal){source}" for source in sources)]
    return frozenset(os.fsdecode(name) for name in Git(root, trusted=False).zsplit(*words))


class IndexMove:
    """Moves entries of the index from old to new paths, and back to the very bytes it had before.

    `moves` are pairs relative to `root`; a directory moves with all below it. The index before and after is
    kept in `record`. The new index is built aside and takes its place while git's own lock is held, with
    `token` in it, so that a lock left by a kill of ours is known and nobody else's is ever removed.
    """

    def __init__(self, root: Path, record: Path, token: str, moves: Sequence[tuple[str, str]]) -> None:
        place = located(root)
        if place is None:
            raise Refused(
                f"{root} is no git repository any more.",
                code="not-a-repository",
                hint="Put its .git back, then: orchestrator migrate --resume",
            )
        self._root, self._moves = root, moves
        self._git_dir = Path(place.git_dir)
        self._index = self._git_dir / "index"
        self._before, self._after, self._scratch = (
            record / name for name in ("index.before", "index.after", "index.scratch")
        )
        self._lock = IndexLock(self._git_dir, token)

    def forward(self, disk: Disk) -> None:
        """Moves the entries; repeatable.

        Raises:
            Locked: another git command holds the index, or left its lock behind.
        """
        with self._held(disk):
            if not os.path.lexists(self._before):
                disk.copy(self._index, self._before)
            self._rebuild(disk, self._moves, self._after)

    def backward(self, disk: Disk) -> None:
        """Puts the old index back if it was not changed since, else moves the entries back; repeatable."""
        if not os.path.lexists(self._before):
            return
        with self._held(disk):
            now = digest(os.fspath(self._index))
            if os.path.lexists(self._after) and now == digest(os.fspath(self._after)):
                disk.copy(self._before, self._index)
            elif now != digest(os.fspath(self._before)):
                self._rebuild(disk, [(new, old) for old, new in self._moves], self._scratch)

    def _rebuild(self, disk: Disk, moves: Sequence[tuple[str, str]], built: Path) -> None:
        disk.copy(self._index, self._scratch)
        git = Git(self._root, trusted=False, index=self._scratch)
        lines = _index_lines(git, moves)
        if not lines:
            return
        git.run("update-index", "-z", "--index-info", input=lines, mutates=True)
        disk.copy(self._scratch, built)
        disk.copy(self._scratch, self._index)

    @contextlib.contextmanager
    def _held(self, disk: Disk) -> Iterator[None]:
        disk.sweep_temp(self._git_dir)
        disk.remove(f"{self._scratch}.lock")
        self._lock.release(None)
        self._lock.prepare()
        try:
            try:
                self._lock.take()
            except HardLinksMissing:
                self._lock.take_in_place()
            yield
        finally:
            self._lock.release(None)
            disk.remove(self._scratch)


def _index_lines(git: Git, moves: Sequence[tuple[str, str]]) -> bytes:
    lines = bytearray()
    for old, new in moves:
        for item in split(git.run("ls-files", "-z", "-s", "--", f":(top,literal){old}").stdout):
            facts, _, name = item.partition(b"\t")
            moved = os.fsencode(new) + name[len(os.fsencode(old)) :]
            lines += b"0 " + b"0" * len(facts.split()[1]) + b"\t" + name + b"\0"
            lines += facts + b"\t" + moved + b"\0"
    return bytes(lines)
