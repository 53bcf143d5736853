"""Reads facts of the user's repository and moves the few refs that are ours; never its index or HEAD."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.discovery import Located
from orchestrator.errors import Failed, GitFailed, Refused
from orchestrator.fs.disk import Disk
from orchestrator.model.ids import ObjectId
from orchestrator.repo import asking
from orchestrator.repo.asking import OURS
from orchestrator.repo.fingerprint import Fingerprint, take_fingerprint
from orchestrator.repo.git import Git
from orchestrator.repo.settings import local_settings

_IDENT = re.compile(r"(?P<name>.*) <(?P<email>[^<>]*)> \d+ [+-]\d{4}", re.DOTALL)
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_IDENTITY_VARIABLES = tuple(
    f"GIT_{role}_{part}" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL", "DATE")
)
_LOCK_PATIENCE_S = 3.0


@dataclass(frozen=True, slots=True)
class Head:
    """Where HEAD is: `oid` is None before the first commit, `branch` (a full ref name) None when detached."""

    oid: ObjectId | None
    branch: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who commits on the result branch: the user, as git itself would find it."""

    author_name: str
    author_email: str
    committer_name: str
    committer_email: str

    def environment(self) -> dict[str, str]:
        """Returns the variables that make git use this identity; dates the user set are passed on."""
        dates = {
            name: os.environ[name]
            for name in _IDENTITY_VARIABLES
            if name.endswith("DATE") and name in os.environ
        }
        return {
            "GIT_AUTHOR_NAME": self.author_name,
            "GIT_AUTHOR_EMAIL": self.author_email,
            "GIT_COMMITTER_NAME": self.committer_name,
            "GIT_COMMITTER_EMAIL": self.committer_email,
            **dates,
        }


