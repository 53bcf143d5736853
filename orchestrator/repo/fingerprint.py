"""Records what of the user's repository must be the same before and after we worked, and says what is not."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.repo.config_changes import MAX_BYTES, changed_keys
from orchestrator.repo.git import Git

_ABSENT = "absent"

_OWN_FILES = (
    ("HEAD", "HEAD"),
    ("index", "the index"),
    ("config.worktree", "the worktree's configuration"),
    ("info/sparse-checkout", "the sparse-checkout patterns"),
    ("FETCH_HEAD", "FETCH_HEAD"),
    ("ORIG_HEAD", "ORIG_HEAD"),
    ("MERGE_HEAD", "MERGE_HEAD"),
    ("CHERRY_PICK_HEAD", "CHERRY_PICK_HEAD"),
    ("REVERT_HEAD", "REVERT_HEAD"),
    ("BISECT_LOG", "the bisect log"),
    ("logs/HEAD", "the reflog of HEAD"),
)
_SHARED_FILES = (
    ("config", "the configuration"),
    ("info/exclude", "info/exclude"),
    ("info/attributes", "info/attributes"),
    ("info/grafts", "the grafts"),
    ("shallow", "the shallow file"),
    ("objects/info/alternates", "the alternates"),
    ("logs/refs/stash", "the stash"),
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Digests by the words that name each part; `refs` by full ref name, ours left out.

    `config` is the text of the shared configuration file, so that a change can be named by its keys.
    """

    parts: Mapping[str, str]
    refs: Mapping[str, str]
    config: bytes = b""


def take_fingerprint(git: Git, git_dir: Path, common_dir: Path, *, ours: tuple[str, ...]) -> Fingerprint:
    """Returns the fingerprint of a repository; reads only, takes no lock, follows no link out of it."""
    parts = {words: _digest_file(git_dir / name) for name, words in _OWN_FILES}
    parts.update({words: _digest_file(common_dir / name) for name, words in _SHARED_FILES})
    parts["the hooks"] = _digest_tree(common_dir / "hooks")
    parts["the list of linked worktrees"] = _names(common_dir / "worktrees")
    lines = git.lines("for-each-ref", "--format=%(objectname) %(symref) %(refname)")
    refs = {}
    for line in lines:
        oid, symref, name = line.split(" ", 2)
        if not name.startswith(ours):
            refs[name] = f"{oid} {symref}".strip()
    return Fingerprint(parts, refs, _read_config(common_dir / "config"))


def differences(before: Fingerprint, after: Fingerprint) -> tuple[str, ...]:
    """Returns one sentence for each part that is not the same, refs by name."""
    found = [
        f"{words} {_change(before.parts.get(words, _ABSENT), after.parts.get(words, _ABSENT))}"
        for words in sorted({*before.parts, *after.parts})
        if before.parts.get(words, _ABSENT) != after.parts.get(words, _ABSENT)
    ]
    keys = changed_keys(before.config, after.config) if before.config != after.config else ()
    if keys:
        found.append(f"the configuration changed in: {', '.join(keys)}")
    found += [
        f"{name} {_change(before.refs.get(name, _ABSENT), after.refs.get(name, _ABSENT), show=True)}"
        for name in sorted({*before.refs, *after.refs})
        if before.refs.get(name) != after.refs.get(name)
    ]
    return tuple(found)


def _change(before: str, after: str, *, show: bool = False) -> str:
    if before == _ABSENT:
        return "appeared"
    if after == _ABSENT:
        return "is gone"
    return f"moved from {before} to {after}" if show else "changed"


def _read_config(path: Path) -> bytes:
    """Returns the text of a regular file of at most 1 MiB, else nothing."""
    try:
        facts = os.lstat(path)
        small = stat.S_ISREG(facts.st_mode) and facts.st_size <= MAX_BYTES
        return path.read_bytes() if small else b""
    except OSError:
        return b""


def _digest_file(path: Path) -> str:
    try:
        facts = os.lstat(path)
        if stat.S_ISLNK(facts.st_mode):
            return "link " + os.readlink(path)
        if not stat.S_ISREG(facts.st_mode):
            return f"special {stat.S_IFMT(facts.st_mode):o}"
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return _ABSENT
    except OSError as error:
        return f"unreadable ({error.errno})"
    return f"{digest} {stat.S_IMODE(facts.st_mode):o}"


def _digest_tree(place: Path) -> str:
    digest = hashlib.sha256()
    for directory, subdirectories, files in os.walk(place):
        subdirectories.sort()
        for name in sorted(files):
            path = Path(directory, name)
            digest.update(os.fsencode(path.relative_to(place)) + b"\0" + _digest_file(path).encode() + b"\0")
    return digest.hexdigest() if place.is_dir() else _ABSENT


def _names(place: Path) -> str:
    try:
        return "\0".join(sorted(os.listdir(place)))
    except OSError:
        return _ABSENT
