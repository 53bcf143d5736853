"""Compares the files of a tree with the git tree they were made from, by an index that only we have."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId
from orchestrator.repo.borrowing import scratch_for
from orchestrator.repo.git import split
from orchestrator.repo.repository import Repository
from orchestrator.repo.scratch import Scratch
from orchestrator.verify.output import read_regular

_MAX_INDEX_BYTES = 1 << 30


class TreeWatch:
    """Notices what commands change in a directory that holds the files of `tree`.

    Neither the git directory that lies there nor its settings are looked at: whatever ran there could have
    changed them. `close` removes the scratch directory below `place`; a kill leaves it for `scratch.sweep`.
    """

    def __init__(self, repository: Repository, directory: Path, tree: ObjectId, place: Path) -> None:
        self._directory = directory
        self._scratch: Scratch = scratch_for(repository, place)
        self._git = self._scratch.git(directory, trusted=repository.trusted)

        self._tree = tree

    def take_index(self) -> None:
        """Starts from the index of the fresh checkout in the directory: nothing has to be read again.

        Only for a checkout of this very tree in which nothing has run yet.
        """
        content = read_regular(self._directory / ".git" / "index", limit_bytes=_MAX_INDEX_BYTES)
        if content is None or content.cut:
            self.make_index()
        else:
            (self._scratch.path / "index").write_bytes(content.data)

    def make_index(self) -> None:
        """Starts from the tree itself; every file is read once."""
        self._git.run("read-tree", self._tree)
        self._git.run("update-index", "-q", "--refresh", ok=(0, 1))

    def changed(self) -> tuple[str, ...]:
        """Returns the tracked files that are no longer as in the tree, removed ones too, in order of name."""
        done = self._git.run("diff-files", "--name-only", "-z", "--no-ext-diff", "--ignore-submodules=all")
        return tuple(sorted(os.fsdecode(item) for item in split(done.stdout)))

    def put_back(self, files: tuple[str, ...]) -> None:
        """Writes these files again as they are in the tree."""
        names = b"".join(os.fsencode(name) + b"\0" for name in files)
        self._git.run("checkout-index", "-f", "-u", "-z", "--stdin", input=names)

    def untracked(self) -> tuple[str, ...]:
        """Returns what is not in the tree, ignored or not; directories without tracked files end in `/`."""
        done = self._git.run("ls-files", "-z", "--others", "--directory")
        return tuple(os.fsdecode(item) for item in split(done.stdout))

    def close(self) -> None:
        """Removes what this comparison needed."""
        Disk().remove_tree(self._scratch.path)
