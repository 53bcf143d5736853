"""Turns a work tree into a tree object without losing what a plain `git add -A` misses.

Runs in a scratch git directory with a copy of the work tree's own index. Measured with git 2.39: an empty one
silently loses tracked-but-ignored files, and a nested repository without a commit aborts `add -A`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.errors import GitFailed
from orchestrator.fs.failure import printable, told
from orchestrator.model.ids import ObjectId
from orchestrator.process.spawn import Captured
from orchestrator.repo import history, permissions
from orchestrator.repo.git import Git, split
from orchestrator.repo.scratch import Scratch
from orchestrator.repo.special import special_files

_ORDINARY = (b"H 100", b"H 120")
_ENTRY = re.compile(rb"(.) (\d{6}) ([0-9a-f]+) (\d)\t(.*)", re.DOTALL)
_MODULE_PATH = re.compile(rb"^\s*path\s*=\s*(.*?)\s*$", re.MULTILINE)
_NO_SUBMODULES = (("diff.ignoreSubmodules", "all"),)
_DEEPEST = 16
_LARGEST_INDEX_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Wanted:
    """What belongs into a snapshot of the top level besides the rule.

    `include`: patterns of ignored files that are work; `brought`: paths that never are; `skip`: top
    directories left alone.
    """

    include: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


@dataclass(slots=True)
class Snapshot:
    """A work tree as git objects.

    `staged` is the tree of the index where it differs, `unmerged` its conflict stages; `submodules` holds, by
    path, the complete files of submodules that were changed, `heads` the commits made in them.
    """

    tree: ObjectId
    staged: ObjectId | None = None
    unmerged: tuple[tuple[str, ObjectId, str], ...] = ()
    submodules: dict[str, ObjectId] = field(default_factory=dict)
    heads: list[ObjectId] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Entry:
    tag: bytes
    mode: bytes
    oid: bytes
    stage: bytes
    path: bytes


class Snapshots:
    """Takes snapshots into one scratch directory; `report` hears of everything that could not be kept.

    `root` is the resolved top of the tree: no git directory outside it is read. With `afresh` every file is
    read anew, for a work tree whose index names objects that are missing.
    """

    def __init__(
        self,
        room: Scratch,
        root: Path,
        *,
        trusted: bool,
        report: Callable[[str], None],
        afresh: bool = False,
    ) -> None:
        self._room = room
        self._root = root
        self._trusted = trusted
        self._report = report
        self._afresh = afresh
        self._levels = 0

    def take(
        self,
        work_tree: Path,
        files: history.GitFiles | None,
        base: ObjectId | None,
        wanted: Wanted,
        *,
        depth: int = 0,
    ) -> Snapshot:
        """Returns the snapshot of one work tree; `base` is the commit or tree it was made from, if any.

        Raises:
            GitFailed: not even the files could be written as objects (a full disk).
        """
        self._levels += 1
        number = f"{self._levels}{'-afresh' if self._afresh else ''}"
        git = self._room.git(work_tree, trusted=self._trusted, index=f"index-{number}")
        partial, sparse = self._room.partial, self._room.sparse and depth == 0
        level = _Level(git, base, wanted, self._report, partial=partial, sparse=sparse)
        try:
            level.opened.open_root(work_tree)
            index = files.index if files else None
            try:
                return self._level(level, index, depth, afresh=self._afresh)
            except GitFailed as error:
                if files is None or self._afresh:
                    raise
                self._report(f"the index of {shown(work_tree)} is not used: {error.message}")
                return self._level(level, index, depth, afresh=True)
        finally:
            level.opened.restore()

    def _level(self, level: _Level, index: Path | None, depth: int, *, afresh: bool) -> Snapshot:
        level.seed(index, afresh=afresh)
        level.add()
        result = self._nested(level, depth)
        with ThreadPoolExecutor(1) as other:
            staged = other.submit(level.staged)
            result.tree = level.write_tree()
            if level.complete(result.tree):
                result.tree = level.write_tree()
            if level.drop_brought(result.tree):
                result.tree = level.write_tree()
            before, result.unmerged = staged.result()
        result.staged = None if before == result.tree else before
        return result

    def _nested(self, level: _Level, depth: int) -> Snapshot:
        """Keeps files of nested repositories: those of submodules aside, of all others as plain files."""
        result = Snapshot(ObjectId(""))
        links, empty = level.nested()
        known = level.submodule_paths() if links else frozenset()
        for path, oid in [*links.items(), *((path, b"") for path in empty)]:
            place = level.git.directory / os.fsdecode(path)
            files = history.git_files(place, inside=self._root)
            if not os.path.lexists(place / ".git") or place.is_symlink():
                continue  # a submodule nobody filled
            if depth >= _DEEPEST:
                self._report(f"{shown(path)} is nested too deeply to be kept")
                continue
            if files:
                self._room.borrow([files.objects])
            is_submodule = path in known
            old = ObjectId(oid.decode()) if is_submodule and level.has_commit(oid) else None
            inner = self._inner(place, files, old, depth)
            result.heads += inner.heads
            if is_submodule:
                self._keep_submodule(level, result, path, files, old, inner)
            else:
                level.replace_by_files(path, inner.tree)
        return result

    def _inner(
        self, place: Path, files: history.GitFiles | None, old: ObjectId | None, depth: int
    ) -> Snapshot:
        exclude = self._room.path / "info" / "exclude"
        kept = exclude.read_bytes()
        exclude.write_bytes(b"")  # its anchored patterns are meant for the top level
        try:
            return self.take(place, files, old, Wanted(), depth=depth + 1)
        finally:
            exclude.write_bytes(kept)

    def _keep_submodule(
        self,
        level: _Level,
        result: Snapshot,
        path: bytes,
        files: history.GitFiles | None,
        old: ObjectId | None,
        inner: Snapshot,
    ) -> None:
        now = history.head(files) if files else None
        if old is None or level.tree_of(old) != inner.tree:
            result.submodules[os.fsdecode(path)] = inner.tree
        for name, tree in inner.submodules.items():
            result.submodules[f"{os.fsdecode(path)}/{name}"] = tree
        if now is not None and level.has_commit(now.encode()):
            level.set_link(path, now)
            if level.base_link(path) != now:
                result.heads.append(ObjectId(now))


class _Level:
    """One work tree with its scratch index."""

    def __init__(
        self,
        git: Git,
        base: ObjectId | None,
        wanted: Wanted,
        report: Callable[[str], None],
        *,
        partial: bool,
        sparse: bool,
    ) -> None:
        assert git.index is not None
        self.git = git
        self.index = git.index
        self.base = base
        self.wanted = wanted
        self.report = report
        self.opened = permissions.Opened()
        self.original = git.index.with_name(git.index.name + "-original")
        self.entries: tuple[_Entry, ...] = ()
        self.sparse = sparse
        self.afresh = False
        self.failed = False
        self.warned = False
        # Elsewhere a missing object must be noticed: the file it stood for is then read again.
        self.lenient = ("--missing-ok",) if partial else ()

    def seed(self, theirs: Path | None, *, afresh: bool) -> None:
        """Starts from a copy of the index the work tree has, or else (or `afresh`) from the base."""
        for place in (self.index, self.original):
            place.unlink(missing_ok=True)
        self.afresh = afresh
        if theirs is not None and _copy_index(theirs, self.original) and not afresh:
            os.link(self.original, self.index)  # git replaces an index by rename and writes into none
        elif self.base is not None:
            self._run("read-tree", self.base)
            if self.sparse:
                absent = split(self._run("ls-files", "-d", "-z").stdout)
                self._feed("--skip-worktree", absent)

    def add(self) -> None:
        """Brings the index up to the files, edits hidden by assume-unchanged and skip-worktree included."""
        with ThreadPoolExecutor(1) as other:
            listing = other.submit(self._entries)
            self._add_all()
            self.entries = listing.result()
        if self.afresh:
            self._add_names()
        elif self._unhide():
            self._add_all()

    def _add_all(self) -> None:
        excluded = [f":(top,exclude,literal){name}" for name in self.wanted.skip]
        words = ("add", "-A", "--ignore-errors", "--sparse", "--", ".", *excluded)
        done = self._run(*words, ok=(0, 1, 128))
        if b"Permission denied" in done.stderr:
            self.opened.open_all(self.git.directory)
            done = self._run(*words, ok=(0, 1, 128))
        self.failed = done.status != 0
        self.warned = bool(done.stderr)
        if done.status == 128:
            raise GitFailed(command="add", status=128, stderr=done.stderr.decode("utf-8", "replace"))

    def _entries(self) -> tuple[_Entry, ...]:
        if not self.original.exists():
            return ()
        done = self._original().run("ls-files", "-v", "-s", "-z", ok=None if self.afresh else (0,))
        return _unusual(done.stdout)

    def _original(self) -> Git:
        return replace(self.git, index=self.original)

    def _add_names(self) -> None:
        """Adds what the original index names, if it can be read: ignored files the agent added by force."""
        if self.original.exists():
            named = split(self._original().run("ls-files", "-z", ok=None).stdout)
            there = _present(self.git.directory, named)
            self._feed("--add", [path for path in there if _is_content(self.git.directory, path)])

    def _unhide(self) -> bool:
        assumed = [entry.path for entry in self.entries if entry.tag.islower()]
        present = _present(self.git.directory, [e.path for e in self.entries if e.tag in (b"S", b"s")])
        if assumed:
            self._feed("--no-assume-unchanged", assumed)
        if present:
            self._feed("--no-skip-worktree", present)
        return bool(assumed or present)

    def nested(self) -> tuple[dict[bytes, bytes], tuple[bytes, ...]]:
        """Returns gitlinks with their commits, and nested repositories without one; reports what failed."""
        if not self.warned and not any(entry.mode == b"160000" for entry in self.entries):
            return {}, ()  # git warns of every nested repository it adds
        links = {
            entry.path: entry.oid
            for entry in _unusual(self._run("ls-files", "-v", "-s", "-z").stdout)
            if entry.mode == b"160000"
        }
        empty = []
        if self.failed:
            for path in split(self._run("ls-files", "-o", "--exclude-standard", "-z").stdout):
                if path.endswith(b"/"):
                    empty.append(path[:-1])
                else:
                    self.report(f"{shown(path)} could not be read")
        return links, tuple(empty)

    def submodule_paths(self) -> frozenset[bytes]:
        """Returns the paths that are submodules, in the base or by `.gitmodules`."""
        named = _MODULE_PATH.findall(history.read_small(self.git.directory / ".gitmodules"))
        if self.base is None:
            return frozenset(named)
        listed = split(self._run("ls-tree", "-r", "-z", self.base).stdout)
        return frozenset(named) | {item.partition(b"\t")[2] for item in listed if item.startswith(b"160000 ")}

    def base_link(self, path: bytes) -> str:
        """Returns the commit the base has for a submodule, or nothing."""
        if self.base is None:
            return ""
        done = self._run("rev-parse", "-q", "--verify", os.fsencode(self.base + ":") + path, ok=(0, 1, 128))
        return done.stdout.decode("ascii", "replace").strip()

    def has_commit(self, oid: bytes) -> bool:
        """Returns whether a commit can be read."""
        return bool(oid) and self._run("cat-file", "-e", oid + b"^{commit}", ok=(0, 1, 128)).status == 0

    def tree_of(self, commit: ObjectId) -> str:
        """Returns the tree of a commit."""
        return self.git.text("rev-parse", "--verify", f"{commit}^{{tree}}")

    def set_link(self, path: bytes, commit: str) -> None:
        """Records the commit a submodule is at."""
        self._info([b"160000 %b 0\t%b" % (commit.encode(), path)])

    def replace_by_files(self, path: bytes, tree: ObjectId) -> None:
        """Puts the files of a tree at a path, in the place of a gitlink."""
        null = b"0" * len(tree)
        lines = [b"0 %b\t%b" % (null, path)]
        for item in split(self._run("ls-tree", "-r", "-z", tree).stdout):
            facts, _, name = item.partition(b"\t")
            mode, _, oid = facts.split(b" ")
            lines.append(b"%b %b 0\t%b/%b" % (mode, oid, path, name))
        self._info(lines)

    def complete(self, tree: ObjectId) -> bool:
        """Adds the ignored files that are work: those the base tracks and those the configuration names.

        `tree` is the tree of the index as it is; returns whether it is no longer.
        """
        missing: list[bytes] = []
        if self.base is not None:
            words = ("diff-tree", "-r", "-z", "--name-status", "--no-renames", self.base, tree)
            # It needs no index but would read the whole of ours.
            indexless = replace(self.git, index=self.index.with_name("no-index"))
            listed = split(indexless.run(*words, settings=_NO_SUBMODULES).stdout)
            changes = tuple(zip(listed[::2], listed[1::2], strict=True))
            missing = _present(self.git.directory, [path for kind, path in changes if kind == b"D"])
            self._report_special([path for _, path in changes])
        if self.wanted.include:
            patterns = [spec for pattern in self.wanted.include for spec in _pathspecs(pattern)]
            listed = split(self._run("ls-files", "-o", "-z", "--", *patterns).stdout)
            missing += [path for path in listed if not path.endswith(b"/")]
        files = [path for path in missing if _is_content(self.git.directory, path)]
        if files:
            self._feed("--add", files)
        return bool(files)

    def _report_special(self, changed: Sequence[bytes]) -> None:
        for path in special_files(self.git.directory, changed):
            self.report(f"{shown(path)} is no file and holds nothing to keep")

    def drop_brought(self, tree: ObjectId) -> bool:
        """Takes files that were brought in out of the index; those the base tracks are not such files."""
        if not self.wanted.brought:
            return False
        found = self._listed(tree)
        if self.base is not None and found:
            found -= self._listed(self.base)
        if found:
            self._feed("--force-remove", sorted(found))
        return bool(found)

    def _listed(self, tree: str) -> set[bytes]:
        names = [os.fsencode(name.strip("/")) for name in self.wanted.brought]
        return set(
            split(self._run("ls-tree", "-r", "-z", "--name-only", "--full-tree", tree, "--", *names).stdout)
        )

    def write_tree(self) -> ObjectId:
        """Returns the tree of the index."""
        return ObjectId(self._run("write-tree", *self.lenient).stdout.decode("ascii").strip())

    def staged(self) -> tuple[ObjectId | None, tuple[tuple[str, ObjectId, str], ...]]:
        """Returns the tree of the original index and its conflict stages."""
        stages = tuple(
            (
                f"{entry.stage.decode()}/{os.fsdecode(entry.path)}",
                ObjectId(entry.oid.decode()),
                entry.mode.decode(),
            )
            for entry in self.entries
            if entry.stage != b"0" and not self._is_brought(entry.path)
        )
        if not self.original.exists():
            return None, ()
        git = self._original()
        if any(entry.stage != b"0" for entry in self.entries):
            lines = [b"0 %b\t%b" % (b"0" * len(e.oid), e.path) for e in self.entries if e.stage != b"0"]
            git.run("update-index", "-z", "--index-info", input=b"\0".join(lines) + b"\0", ok=None)
        try:
            staged = ObjectId(git.text("write-tree"))
        except GitFailed as error:
            self.report(f"what was staged in {shown(self.git.directory)} is incomplete: {error.message}")
            return None, ()
        dropped = self._listed(staged) if self.wanted.brought else set()
        if dropped:
            git.run(
                "update-index", "-z", "--force-remove", "--stdin", input=b"\0".join(sorted(dropped)) + b"\0"
            )
            staged = ObjectId(git.text("write-tree"))
        return staged, stages

    def _is_brought(self, path: bytes) -> bool:
        names = [os.fsencode(name.strip("/")) for name in self.wanted.brought]
        return any(path == name or path.startswith(name + b"/") for name in names)

    def _feed(self, option: str, paths: Sequence[bytes]) -> None:
        if not paths:
            return
        self._run("update-index", option, "-z", "--stdin", input=b"\0".join(paths) + b"\0")

    def _info(self, lines: Iterable[bytes]) -> None:
        self._run("update-index", "-z", "--index-info", input=b"\0".join(lines) + b"\0")

    def _run(self, *words: str | bytes, input: bytes = b"", ok: Sequence[int] = (0,)) -> Captured:
        return self.git.run(*words, input=input, ok=ok, settings=_NO_SUBMODULES)


def _unusual(listing: bytes) -> tuple[_Entry, ...]:
    """Returns what `ls-files -v -s -z` lists except ordinary tracked files: gitlinks, and any tag but H."""
    items = [item for item in split(listing) if not item.startswith(_ORDINARY)]
    return tuple(_Entry(*found.groups()) for item in items if (found := _ENTRY.fullmatch(item)))


def shown(path: bytes | Path) -> str:
    """Returns a path as it may be printed."""
    return printable(os.fsdecode(path))


def _copy_index(theirs: Path, ours: Path) -> bool:
    """Copies an index, its shared parts and its time, by which git knows what may have changed since."""
    data = history.read_small(theirs, largest_bytes=_LARGEST_INDEX_BYTES)
    if not data:
        return False
    facts = os.lstat(theirs)
    with told(ours):
        ours.write_bytes(data)
        os.utime(ours, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        for shared in theirs.parent.glob("sharedindex.*"):
            data = history.read_small(shared, largest_bytes=_LARGEST_INDEX_BYTES)
            (ours.parent / shared.name).write_bytes(data)
    return True


def _present(directory: Path, paths: Sequence[bytes]) -> list[bytes]:
    """Returns those paths that exist; looks into each directory that is missing only once."""
    known: dict[bytes, bool] = {b"": True}
    root = os.fsencode(directory)

    def there(parent: bytes) -> bool:
        if parent not in known:
            known[parent] = there(os.path.dirname(parent)) and _is_real_directory(os.path.join(root, parent))
        return known[parent]

    return [
        path for path in paths if there(os.path.dirname(path)) and os.path.lexists(os.path.join(root, path))
    ]


def _is_real_directory(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_content(directory: Path, path: bytes) -> bool:
    try:
        mode = os.lstat(os.path.join(os.fsencode(directory), path)).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _pathspecs(pattern: str) -> tuple[str, ...]:
    """Returns pathspecs for a pattern as in `.gitignore`: one without a slash matches at any depth."""
    body = pattern.strip("/")
    anchored = "/" in pattern.rstrip("/")
    stem = body if anchored else f"**/{body}"
    return f":(top,glob){stem}", f":(top,glob){stem}/**"
