"""Removes a directory tree that a hostile program may have made, without ever leaving it.

Works by descriptors, so a directory swapped for a link is not entered, and path length does not matter. Depth
does not either: what lies deeper than `_DEPTH` is moved up to the top and removed from there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from orchestrator.fs.effects import announce
from orchestrator.fs.failure import printable

_DEPTH = 40
_OPEN = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)


def remove(path: str) -> None:
    """Removes what stands at `path`; missing is fine. OSError when something in it cannot be removed."""
    try:
        top = _open(path, None)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(path)
        return
    try:
        device = os.fstat(top).st_dev
        while _empty(top, top, device, _DEPTH):
            pass
    finally:
        os.close(top)
    announce(f"remove-dir {path}")
    os.rmdir(path)


def _empty(directory: int, top: int, device: int, depth: int) -> bool:
    """Removes what a directory holds; True if something was moved up to the top and is still there."""
    moved = False
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            _unlink(name, directory)
        elif depth == 0:
            _open_up(name, directory)
            os.rename(name, os.urandom(8).hex(), src_dir_fd=directory, dst_dir_fd=top)
            moved = True
        else:
            moved |= _remove_dir(name, directory, top, device, depth)
    return moved


def _remove_dir(name: str, parent: int, top: int, device: int, depth: int) -> bool:
    child = _open(name, parent)
    try:
        if os.fstat(child).st_dev != device:
            raise OSError(errno.EXDEV, f"{printable(name)} in it is another file system")
        moved = _empty(child, top, device, depth - 1)
    finally:
        os.close(child)
    os.rmdir(name, dir_fd=parent)
    return moved


def _open(name: str, parent: int | None) -> int:
    try:
        descriptor = os.open(name, _OPEN, dir_fd=parent)
    except PermissionError:
        _open_up(name, parent)
        return os.open(name, _OPEN, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(errno.ENOTDIR, "is a link") from error
        raise
    if os.fstat(descriptor).st_mode & 0o700 != 0o700:
        os.fchmod(descriptor, 0o700)
    return descriptor


def _open_up(name: str, parent: int | None) -> None:
    # A directory that we own and may not read: Linux cannot chmod a name without following it, so the kind is
    # looked at first; a swap in between could only change the mode of something else that we own.
    if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.chmod(name, 0o700, dir_fd=parent)


def _unlink(name: str, parent: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # whoever made it removed it meanwhile
        os.unlink(name, dir_fd=parent)
