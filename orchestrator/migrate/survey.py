"""Looks at what earlier layouts left; opens only what their marks need, and follows no link."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from orchestrator.fs.temp import PREFIX as TEMP_PREFIX
from orchestrator.migrate import sqlite
from orchestrator.migrate.catalogue import Entry, How, Kind, Layout, Upgrade, current_version
from orchestrator.migrate.compare import Pair, pairs
from orchestrator.migrate.mounts import mount_points
from orchestrator.migrate.scan import Tree, read_link, scan
from orchestrator.migrate.sniff import Places, fits, holds_private_key, layout_version, listed, recognised
from orchestrator.migrate.tracked import GitFacts, ask_git
from orchestrator.paths import names

FileKind = Literal["file", "directory", "link", "special"]
Place = Literal["absent", "empty", "ours", "clone", "older", "newer", "foreign", "unsafe"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a found thing whose new place exists: `pair.path` is relative to it."""

    pair: Pair
    tree: Tree | None
    mode: int
    is_directory: bool
    target_mode: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """One thing of an earlier layout. `source` is relative to the root, or absolute in the home directory.

    `link` is what a symbolic link says and `link_inside` whether it stays in the checkout; `parts` is empty
    unless something stands at the new place; `device` is that of the thing itself.
    """

    layout: str
    entry: Entry
    source: str
    file_kind: FileKind
    mode: int
    owner: int
    device: int
    tree: Tree
    link: str = ""
    link_inside: bool = True
    private_key: bool = False
    database: str = ""
    """The source of the database that this is, or is a companion of; empty for anything else."""
    parts: tuple[Part, ...] = ()
    dangling: tuple[str, ...] = ()
    """Links in it that lead nowhere once it has moved."""


