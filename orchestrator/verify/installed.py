"""Remembers what setup commands installed in a tree, and carries it into the next while it is untouched."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId
from orchestrator.repo.repository import Repository
from orchestrator.verify.output import read_regular

_LOCK_FILE = re.compile(
    r"(?:requirements[\w.-]*\.(?:txt|in)|constraints[\w.-]*\.txt|poetry\.lock|pdm\.lock|uv\.lock|pylock[\w.-]*\.toml"
    r"|Pipfile(?:\.lock)?|pyproject\.toml|setup\.(?:py|cfg)|package(?:-lock)?\.json|npm-shrinkwrap\.json|yarn\.lock"
    r"|pnpm-lock\.yaml|pnpm-workspace\.yaml|bun\.lockb?|\.npmrc|\.tool-versions|\.python-version|\.nvmrc"
    r"|Cargo\.(?:toml|lock)|go\.(?:mod|sum)|Gemfile(?:\.lock)?|composer\.(?:json|lock)|Makefile|Dockerfile)"
)
_MAX_MANIFEST_BYTES = 256 << 20
_MANIFEST = "installed.json"
_KEPT = "kept"

Facts = dict[str, list[int | str]]


def setup_key(
    repository: Repository, tree: ObjectId, commands: Sequence[tuple[str, ...]], *, brought: str
) -> str:
    """Returns a hash of what setup depends on: the commands, the lock files in the tree, the machine."""
    digest = hashlib.sha256()
    words = [commands, brought, sys.platform, platform.machine(), platform.node()]
    digest.update(json.dumps(words).encode())
    for item in repository.git.zsplit("ls-tree", "-r", "-z", tree):
        if _LOCK_FILE.fullmatch(os.fsdecode(item).rpartition("/")[2].rpartition("\t")[2]):
            digest.update(item + b"\0")
    return digest.hexdigest()


class Installed:
    """The record beside a tree of what its setup installed, entries as `TreeWatch.untracked` names them.

    The record counts only if every file in it is still as it was: a check runs code that an agent wrote,
    which could have changed an installed program so that the next check is pleased.
    """

    def __init__(self, directory: Path, sidecar: Path) -> None:
        self._directory = directory
        self._sidecar = sidecar

    def record(self, key: str, entries: Sequence[str]) -> None:
        """Writes down what setup left; durable when it returns."""
        facts: Facts = {}
        for entry in entries:
            facts.update(_facts(self._directory, entry.rstrip("/")))
        document = {"schema_version": 1, "key": key, "entries": list(entries), "files": facts}
        Disk().write(self._sidecar / _MANIFEST, json.dumps(document).encode())

    def put_aside(self, key: str) -> bool:
        """Moves what was installed out of the tree, before that is made anew; False when it must not be used.

        What checks added to it (caches, compiled files) is removed.
        """
        document = self._read()
        if document is None or document.get("key") != key:
            return False
        entries, files = document.get("entries"), document.get("files")
        if not isinstance(entries, list) or not isinstance(files, dict):
            return False
        if not all(isinstance(entry, str) and _is_inside(entry) for entry in entries):
            return False
        if not all(self._is_untouched(entry, files) for entry in entries):
            return False
        disk = Disk()
        disk.remove_tree(self._sidecar / _KEPT)
        for entry in entries:
            target = self._sidecar / _KEPT / entry.rstrip("/")
            disk.make_dir(target.parent)
            disk.rename(self._directory / entry.rstrip("/"), target)
        return True

    def put_in(self) -> bool:
        """Moves it into the fresh tree; False when the tree has something in the same place."""
        document = self._read() or {}
        entries = document.get("entries")
        disk = Disk()
        for entry in entries if isinstance(entries, list) else ():
            target = self._directory / entry.rstrip("/")
            if os.path.lexists(target) or not target.parent.is_dir() or target.parent.is_symlink():
                return False
            disk.rename(self._sidecar / _KEPT / entry.rstrip("/"), target)
        return True

    def forget(self) -> None:
        """Removes the record, so that setup runs again."""
        Disk().remove(self._sidecar / _MANIFEST)

    def _read(self) -> dict[str, object] | None:
        content = read_regular(self._sidecar / _MANIFEST, limit_bytes=_MAX_MANIFEST_BYTES)
        try:
            value = json.loads(content.data) if content is not None else None
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def _is_untouched(self, entry: str, recorded: dict[str, object]) -> bool:
        name = entry.rstrip("/")
        found = _facts(self._directory, name)
        expected = {
            path: facts for path, facts in recorded.items() if path == name or path.startswith(name + "/")
        }
        if any(found.get(path) != facts for path, facts in expected.items()):
            return False
        for added in found.keys() - expected.keys():
            Disk().remove_tree(self._directory / added)
        return True


def _is_inside(entry: str) -> bool:
    # What checks run could have written the record as well.
    return not {"", ".", "..", ".git"} & set(entry.rstrip("/").split("/"))


def _facts(directory: Path, name: str) -> Facts:
    """Returns what cannot be changed back unnoticed: the change time is the kernel's.

    Of the entry itself, whose change time moves when it is renamed, size and content are taken instead.
    """
    return dict(_walk(directory, name))


def _walk(directory: Path, name: str) -> Iterator[tuple[str, list[int | str]]]:
    top = directory / name
    if not top.is_dir() or top.is_symlink():
        facts = os.lstat(top) if os.path.lexists(top) else None
        if facts is not None:
            yield name, [facts.st_mode, facts.st_size, _content(top)]
        return
    for place, directories, files in os.walk(top):
        links = [each for each in directories if os.path.islink(os.path.join(place, each))]
        for each in (*files, *links):
            path = os.path.join(place, each)
            facts = os.lstat(path)
            shown = os.path.relpath(path, directory)
            yield shown, [facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]


def _content(path: Path) -> str:
    if path.is_symlink():
        return os.readlink(path)
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
