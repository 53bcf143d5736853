"""The durable effects on files: each one method, announced before it happens, on the disk when it returns."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import DiskFailed
from orchestrator.fs import carry, temp, tree
from orchestrator.fs.carry import OnBytes, ignored
from orchestrator.fs.effects import announce
from orchestrator.fs.failure import printable, told
from orchestrator.fs.opening import open_for_append, open_regular, unsafe_path
from orchestrator.fs.space import FreeSpace, free_space

StrPath = str | os.PathLike[str]

_CHUNK_BYTES = 1 << 20


class Disk:
    """Changes files so that a kill or a power cut leaves the old state or the new one, never a mixture.

    Every method raises DiskFailed, naming the path, with the code `disk-full`, `read-only`, `permission` or
    `disk-failed`; what was there before is then untouched unless the method says otherwise.
    """

    def write(self, path: StrPath, data: bytes, *, mode: int = 0o600, modified_ns: int | None = None) -> None:
        """Makes `path` a file with exactly `data` and `mode` in one step; a link there is replaced itself.

        `modified_ns` becomes its modification time, in nanoseconds; None is now. A kill in the middle leaves
        the old file and perhaps one temporary file, which `sweep_temp` removes.
        """
        with told(path):
            announce(f"write {path}")
            scratch = temp.TempFile(_parent(path), mode)
            try:
                scratch.write(data)
                if modified_ns is not None:
                    os.utime(scratch.path, ns=(modified_ns, modified_ns))
                _settle(scratch, path)
            finally:
                scratch.discard()
        self.sync_dir(_parent(path))

    def append(self, path: StrPath, data: bytes, *, mode: int = 0o600) -> None:
        """Adds `data` to the end of a regular file, made if missing; not atomic: a cut may leave a part.

        Raises:
            Refused: `unsafe-path`, a link or something else that is no regular file stands there.
        """
        with told(path):
            announce(f"append {path}")
            descriptor, created = open_for_append(path, mode)
            try:
                temp.write_all(descriptor, data)
                _sync_data(descriptor)
            finally:
                os.close(descriptor)
        if created:
            self.sync_dir(_parent(path))

    def make_dir(self, path: StrPath, *, mode: int = 0o700) -> None:
        """Makes the directory, with missing parents (0700 each); one that is there already keeps its mode.

        Raises:
            Refused: `unsafe-path`, a link or a file stands in its place.
        """
        if self._make(path, mode):
            self.sync_dir(_parent(path))

    def make_dirs(self, paths: Iterable[StrPath]) -> None:
        """Makes several directories (0700) as `make_dir` does; all are durable when it returns."""
        made = [path for path in paths if self._make(path, 0o700)]
        for parent in dict.fromkeys(_parent(path) for path in made):
            self.sync_dir(parent)

    def _make(self, path: StrPath, mode: int) -> bool:
        with told(path):
            if _is_directory(path):
                return False
            parent = _parent(path)
            if not os.path.isdir(parent):
                self.make_dir(parent)
            announce(f"make-dir {path}")
            try:
                os.mkdir(path, mode)
                os.chmod(path, mode)
            except FileExistsError:
                _is_directory(path)  # somebody else made it meanwhile: fine if it is a directory
        return True

    def copy(self, source: StrPath, target: StrPath) -> str:
        """Copies a regular file with its mode and modification time and returns its SHA-256 in hexadecimal.

        The copy is read back and compared before it takes the place of `target`.

        Raises:
            Refused: `unsafe-path`, the source is a link or no regular file.
            DiskFailed: also when the source changed meanwhile or the copy differs.
        """
        with told(source):
            origin = open_regular(source)
        try:
            with told(target):
                announce(f"copy {target}")
                return self._copy_open(origin, source, target)
        finally:
            os.close(origin)

    def _copy_open(self, origin: int, source: StrPath, target: StrPath) -> str:
        before = os.fstat(origin)
        scratch = temp.TempFile(_parent(target), stat.S_IMODE(before.st_mode))
        try:
            digest = _pour(origin, scratch)
            if _identity(os.fstat(origin)) != _identity(before):
                raise DiskFailed(
                    path=printable(target), reason=f"{printable(source)} changed while it was copied"
                )
            if _digest(scratch.descriptor) != digest:
                raise DiskFailed(path=printable(target), reason="what was written reads back differently")
            os.utime(scratch.path, ns=(before.st_atime_ns, before.st_mtime_ns))
            _settle(scratch, target)
        finally:
            scratch.discard()
        self.sync_dir(_parent(target))
        return digest

    def rename(self, source: StrPath, target: StrPath) -> None:
        """Gives a file or directory its new name in one step; a file at `target` is replaced."""
        with told(source):
            announce(f"rename {source} -> {target}")
            os.replace(source, target)
        self.sync_dir(_parent(target))
        if _parent(source) != _parent(target):
            self.sync_dir(_parent(source))

    def remove(self, path: StrPath) -> None:
        """Removes a file or a link, never what the link points to; what is missing already is fine."""
        with told(path):
            announce(f"remove {path}")
            try:
                os.unlink(path)
            except FileNotFoundError:
                return
        self.sync_dir(_parent(path))

    def remove_tree(self, path: StrPath) -> None:
        """Removes a directory with all it holds, following no link and entering no other file system.

        Directories without permissions and names that are not UTF-8 are removed too; a file or link at `path`
        is removed itself; what is missing is fine. Not atomic: a kill leaves a part for a second call.
        """
        with told(path):
            announce(f"remove-tree {path}")
            tree.remove(os.fspath(path))
        if os.path.isdir(_parent(path)):
            self.sync_dir(_parent(path))

    def set_mode(self, path: StrPath, mode: int) -> None:
        """Gives a regular file or directory its permission bits; a link there is refused, not followed."""
        with told(path):
            if stat.S_ISLNK(os.lstat(path).st_mode):
                raise unsafe_path(path, "a link")
            announce(f"set-mode {path}")
            os.chmod(path, mode)
        self.sync_dir(_parent(path))

    def carry(self, source: StrPath, target: StrPath, *, jobs: int = 1, on_bytes: OnBytes = ignored) -> None:
        """Copies whatever stands at `source`, with everything about it, to `target`, which must not exist.

        Kept: contents (hashed and read back), modes, owners, times, links, hard links within it, extended
        attributes, holes, names of any bytes. All of it is on the disk when this returns, without a sync for
        each file. A kill leaves a part at `target`. `on_bytes` hears of bytes written, from `jobs` threads.
        """
        with told(target):
            carry.carry(os.fspath(source), os.fspath(target), jobs=jobs, on_bytes=on_bytes)
        self.sync_dir(_parent(target))

    def remove_empty(self, path: StrPath) -> bool:
        """Removes a directory that holds nothing; returns False, and leaves it, when something is in it.

        A missing one is fine; so is a file or a mount point, which stays.
        """
        with told(path):
            announce(f"remove-empty {path}")
            try:
                os.rmdir(path)
            except FileNotFoundError:
                return True
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY):
                    return False
                raise
        self.sync_dir(_parent(path))
        return True

    def sync_dir(self, path: StrPath) -> None:
        """Makes the names in a directory durable."""
        with told(path):
            announce(f"sync-dir {path}")
            if sys.platform == "win32":  # pragma: no cover - Windows alone
                return  # Windows has no handle to flush for a directory
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _sync(descriptor)
            finally:
                os.close(descriptor)

    def free_space(self, path: StrPath) -> FreeSpace:
        """Returns what the file system of `path`, which must exist, can still take from this user."""
        return free_space(path)

    def sweep_temp(self, directory: StrPath) -> int:
        """Removes temporary files that killed writers left in one directory; returns how many."""
        with told(directory):
            announce(f"sweep {directory}")
            removed = temp.sweep(os.fspath(directory))
        if removed:
            self.sync_dir(directory)
        return removed


def _parent(path: StrPath) -> str:
    return str(Path(path).parent)


def _settle(scratch: temp.TempFile, target: StrPath) -> None:
    _sync(scratch.descriptor)
    announce(f"rename {scratch.path} -> {target}")
    scratch.become(os.fspath(target))


def _is_directory(path: StrPath) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(mode):
        raise unsafe_path(path, "a link" if stat.S_ISLNK(mode) else "not a directory")
    return True


def _pour(origin: int, scratch: temp.TempFile) -> str:
    digest = hashlib.sha256()
    while chunk := os.read(origin, _CHUNK_BYTES):
        digest.update(chunk)
        scratch.write(chunk)
    return digest.hexdigest()


def _digest(descriptor: int) -> str:
    digest = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_size, facts.st_mtime_ns


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":  # pragma: no cover - macOS alone
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # macOS: fsync alone leaves data in the drive's cache
    else:
        os.fsync(descriptor)


def _sync_data(descriptor: int) -> None:
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:  # pragma: no cover - macOS has no fdatasync
        _sync(descriptor)