class Repository:
    """The user's repository, seen from the checkout the user stands in.

    `trusted` lets filters and merge drivers of its own configuration run.
    """

    def __init__(self, located: Located, *, trusted: bool) -> None:
        self.located = located
        self.trusted = trusted
        self.git = Git(Path(located.checkout), trusted=trusted)
        self._object_format = ""
        self._local_settings: tuple[tuple[str, str], ...] | None = None

    @property
    def checkout(self) -> Path:
        """Returns the root of the working tree called from."""
        return Path(self.located.checkout)

    @property
    def git_dir(self) -> Path:
        """Returns the git directory of that working tree."""
        return Path(self.located.git_dir)

    @property
    def common_dir(self) -> Path:
        """Returns the git directory shared with linked worktrees."""
        return Path(self.located.common_dir)

    @property
    def git_dir_identity(self) -> tuple[int, int]:
        """Returns (device, inode) of the common git directory: a copy of the repository has another one."""
        facts = os.stat(self.common_dir)
        return facts.st_dev, facts.st_ino

    @property
    def object_format(self) -> str:
        """Returns `sha1` or `sha256`."""
        if not self._object_format:
            self._object_format = self.git.text("rev-parse", "--show-object-format")
        return self._object_format

    @property
    def null_id(self) -> ObjectId:
        """Returns the object id that stands for "no such ref"."""
        return ObjectId("0" * (64 if self.object_format == "sha256" else 40))

    def local_settings(self) -> tuple[tuple[str, str], ...]:
        """Returns what our trees take over of the repository's own configuration; read once."""
        if self._local_settings is None:
            self._local_settings = local_settings(self.git, trusted=self.trusted)
        return self._local_settings

    def head(self) -> Head:
        """Returns the commit and branch of HEAD."""
        branch = self.git.text("symbolic-ref", "-q", "HEAD", ok=(0, 1))
        oid = self.git.text("rev-parse", "-q", "--verify", "HEAD^{commit}", ok=(0, 1, 128))
        return Head(ObjectId(oid) if _OBJECT_ID.fullmatch(oid) else None, branch or None)

    def resolve(self, revision: str) -> ObjectId:
        """Returns the commit that a revision written by a person names.

        Raises:
            Refused: `no-commit` for HEAD before the first commit, `base-unknown` for anything else unknown.
        """
        if "\0" in revision:
            raise _unknown(revision)
        done = self.git.run(
            "rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}", ok=(0, 1, 128)
        )
        oid = done.stdout.decode("ascii", "replace").strip()
        if done.status == 0 and _OBJECT_ID.fullmatch(oid):
            return ObjectId(oid)
        if revision == "HEAD":
            raise Refused(
                "The repository has no commit yet.",
                code="no-commit",
                hint='Make a first one: git add -A && git commit -m "first"',
            )
        raise _unknown(revision)

    def tree_of(self, commit: ObjectId) -> ObjectId:
        """Returns the tree of a commit (or the tree itself)."""
        return ObjectId(self.git.text("rev-parse", "--verify", f"{commit}^{{tree}}"))

    def operation_in_progress(self) -> str | None:
        """Returns what the user has begun and not finished (`merge`, `rebase`, …), or None."""
        return asking.operation_in_progress(self.git_dir)

    def identity(self) -> Identity:
        """Returns the user's identity; the six variables of the environment win, as they do in git.

        Raises:
            Refused: `identity-missing`, no name or no address is set anywhere.
        """
        author_name, author_email = self._ident("AUTHOR")
        committer_name, committer_email = self._ident("COMMITTER")
        return Identity(author_name, author_email, committer_name, committer_email)

    def _ident(self, role: str) -> tuple[str, str]:
        passed = {name: os.environ[name] for name in _IDENTITY_VARIABLES if name in os.environ}
        done = self.git.run(
            "var", f"GIT_{role}_IDENT", env=passed, ok=None, settings=(("user.useConfigOnly", "true"),)
        )
        found = _IDENT.fullmatch(done.stdout.decode("utf-8", "surrogateescape").rstrip("\n"))
        if done.status != 0 or found is None or not found["name"] or not found["email"]:
            raise Refused(
                "Git does not know who you are: user.name or user.email is not set.",
                code="identity-missing",
                hint='Set them: git config --global user.name "…"; git config --global user.email "…"',
            )
        return found["name"], found["email"]

    def dirty_paths(self, *, untracked: bool = False) -> tuple[str, ...]:
        """Returns the paths whose changes are not committed; takes no lock, escapes what is not UTF-8."""
        mode = "all" if untracked else "no"
        items = self.git.zsplit(
            "status",
            "--porcelain=v2",
            "-z",
            f"--untracked-files={mode}",
            "--no-renames",
            "--ignore-submodules=dirty",
        )
        fields = {b"1": 8, b"u": 10, b"?": 1}
        found = []
        for item in items:
            kind = item[:1]
            if kind in fields:
                found.append(item.split(b" ", fields[kind])[-1].decode("utf-8", "surrogateescape"))
        return tuple(found)

    def is_dirty(self) -> bool:
        """Returns whether a tracked file is changed, staged or not."""
        return bool(self.dirty_paths())

    def local_filters(self) -> tuple[str, ...]:
        """Returns the filters and merge drivers that the repository's own configuration brings, by key."""
        return tuple(key for key in self.git.runnable_keys() if key.startswith(("filter.", "merge.")))

    def local_hooks(self) -> tuple[str, ...]:
        """Returns the names of the hooks that git would run here: executable files in the hooks directory."""
        place = self.git.text("rev-parse", "--git-path", "hooks")
        configured = Git(self.checkout, trusted=self.trusted, hooks=True).text(
            "rev-parse", "--git-path", "hooks"
        )
        directory = self.checkout / (configured or place)
        with contextlib.suppress(OSError):
            return tuple(
                sorted(
                    entry.name
                    for entry in os.scandir(directory)
                    if not entry.name.endswith(".sample")
                    and entry.is_file()
                    and os.access(entry.path, os.X_OK)
                )
            )
        return ()

    def fingerprint(self) -> Fingerprint:
        """Returns what must stay as it is while we work: see `fingerprint.take_fingerprint`."""
        return take_fingerprint(self.git, self.git_dir, self.common_dir, ours=OURS)

    def diff(
        self, before: ObjectId, after: ObjectId, *, stat: bool = False, paths: tuple[str, ...] = ()
    ) -> bytes:
        """Returns the patch (or the diffstat) between two trees or commits; runs nothing."""
        form = "--stat" if stat else "-p"
        done = self.git.run(
            "diff-tree",
            "-r",
            form,
            "--no-ext-diff",
            "--no-textconv",
            "--find-renames",
            "--end-of-options",
            before,
            after,
            "--",
            *(f":(top,literal){path}" for path in paths),
        )
        return done.stdout

    def changed_paths(self, before: ObjectId, after: ObjectId) -> tuple[str, ...]:
        """Returns the paths that differ between two trees or commits; bytes that are no UTF-8 are escaped."""
        items = self.git.zsplit("diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after)
        return tuple(item.decode("utf-8", "surrogateescape") for item in items)

    def read_ref(self, name: str) -> ObjectId | None:
        """Returns the object a full ref name stands for, or None when there is no such ref."""
        done = self.git.run("rev-parse", "-q", "--verify", "--end-of-options", name, ok=(0, 1, 128))
        oid = done.stdout.decode("ascii", "replace").strip()
        return ObjectId(oid) if done.status == 0 and _OBJECT_ID.fullmatch(oid) else None

    def refs(self, *patterns: str) -> Mapping[str, ObjectId]:
        """Returns the refs below prefixes that end in `/`, or named exactly, by full name."""
        lines = self.git.lines("for-each-ref", "--format=%(objectname) %(refname)", *patterns)
        pairs = (line.split(" ", 1) for line in lines)
        return {name: ObjectId(oid) for oid, name in pairs}

    def our_refs(self) -> Mapping[str, ObjectId]:
        """Returns every ref this tool wrote, by full name."""
        return {name: oid for prefix in OURS for name, oid in self.refs(prefix).items()}

    def update_ref(self, name: str, new: ObjectId, old: ObjectId | None) -> None:
        """Moves one of our refs from `old` (None: it must not exist) to `new`; durable when it returns.

        The caller holds the lock of the run the ref belongs to: a lock file that a killed git of ours left at
        the ref is removed.

        Raises:
            Failed: `ref-moved`, the ref is not what the caller believed.
            ValueError: the ref is not one of ours.
        """
        if not name.startswith(OURS):
            raise ValueError(f"{name} is not ours to move")
        words = ("update-ref", "--no-deref", name, new, old or self._no_object(new))
        done = self.git.run(*words, ok=(0, 1, 128), mutates=True)
        if done.status != 0 and self.clear_stale_lock(name):
            done = self.git.run(*words, ok=(0, 1, 128), mutates=True)
        if done.status != 0:
            raise self._not_moved(name, old, done.stderr.decode("utf-8", "replace"), done.status)
        self.sync_ref(name)

    def update_refs(self, moves: Mapping[str, tuple[ObjectId, ObjectId | None]]) -> None:
        """Moves several of our refs, each by its full name from (new, old); durable when it returns.

        All move or none, except when git is killed between them; otherwise as `update_ref`, which tells what
        is wrong with one.
        """
        if any(not name.startswith(OURS) for name in moves):
            raise ValueError(f"{min(moves)} is not ours to move")
        words = [f"update {name} {new} {old or self._no_object(new)}\n" for name, (new, old) in moves.items()]
        asked = "".join(words).encode("utf-8", "surrogateescape")
        done = self.git.run("update-ref", "--no-deref", "--stdin", input=asked, ok=(0, 1, 128), mutates=True)
        if done.status == 0:
            self.sync_refs(moves)
            return
        for name, (new, old) in moves.items():
            self.update_ref(name, new, old)

    def _no_object(self, like: ObjectId) -> ObjectId:
        return ObjectId("0" * len(like))

    def _not_moved(self, name: str, old: ObjectId | None, stderr: str, status: int) -> Failed:
        found = self.read_ref(name)
        if found == old:
            return GitFailed(command="update-ref", status=status, stderr=stderr)
        return Failed(
            f"{name} is at {found or 'nothing'}, not at {old or 'nothing'} as it was before.",
            code="ref-moved",
            hint="Somebody else moved it. Look at it with: git log " + name,
        )

    def clear_stale_lock(self, name: str) -> bool:
        """Removes the lock file that a killed git left at one of our refs; returns whether there was one.

        The caller holds the run's lock, so only a git that outlived its killed owner can still be at work; it
        is given three seconds to end.
        """
        lock = self.common_dir / f"{name}.lock"
        if not name.startswith(OURS) or not os.path.lexists(lock):
            return False
        deadline = time.monotonic() + _LOCK_PATIENCE_S
        while os.path.lexists(lock) and time.monotonic() < deadline:
            time.sleep(0.05)
        if os.path.lexists(lock):
            Disk().remove(lock)
        return True

    def sync_ref(self, name: str) -> None:
        """Makes the directory entries of a ref and of objects just written durable."""
        self.sync_refs((name,))

    def sync_refs(self, refs: Iterable[str]) -> None:
        """Makes the directory entries of several refs and of objects just written durable."""
        disk = Disk()
        places: dict[Path, None] = {}
        for name in refs:
            place = (self.common_dir / name).parent
            while place != self.common_dir and self.common_dir in place.parents:
                places[place] = None
                place = place.parent
        deepest_first = sorted(places, key=lambda place: len(place.parts), reverse=True)
        objects = self.common_dir / "objects"
        for directory in (*deepest_first, objects, objects / "pack"):
            if directory.is_dir():
                disk.sync_dir(directory)


def _unknown(revision: str) -> Refused:
    return Refused(
        f"{revision!r} names no commit of this repository.",
        code="base-unknown",
        hint="List branches and tags with: git branch -a; git tag",
    )