@dataclass(frozen=True, slots=True)
class OwnMark:
    """Our own `layout.json`: its version, its mode and its size."""

    version: int
    mode: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything a plan is made from; making it changed nothing.

    `taken` are the ids in `migrations/`; `place` says what stands at `.orchestrator`; `unknown` the names in
    it that nobody knows; `device` is that on which `.orchestrator/` lies or would; `mounts` are mount points
    below the root, relative to it; `pointing` are links beside the found things that point into them. `mark`
    is our own `layout.json`, `upgrade` what its version becomes next, and `current` the version at the end.
    """

    root: Path
    layouts: tuple[Layout, ...]
    found: tuple[Found, ...]
    git: GitFacts
    place: Place
    unknown: tuple[str, ...]
    taken: frozenset[str]
    device: int
    mounts: frozenset[str]
    missing: frozenset[str]
    current: int
    mark: OwnMark | None = None
    upgrade: Upgrade | None = None
    pointing: tuple[str, ...] = ()
    digest: str = ""
    shape: str = ""


def survey(root: Path, catalogue: Sequence[Layout], home: Path | None = None) -> Survey:
    """Returns what stands in `root` of the layouts in `catalogue`; `home` is the user's, where that counts.

    Raises:
        Refused: git does not trust the repository, or it is broken.
    """
    places = Places(os.fspath(root), None if home is None else os.fspath(home))
    directory, current = os.path.join(places.root, names.DIRECTORY), current_version(catalogue)
    mark = _own_mark(directory)
    is_older = mark is not None and mark.version < current
    present = tuple(
        layout
        for layout in catalogue
        if (layout.upgrades is not None) == is_older and recognised(layout, places)
    )
    upgrade = next((layout.upgrades for layout in present if is_older), None)
    found = tuple(_led_astray(list(_all_found(present, places)), places))
    inside = [one.source for one in found if not one.entry.at_home]
    moving = [one for one in found if one.entry.action is not How.REPORT]
    kind, unknown = _place(directory, frozenset(inside), mark, current)
    return Survey(
        root=root,
        layouts=present,
        found=found,
        git=ask_git(root, [one.source for one in moving]),
        place=kind,
        unknown=unknown,
        taken=frozenset(listed(os.path.join(directory, names.MIGRATIONS))),
        device=_device(directory, places.root),
        mounts=frozenset(places.relative(path) for path in mount_points(places.root))
        if moving
        else frozenset(),
        missing=_missing(places.root, moving),
        current=current,
        mark=mark,
        upgrade=upgrade,
        pointing=tuple(_pointing(places, [one.source for one in moving])),
        digest=_digest(found, "fingerprint", upgrade),
        shape=_digest(found, "shape", upgrade),
    )


def _all_found(layouts: Sequence[Layout], places: Places) -> Iterator[Found]:
    claimed: set[str] = set()
    for layout in layouts:
        for entry in layout.entries:
            for path in places.find(entry.source):
                source = path if entry.at_home else places.relative(path)
                if _is_claimed(source, claimed) or not fits(entry.when, path, places):
                    continue
                claimed.add(source)
                one = _look(layout, entry, source, path, places)
                yield one
                yield from _companions(one, path, places, claimed)


def _is_claimed(source: str, claimed: set[str]) -> bool:
    above = source
    while above:
        if above in claimed:
            return True
        above = os.path.dirname(above) if above != os.path.dirname(above) else ""
    return any(other.startswith(f"{source}/") for other in claimed)


def _companions(one: Found, path: str, places: Places, claimed: set[str]) -> Iterator[Found]:
    """Yields the files SQLite keeps beside a database: they go where it goes, before it."""
    if not one.database or one.entry.action is How.REPORT:
        return
    for suffix in sqlite.COMPANIONS:
        beside = path + suffix
        if os.path.lexists(beside) and one.source + suffix not in claimed:
            claimed.add(one.source + suffix)
            target = one.entry.target_of(one.source)
            target = None if target is None else target + suffix
            entry = one.entry.model_copy(update={"source": one.source + suffix, "target": target})
            found = _look_at(one.layout, entry, one.source + suffix, beside, places)
            yield replace(found, database=one.source)


def _look(layout: Layout, entry: Entry, source: str, path: str, places: Places) -> Found:
    found = _look_at(layout.name, entry, source, path, places)
    if found.file_kind == "file" and (entry.kind is Kind.DATABASE or sqlite.is_database(path)):
        return replace(found, database=source)
    return found


def _look_at(layout: str, entry: Entry, source: str, path: str, places: Places) -> Found:
    facts = os.lstat(path)
    kind = _file_kind(facts.st_mode)
    moves = entry.action is not How.REPORT
    tree = scan(path) if moves else Tree(files=1)
    link = os.readlink(path) if kind == "link" else ""
    return Found(
        layout=layout,
        entry=entry,
        source=source,
        file_kind=kind,
        mode=stat.S_IMODE(facts.st_mode),
        owner=facts.st_uid,
        device=facts.st_dev,
        tree=tree,
        link=link,
        link_inside=_is_inside(path, places.root) if link else True,
        private_key=entry.private_key
        or (moves and entry.is_sensitive and kind == "file" and holds_private_key(path)),
        parts=_parts(entry, path, places) if moves else (),
        dangling=tuple(_dangling(path, tree)) if moves else (),
    )


def _parts(entry: Entry, path: str, places: Places) -> tuple[Part, ...]:
    target = entry.target_of(places.relative(path))
    if target is None or entry.action is How.SQLITE_BACKUP:
        return ()
    new = os.path.join(places.root, names.DIRECTORY, target)
    if not os.path.lexists(new) or os.path.islink(path):
        return ()
    return tuple(_part(pair, path, new) for pair in pairs(path, new))


def _part(pair: Pair, path: str, new: str) -> Part:
    here, there = (os.path.join(top, pair.path) if pair.path else top for top in (path, new))
    facts = os.lstat(here)
    return Part(
        pair=pair,
        tree=scan(here) if pair.verdict != "emptied" else None,
        mode=stat.S_IMODE(facts.st_mode),
        is_directory=stat.S_ISDIR(facts.st_mode),
        target_mode=stat.S_IMODE(os.lstat(there).st_mode) if os.path.lexists(there) else None,
    )


def _own_mark(directory: str) -> OwnMark | None:
    version = None if os.path.islink(directory) else layout_version(directory)
    if version is None:
        return None
    facts = os.lstat(os.path.join(directory, names.LAYOUT))
    return OwnMark(version, stat.S_IMODE(facts.st_mode), facts.st_size)


def _place(
    directory: str, found: frozenset[str], mark: OwnMark | None, current: int
) -> tuple[Place, tuple[str, ...]]:
    if not os.path.lexists(directory):
        return "absent", ()
    if os.path.islink(directory) or not os.path.isdir(directory):
        return "unsafe", ()
    if mark is not None and mark.version != current:
        return ("newer" if mark.version > current else "older"), ()
    if mark is not None:
        return "ours", ()
    entries = [name for name in listed(directory) if not name.startswith(TEMP_PREFIX)]
    below = {source.split("/")[1] for source in found if source.startswith(f"{names.DIRECTORY}/")}
    unknown = tuple(name for name in entries if name not in names.KNOWN | below)
    if unknown:
        return ("newer" if unknown == ("VERSION",) else "foreign"), unknown
    return ("clone" if entries else "empty"), ()


def _device(directory: str, root: str) -> int:
    try:
        return os.stat(directory).st_dev
    except OSError:
        return os.stat(root).st_dev


def _missing(root: str, moving: Sequence[Found]) -> frozenset[str]:
    """Returns the directories above explicit targets that do not exist yet, relative to `.orchestrator/`."""
    wanted = {names.QUARANTINE}
    for one in moving:
        above = os.path.dirname(one.entry.target_of(one.source) or "")
        while above:
            wanted.add(above)
            above = os.path.dirname(above)
    base = os.path.join(root, names.DIRECTORY)
    return frozenset(path for path in wanted if not os.path.lexists(os.path.join(base, path)))


def _dangling(path: str, tree: Tree) -> Iterator[str]:
    """Yields the relative links of a tree that lead out of it, so that a move changes what they mean."""
    top = os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
    for name in tree.links:
        link = os.path.join(path, name) if name else path
        text = read_link(link)
        end = os.path.normpath(os.path.join(os.path.dirname(os.path.join(top, name)), text))
        if not os.path.isabs(text) and end != top and not end.startswith(top + "/"):
            yield os.path.join(os.path.basename(path), name) if name else os.path.basename(path)


def _led_astray(found: Sequence[Found], places: Places) -> Iterator[Found]:
    """Yields what was found, with the absolute links in it that lead to anything that moves."""
    moving = [one for one in found if one.entry.action is not How.REPORT]
    roots = {places.root, os.path.realpath(places.root)}
    tops = [os.path.join(root, one.source) for root in roots for one in moving]
    for one in found:
        path, name = os.path.join(places.root, one.source), os.path.basename(one.source)
        astray = tuple(
            os.path.join(name, link) if link else name
            for link in one.tree.links
            if _leads_into(read_link(os.path.join(path, link) if link else path), tops)
        )
        yield replace(one, dangling=one.dangling + astray) if astray else one


def _leads_into(text: str, tops: Sequence[str]) -> bool:
    end = os.path.normpath(text)
    return os.path.isabs(text) and any(end == top or end.startswith(f"{top}/") for top in tops)


def _pointing(places: Places, sources: Sequence[str]) -> Iterator[str]:
    """Yields links directly in the root that point at or into what is to be moved."""
    wanted = [os.path.join(places.root, source) for source in sources]
    if not wanted:
        return
    for name in listed(places.root):
        path = os.path.join(places.root, name)
        if os.path.islink(path) and name not in sources:
            end = os.path.normpath(os.path.join(places.root, os.readlink(path)))
            if any(end == one or end.startswith(one + "/") for one in wanted):
                yield name


def _is_inside(path: str, root: str) -> bool:
    end = os.path.realpath(path)
    return end.startswith(os.path.realpath(root).rstrip("/") + "/")


def _digest(found: Sequence[Found], what: Literal["fingerprint", "shape"], upgrade: Upgrade | None) -> str:
    whole = hashlib.blake2b(digest_size=16)
    if upgrade is not None:
        whole.update(f"from {upgrade.from_version} to {upgrade.to_version}\n".encode())
    for one in sorted(found, key=lambda one: one.source):
        state = one.tree.fingerprint if what == "fingerprint" else one.tree.shape
        line = f"{one.layout}\0{one.source}\0{one.entry.action}\0{one.entry.target}\0{state}\0{one.mode}"
        whole.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return whole.hexdigest()


def _file_kind(mode: int) -> FileKind:
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "link"
    return "file" if stat.S_ISREG(mode) else "special"
