"""Everything that this tool ever wrote for a repository: in it, in its git directory, and outside."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.load import user_config_file
from orchestrator.config.trust import place_key, user_trust_directory
from orchestrator.doctor.context import Context
from orchestrator.model.json import JsonObject
from orchestrator.repo.asking import OURS
from orchestrator.secretstore.places import global_directory

_REPORTS = "bug-*.txt"
_MARK = b"orchestrator bug report\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """One name directly under `.orchestrator/` and all that it holds; bytes as `ls` counts them."""

    name: str
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """What was written, by place. `objects` are those that only our refs reach."""

    directory: str
    kinds: tuple[Kind, ...]
    trees_elsewhere: tuple[Kind, ...]
    refs: tuple[tuple[str, str], ...]
    objects: int
    object_bytes: int
    in_git_dir: tuple[str, ...]
    outside: tuple[str, ...]

    def as_json(self) -> JsonObject:
        """Returns it as a JSON object."""
        return {
            "directory": self.directory,
            "kinds": [_kind(kind) for kind in self.kinds],
            "trees_elsewhere": [_kind(kind) for kind in self.trees_elsewhere],
            "refs": [
                {"name": name, "object": oid} for name, oid in self.refs if not name.startswith("refs/heads/")
            ],
            "branches": [
                {"name": name, "object": oid} for name, oid in self.refs if name.startswith("refs/heads/")
            ],
            "objects": self.objects,
            "object_bytes": self.object_bytes,
            "git_directory": list(self.in_git_dir),
            "outside": list(self.outside),
        }


def footprint(context: Context) -> Footprint:
    """Returns everything that was written for this repository; changes nothing.

    What cannot be read is left out, but a repository there must be.

    Raises:
        Refused: no repository.
        GitFailed: its refs cannot be read.
    """
    located, refs = context.located(), context.refs()
    trees = context.trees().root
    elsewhere = trees != context.paths().worktrees_dir and trees.is_dir()
    objects, object_bytes = _objects(context) if refs else (0, 0)
    return Footprint(
        directory=located.orchestrator_dir,
        kinds=measure(Path(located.orchestrator_dir)),
        trees_elsewhere=measure(trees) if elsewhere else (),
        refs=tuple(sorted(refs.items())),
        objects=objects,
        object_bytes=object_bytes,
        in_git_dir=tuple(sorted(_in_git_dir(located.git_dir, located.common_dir))),
        outside=tuple(sorted({*_approvals(context), *_reports()})),
    )


def measure(directory: Path) -> tuple[Kind, ...]:
    """Returns what lies under each name of a directory, following no link; nothing where there is none."""
    if directory.is_symlink() or not directory.is_dir():
        return ()
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    kinds = []
    for entry in found:
        sizes = [*_sizes(entry.path)] if entry.is_dir(follow_symlinks=False) else [_size(entry.path)]
        kinds.append(Kind(entry.name, len(sizes), sum(sizes)))
    return tuple(kinds)


def _sizes(directory: str) -> Iterator[int]:
    for place, directories, files in os.walk(directory):
        for name in files:
            yield _size(os.path.join(place, name))
        for name in directories:
            if os.path.islink(os.path.join(place, name)):
                yield _size(os.path.join(place, name))


def _size(path: str) -> int:
    try:
        facts = os.lstat(path)
    except OSError:
        return 0  # removed meanwhile
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0


def _objects(context: Context) -> tuple[int, int]:
    """Returns how many objects, of how many bytes on the disk, no ref but ours reaches."""
    wanted = [f"--glob={prefix}*" for prefix in OURS]
    others = [f"--exclude={prefix}*" for prefix in OURS]
    words = ("rev-list", "--objects", *wanted, "--not", *others, "--all", "--")
    git = context.git()
    listed = git.run(*words[:2], "--no-object-names", *words[2:]).stdout.count(b"\n")
    size = git.run(*words[:2], "--disk-usage", *words[2:]).stdout.strip()
    return listed, int(size) if size.isdigit() else 0


def _in_git_dir(git_dir: str, common_dir: str) -> Iterator[str]:
    for place in {git_dir, common_dir}:
        for name in os.listdir(place):
            if name.startswith("orchestrator-"):
                yield os.path.join(place, name)
    for prefix in OURS:
        logs = os.path.join(common_dir, "logs", prefix.rstrip("/"))
        for directory, _, files in os.walk(logs):
            yield from (os.path.join(directory, name) for name in files)


def _approvals(context: Context) -> Iterator[str]:
    identity = context.repository().git_dir_identity
    store = context.trust_store()
    for checkout in checkouts(context):
        for path in store.files_of_place(place_key(checkout, identity)):
            yield str(path)


def checkouts(context: Context) -> tuple[str, ...]:
    """Returns the real paths of all working trees of the repository that git knows."""
    located = context.located()
    found = {os.path.realpath(located.checkout), os.path.realpath(located.home)}
    for item in context.git().zsplit("worktree", "list", "--porcelain", "-z"):
        if item.startswith(b"worktree "):
            found.add(os.path.realpath(os.fsdecode(item[len(b"worktree ") :])))
    return tuple(sorted(found))


def _reports() -> Iterator[str]:
    """Yields the reports of our bugs that found no other place."""
    for path in Path(tempfile.gettempdir()).glob(_REPORTS):
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                if file.read(len(_MARK)) == _MARK:
                    yield str(path)
        except OSError:
            continue


def _kind(kind: Kind) -> JsonObject:
    return {"name": kind.name, "files": kind.files, "bytes": kind.size_bytes}


def _ref(name: str, oid: str) -> JsonObject:
    return {"name": name, "object": oid}


def users_places() -> tuple[str, ...]:
    """Returns where your approvals, configuration, private key and own secrets are, for all repositories."""
    return str(user_trust_directory()), str(user_config_file().parent), str(global_directory().parent)
