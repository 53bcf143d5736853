"""Paths that a model names, kept inside the tree: nothing outside is read or written, `.git` never."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

_NEVER = frozenset({".git"})
_NOT_WRITTEN = frozenset({".git", ".orchestrator"})
_MAX_PATH = 1000


class PathRefused(Exception):
    """A path that a model may not use; the sentence is for the model."""


class ConfinedTree:
    """Turns names of files into paths inside one tree.

    Links are followed, and what they lead to must be inside as well. Nobody else works in the tree meanwhile:
    commands of the model have ended when a file is opened.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))

    def to_read(self, name: str) -> Path:
        """Returns the place of a file or directory that may be read.

        Raises:
            PathRefused: it is, or leads, outside of the tree or into `.git`.
        """
        return self._inside(name, _NEVER)

    def to_write(self, name: str) -> Path:
        """Returns the place of a file that may be written; it may not exist yet.

        Raises:
            PathRefused: it is no file of the tree, or leads outside, into `.git` or `.orchestrator`.
        """
        place = self._inside(name, _NOT_WRITTEN)
        if place == self.root or (place.exists() and not place.is_file()):
            raise PathRefused(f"{name!r} is no file")
        above = next(parent for parent in place.parents if parent.exists())
        if not above.is_dir():
            raise PathRefused(f"{self.shown(above)} is a file, so that nothing can be in it")
        return place

    def shown(self, place: Path) -> str:
        """Returns a path as a model and a person see it: relative, with forward slashes."""
        return place.relative_to(self.root).as_posix()

    def _inside(self, name: str, never: frozenset[str]) -> Path:
        if not name or len(name) > _MAX_PATH or any(unicodedata.category(each) == "Cc" for each in name):
            raise PathRefused(f"{name[:100]!r} is no path")
        try:
            real = Path(os.path.realpath(self.root / name))
        except OSError as error:
            raise PathRefused(f"{name!r} cannot be followed: {error.strerror}") from error
        if real != self.root and not real.is_relative_to(self.root):
            raise PathRefused(f"{name!r} is outside of the tree")
        # As named too: a link that is called `.git` is one wherever it leads.
        named = os.path.relpath(os.path.normpath(self.root / name), self.root)
        parts = (
            *(Path(named).parts if not named.startswith("..") else ()),
            *real.relative_to(self.root).parts,
        )
        refused = next((part for part in parts if _folded(part) in never), None)
        if refused is not None:
            raise PathRefused(f"{refused} belongs to git or to orchestrator, not to the work")
        return real


def _folded(part: str) -> str:
    """Returns a name as file systems may see it: without case, dots at the end and invisible characters."""
    visible = "".join(each for each in part if unicodedata.category(each) != "Cf")
    return unicodedata.normalize("NFKC", visible).casefold().rstrip(". ")
