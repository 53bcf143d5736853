"""Turns what the operating system says about a disk into an error that a user can act on."""

from __future__ import annotations

import errno
import os

from orchestrator.errors import DiskFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_CODES = {
    errno.ENOSPC: ("disk-full", "Free some space, then run the same command again."),
    errno.EDQUOT: ("disk-full", "Free some of your quota, then run the same command again."),
    errno.EROFS: ("read-only", "Make the file system writable, then run the same command again."),
    errno.EACCES: ("permission", "Give yourself the permission, then run the same command again."),
    errno.EPERM: ("permission", "Give yourself the permission, then run the same command again."),
}


def disk_failure(path: str | os.PathLike[str], error: OSError) -> DiskFailed:
    """Returns the error for `path`; `disk-full`, `read-only` and `permission` have codes of their own."""
    code, hint = _CODES.get(error.errno or 0, ("disk-failed", ""))
    reason = error.strerror or str(error)
    return DiskFailed(path=printable(path), reason=reason[:1].lower() + reason[1:], code=code, hint=hint)


def printable(path: str | os.PathLike[str]) -> str:
    """Returns the path with what no terminal can print (bytes that are not UTF-8) escaped."""
    return os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class told:
    """Raises DiskFailed, naming `path`, in place of any OSError of the `with` block."""

    __slots__ = ("_path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise disk_failure(self._path, error) from error
