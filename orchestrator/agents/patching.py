"""Applies unified diffs as models write them: by their lines, because their numbers are often wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_HUNK = re.compile(r"^@@ -(?P<old>\d+)(?:,\d+)? \+\d+(?:,\d+)? @@|^@@")
_NOWHERE = "/dev/null"
_NO_END = "\\"


class DiffRefused(Exception):
    """A diff that cannot be read or does not fit; the sentence tells the file and the place."""


@dataclass(slots=True)
class Hunk:
    """One change: the lines that are there, and those that shall be; `line` is where it is said to be."""

    line: int
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    has_no_end: bool = False


@dataclass(frozen=True, slots=True)
class FilePatch:
    """What a diff changes in one file; `is_new` where it did not exist."""

    path: str
    is_new: bool
    hunks: tuple[Hunk, ...]


def patches_in(text: str) -> tuple[FilePatch, ...]:
    """Returns what a diff changes, file by file.

    Raises:
        DiffRefused: it removes or renames a file, or is no diff.
    """
    found = tuple(_patches(text.split("\n")))
    if not found:
        raise DiffRefused("there is no change in the diff")
    return found


def applied(patch: FilePatch, before: str | None) -> str:
    """Returns a file with its changes; `before` is None where there is no such file.

    A hunk goes where its old lines stand, the nearest place to the one it names.

    Raises:
        DiffRefused: old lines of a hunk stand nowhere, or a new file is there already with another text.
    """
    if before is None and not patch.is_new and any(hunk.old for hunk in patch.hunks):
        raise DiffRefused(f"{patch.path} does not exist")
    if patch.is_new and before:
        raise DiffRefused(f"{patch.path} exists already")
    has_end = before is None or before == "" or before.endswith("\n")
    lines = (before or "").removesuffix("\n").split("\n") if before else []
    moved = 0
    for number, hunk in enumerate(patch.hunks, 1):
        at = _place(lines, hunk, moved)
        if at is None:
            raise DiffRefused(f"{patch.path}: change {number} does not fit what is there")
        if at + len(hunk.old) == len(lines):
            has_end = not hunk.has_no_end
        lines[at : at + len(hunk.old)] = hunk.new
        moved += len(hunk.new) - len(hunk.old)
    return "\n".join(lines) + ("\n" if has_end and lines else "")


def _place(lines: list[str], hunk: Hunk, moved: int) -> int | None:
    said = max(0, hunk.line - 1 + moved)
    if not hunk.old:  # only additions: where it says, or at the end
        return min(said if hunk.line == 0 else said + 1, len(lines)) if lines else 0
    last = len(lines) - len(hunk.old)
    fitting = [at for at in range(last + 1) if lines[at : at + len(hunk.old)] == hunk.old]
    return min(fitting, key=lambda at: abs(at - said), default=None)


def _patches(lines: list[str]) -> Iterator[FilePatch]:
    at = 0
    while at < len(lines):
        if lines[at].startswith(("rename ", "deleted file", "GIT binary patch", "Binary files ")):
            raise DiffRefused(f"a diff that says {lines[at][:60]!r} is not applied")
        if not (lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")):
            at += 1
            continue
        old, new = _path(lines[at][4:], "a/"), _path(lines[at + 1][4:], "b/")
        if new == _NOWHERE:
            raise DiffRefused(f"{old} would be removed, which no answer can do")
        hunks, at = _hunks(lines, at + 2)
        if old not in (_NOWHERE, new) and old.removeprefix("a/") != new.removeprefix("b/"):
            raise DiffRefused(f"{old} would be renamed, which no answer can do")
        yield FilePatch(new, old == _NOWHERE, tuple(hunks))


def _hunks(lines: list[str], at: int) -> tuple[list[Hunk], int]:
    hunks: list[Hunk] = []
    while at < len(lines):
        line, opened = lines[at], _HUNK.match(lines[at])
        if opened is not None:
            hunks.append(Hunk(int(opened["old"] or 0)))
        elif line.startswith(("diff ", "Index ")) or (line.startswith("--- ") and _begins(lines, at)):
            break
        elif hunks and line.startswith(_NO_END):
            hunks[-1].has_no_end = True
        elif hunks and line[:1] in ("+", "-", " "):
            _add(hunks[-1], line)
        elif hunks and not line and any(rest.strip() for rest in lines[at + 1 :]):
            _add(hunks[-1], " ")  # an empty line that stays, without the blank that belongs before it
        elif line:
            break
        at += 1
    return hunks, at


def _begins(lines: list[str], at: int) -> bool:
    return at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def _add(hunk: Hunk, line: str) -> None:
    if line[0] in "- ":
        hunk.old.append(line[1:])
    if line[0] in "+ ":
        hunk.new.append(line[1:])
        hunk.has_no_end = False


def _path(said: str, side: str) -> str:
    path = said.split("\t")[0].strip().strip('"')
    return path if path == _NOWHERE else path.removeprefix(side)
