"""Copies ignored files that a tree needs, such as `.env`, from the user's checkout."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.paths import names
from orchestrator.repo.repository import Repository

_OURS = names.DIRECTORY + "/"


def files_to_bring(repository: Repository, patterns: Sequence[str]) -> tuple[str, ...]:
    """Returns the untracked files of the user's checkout that match patterns as .gitignore has them.

    Links are not among them, and neither is anything of `.orchestrator/` or of nested repositories.
    """
    if not patterns:
        return ()
    words = [f"--exclude={pattern}" for pattern in patterns]
    exclude = f":(top,exclude,literal){names.DIRECTORY}"
    found = repository.git.zsplit("ls-files", "-z", "--others", "--ignored", *words, "--", ".", exclude)
    wanted = (os.fsdecode(item) for item in found)
    return tuple(
        sorted(
            name
            for name in wanted
            if not name.endswith("/") and not name.startswith(_OURS) and _is_plain(repository.checkout, name)
        )
    )


def bring(checkout: Path, tree: Path, files: Sequence[str]) -> tuple[str, ...]:
    """Copies the files into the tree and returns those that could not be: something is in the way.

    What stands there as a file is replaced. No link is followed, neither in the checkout nor in the tree.
    """
    disk, left = Disk(), []
    for name in files:
        target = tree / name
        if not _is_plain(checkout, name) or not _can_take(tree, name):
            left.append(name)
            continue
        disk.make_dir(target.parent, mode=0o755)
        disk.copy(checkout / name, target)
    return tuple(left)


def digest_of(checkout: Path, files: Sequence[str]) -> str:
    """Returns a hash of names and contents."""
    digest = hashlib.sha256()
    for name in files:
        with open(checkout / name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{content} {len(name)} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _is_plain(root: Path, name: str) -> bool:
    return _parents_are_directories(root, name) and _mode(root / name, stat.S_IFREG)


def _can_take(root: Path, name: str) -> bool:
    target = root / name
    free = not os.path.lexists(target) or _mode(target, stat.S_IFREG)
    return free and _parents_are_directories(root, name)


def _parents_are_directories(root: Path, name: str) -> bool:
    place = root
    for part in Path(name).parent.parts:
        place /= part
        if os.path.lexists(place) and not _mode(place, stat.S_IFDIR):
            return False
    return True


def _mode(path: Path, kind: int) -> bool:
    try:
        return stat.S_IFMT(os.lstat(path).st_mode) == kind
    except OSError:
        return False
