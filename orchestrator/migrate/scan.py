"""Counts and fingerprints a tree by scandir and lstat alone: one pass, nothing opened, no link followed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

_MASK = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15
_REGULAR = stat.S_IFREG
_FOLDER = stat.S_IFDIR
_TYPE = 0o170000


@dataclass(slots=True)
class Tree:
    """What a scan found below (and at) one path; sizes in bytes, names relative to the scanned path.

    `fingerprint` changes when a name, kind, mode, size, time of change or link count of anything in it does.
    `shape` leaves out what a copy of the repository changes (time of change), so a copy has the same.
    """

    files: int = 0
    directories: int = 0
    bytes: int = 0
    allocated_bytes: int = 0
    fingerprint: str = ""
    shape: str = ""
    links: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    unscanned: list[str] = field(default_factory=list)
    too_long: list[str] = field(default_factory=list)
    hard_linked: dict[tuple[int, int], tuple[int, int, str]] = field(default_factory=dict)

    @property
    def linked_outside(self) -> list[str]:
        """Returns one name for each file that has names outside of this tree too."""
        return [name for found, total, name in self.hard_linked.values() if found != total]


def scan(path: str, *, mode: int | None = None) -> Tree:
    """Returns the facts of what stands at `path`; what may not be looked at is listed, not raised.

    With `mode` the fingerprints are those of the thing with these permission bits.

    Raises:
        OSError: `path` itself cannot be looked at.
    """
    tree = Tree()
    top = os.lstat(path)
    exact, copied = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    bits = top.st_mode if mode is None else stat.S_IFMT(top.st_mode) | mode
    exact.update(b"%d %d %d" % (bits, top.st_size, top.st_mtime_ns))
    copied.update(b"%d" % bits)
    if not stat.S_ISDIR(top.st_mode):
        _special(tree, "", top)
        exact.update(b" %d" % top.st_ctime_ns)
        copied.update(b" %d %d" % (top.st_size, top.st_mtime_ns if stat.S_ISREG(top.st_mode) else 0))
    else:
        tree.directories = 1
        _walk(tree, path, exact, copied)
    tree.fingerprint, tree.shape = exact.hexdigest(), copied.hexdigest()
    return tree


def read_link(path: str) -> str:
    """Returns what a symbolic link says, also where its path is longer than the system takes in one piece."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    descriptor = _reach(os.path.dirname(path))
    try:
        return os.readlink(os.path.basename(path), dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _walk(tree: Tree, root: str, exact: hashlib.blake2b, copied: hashlib.blake2b) -> None:
    skip = len(root) + 1
    stack = [root]
    while stack:
        here = stack.pop()
        try:
            below, facts = _listed(tree, here, skip)
        except OSError:
            tree.unscanned.append(here[skip:])
            continue
        line = f"{here[skip:]}\0{facts[0]}".encode("utf-8", "surrogateescape")
        exact.update(line + b"\0%d %d" % (facts[1], facts[2]))
        copied.update(line + b"\0%d" % facts[1])
        below.sort(reverse=True)
        stack += below


def _listed(tree: Tree, here: str, skip: int) -> tuple[list[str], tuple[str, int, int]]:
    try:
        with os.scandir(here) as entries:
            return _directory(tree, entries, here, skip)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    tree.too_long.append(here[skip:])
    descriptor = _reach(here)
    try:
        with os.scandir(descriptor) as entries:
            return _directory(tree, entries, here, skip)
    finally:
        os.close(descriptor)


def _reach(path: str) -> int:
    """Returns a descriptor of a directory whose path is longer than the system takes in one piece."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open("/", flags)
    for part in os.path.abspath(path).split("/")[1:]:
        below = os.open(part, flags, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    return descriptor


def _directory(
    tree: Tree, entries: Iterator[os.DirEntry[str]], here: str, skip: int
) -> tuple[list[str], tuple[str, int, int]]:
    """Adds one directory to the tree; returns its subdirectories, and its names and sums for the digest.

    This loop runs once for each file of a legacy tree and decides how long a dry run takes: sums that do not
    depend on the order replace a hash for each file, and only unusual files leave the short way.
    """
    below: list[str] = []
    names: list[str] = []
    stable = volatile = size = blocks = files = 0
    for entry in entries:
        facts = entry.stat(follow_symlinks=False)
        mode = facts.st_mode
        names.append(entry.name)
        if mode & _TYPE == _REGULAR and facts.st_nlink == 1:
            files += 1
            size += facts.st_size
            blocks += facts.st_blocks
            stable += (facts.st_mtime_ns + facts.st_size * _ODD) ^ mode
            volatile += facts.st_ctime_ns
        elif mode & _TYPE == _FOLDER:
            tree.directories += 1
            below.append(f"{here}/{entry.name}")
            stable += mode * _ODD
        else:
            _special(tree, f"{here}/{entry.name}"[skip:], facts)
            stable += facts.st_size * _ODD ^ mode
            volatile += facts.st_ctime_ns
    tree.files += files
    tree.bytes += size
    tree.allocated_bytes += blocks * 512
    names.sort()
    return below, ("\0".join(names), stable & _MASK, volatile & _MASK)


def _special(tree: Tree, name: str, facts: os.stat_result) -> None:
    if stat.S_ISLNK(facts.st_mode):
        tree.links.append(name)
    elif stat.S_ISREG(facts.st_mode):
        key = (facts.st_dev, facts.st_ino)
        found, total, first = tree.hard_linked.get(key, (0, facts.st_nlink, name))
        if facts.st_nlink > 1:
            tree.hard_linked[key] = (found + 1, total, first)
        if not found:
            tree.bytes += facts.st_size
            tree.allocated_bytes += facts.st_blocks * 512
    else:
        tree.special.append(name)
    tree.files += 1
