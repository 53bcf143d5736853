"""Brings the files of a half-made move back to where they came from, and leaves what the user changed."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId
from orchestrator.repo.durable import sync_paths
from orchestrator.repo.git import Git, split
from orchestrator.repo.journal import Move
from orchestrator.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class Entry:
    """What a tree has at a path: a mode as six octal digits, and an object."""

    mode: bytes
    oid: bytes


Entries = Mapping[bytes, Entry | None]
"""What each changed path is in one of the trees; None where the tree lacks it."""


def take_back_files(repository: Repository, scratch: Path, move: Move) -> tuple[str, ...]:
    """Makes every file that the move wrote or removed what it was in `move.old`.

    A file that is neither as before, nor as the move makes it, nor a beginning of that (a write cut short)
    was changed by somebody else: it stays, and is returned. The index itself is not changed.
    """
    work = _Work(repository, scratch, move)
    left: dict[str, None] = {}
    for target in work.targets():
        left.update(dict.fromkeys(work.take_back(target)))
    return tuple(left)


class _Work:
    """One attempt to take files back, with indexes of its own in the scratch directory."""

    def __init__(self, repository: Repository, scratch: Path, move: Move) -> None:
        self._repository = repository
        self._scratch = scratch
        self._move = move
        self._root = os.fsencode(repository.checkout)

    def targets(self) -> tuple[ObjectId, ...]:
        """Returns the trees the worktree may have been brought to: the planned one, and what hooks staged."""
        staged = ObjectId("")
        index = self._scratch / "index"
        if index.exists():
            copy = self._scratch / "index-staged"  # a killed git may have left a lock at the other
            Disk().copy(index, copy)
            done = dataclasses.replace(self._repository.git, index=copy).run("write-tree", ok=None)
            staged = ObjectId(done.stdout.decode("ascii", "replace").strip())
        old = self._repository.tree_of(self._move.old)
        return tuple(dict.fromkeys(tree for tree in (staged, self._move.tree) if tree and tree != old))

    def take_back(self, target: ObjectId) -> tuple[str, ...]:
        """Takes back what leads to one tree; returns the paths that were left."""
        before, after = self._changes(target)
        git = self._index("before", self._move.old)
        as_before = self._matching(git, before)
        as_after = self._matching(self._index("after", target), after)
        ours, cut_short, left = [], [], []
        for path in before:
            if path in as_before:
                continue
            if path in as_after:
                ours.append(path)
            elif self._is_cut_short(path, before[path], after[path], target):
                cut_short.append(path)
            else:
                left.append(os.fsdecode(path))
        if ours or cut_short:
            self._restore(git, ours, cut_short, before, after)
        return tuple(left)

    def _restore(
        self, git: Git, ours: Iterable[bytes], cut_short: Iterable[bytes], before: Entries, after: Entries
    ) -> None:
        # The index is told what the worktree really holds; then git itself goes back, as in any checkout.
        lost = [path for path in cut_short if before[path] is not None]
        added = [path for path in cut_short if before[path] is None]
        held_now = {path: after[path] for path in (*ours, *added)}
        _enter(git, held_now, self._repository.null_id.encode("ascii"))
        forced = b"".join(path + b"\0" for path in (*lost, *added))
        git.run("checkout-index", "-f", "-q", "-z", "--stdin", input=forced, mutates=True)
        git.run("update-index", "-q", "--refresh", ok=(0, 1), mutates=True)
        held = git.text("write-tree")
        git.run("read-tree", "-m", "-u", held, self._move.old, mutates=True, network=True)
        sync_paths(self._repository.checkout, map(os.fsdecode, (*ours, *lost, *added)))

    def _changes(self, target: ObjectId) -> tuple[Entries, Entries]:
        items = self._repository.git.zsplit(
            "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", self._move.old, target
        )
        before: dict[bytes, Entry | None] = {}
        after: dict[bytes, Entry | None] = {}
        for description, path in zip(items[::2], items[1::2], strict=True):
            old_mode, new_mode, old_oid, new_oid, _ = description[1:].split(b" ")
            before[path] = None if old_mode == b"000000" else Entry(old_mode, old_oid)
            after[path] = None if new_mode == b"000000" else Entry(new_mode, new_oid)
        return before, after

    def _index(self, name: str, tree: ObjectId) -> Git:
        """Returns a git with a copy of the user's index, brought to `tree` and compared with the files."""
        place = self._scratch / f"index-{name}"
        Disk().copy(self._repository.git_dir / "index", place)
        git = dataclasses.replace(self._repository.git, index=place)
        git.run("read-tree", "-m", "-i", tree, mutates=True)
        git.run("update-index", "-q", "--refresh", ok=(0, 1), mutates=True)
        return git

    def _matching(self, git: Git, entries: Entries) -> set[bytes]:
        different = set(split(git.run("diff-files", "-z", "--name-only", "--ignore-submodules=dirty").stdout))
        return {
            path
            for path, entry in entries.items()
            if (entry is None and self._is_absent(path)) or (entry is not None and path not in different)
        }

    def _is_absent(self, path: bytes) -> bool:
        place = self._root
        parts = path.split(b"/")
        for part in parts[:-1]:
            place = os.path.join(place, part)
            try:
                if not stat.S_ISDIR(os.lstat(place).st_mode):
                    return True
            except FileNotFoundError:
                return True
        return not os.path.lexists(os.path.join(self._root, path))

    def _is_cut_short(self, path: bytes, before: Entry | None, after: Entry | None, target: ObjectId) -> bool:
        if self._is_absent(path):
            return before is not None and after is not None
        place = os.path.join(self._root, path)
        if after is None or not after.mode.startswith(b"100") or not stat.S_ISREG(os.lstat(place).st_mode):
            return False
        done = self._repository.git.run(
            "cat-file", "--filters", b"--path=" + path, after.oid, ok=None, network=True
        )
        with open(place, "rb") as file:
            # After a power cut a file may have its size already and zeros for content.
            found = file.read().rstrip(b"\0")
        return done.status == 0 and done.stdout.startswith(found)


def _enter(git: Git, entries: Entries, null: bytes) -> None:
    removed = [b"0 " + null + b"\t" + path + b"\0" for path, entry in entries.items() if entry is None]
    added = [
        entry.mode + b" " + entry.oid + b" 0\t" + path + b"\0" for path, entry in entries.items() if entry
    ]
    git.run("update-index", "--replace", "-z", "--index-info", input=b"".join(removed + added), mutates=True)
