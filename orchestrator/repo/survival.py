"""Mends what a power cut did to the files of an isolated tree.

Checked-out files are not synced one by one: that would cost more than making them. A power cut soon after may
leave some of them empty, with the time they were written, and that would look like the agent's edits. Source:
delayed allocation of ext4 and XFS, whose inode reaches the disk before the data.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from orchestrator.fs.disk import Disk
from orchestrator.fs.probe import boot_id
from orchestrator.repo.history import read_small
from orchestrator.repo.trees import IsolatedTree, git_in

_ENTRY = re.compile(
    rb"(?P<path>[^\0]+)\0  ctime: \d+:\d+\n  mtime: (?P<s>\d+):(?P<ns>\d+)\n"
    rb"  dev: [^\n]*\n  uid: [^\n]*\n  size: (?P<size>\d+)\t[^\n]*\n"
)


def note_boot(tree: IsolatedTree) -> None:
    """Notes which boot of the machine the tree was last known to be whole in; durable when it returns."""
    Disk().write(_note(tree), boot_id().encode())


def mend_after_restart(tree: IsolatedTree) -> tuple[str, ...]:
    """Restores files that the last power cut emptied and returns their names; without a restart, none.

    Only a file that the index knows with content, and that is empty now with the very time git wrote it,
    is restored: whoever empties a file on purpose changes its time. A kill leaves some for the next call.
    """
    if read_small(_note(tree)) == boot_id().encode():
        return ()
    emptied = _emptied(tree)
    if emptied:
        words = b"".join(path + b"\0" for path in emptied)
        git_in(tree).run("checkout-index", "-f", "-u", "-z", "--stdin", input=words, mutates=True)
    note_boot(tree)
    return tuple(os.fsdecode(path) for path in emptied)


def _emptied(tree: IsolatedTree) -> list[bytes]:
    listed = git_in(tree).run("ls-files", "-z", "--debug", ok=None).stdout
    found = []
    for entry in _ENTRY.finditer(listed):
        written_ns = int(entry["s"]) * 1_000_000_000 + int(entry["ns"])
        if int(entry["size"]) and _is_empty_since(os.fsencode(tree.path) + b"/" + entry["path"], written_ns):
            found.append(entry["path"])
    return found


def _is_empty_since(path: bytes, written_ns: int) -> bool:
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_size == 0 and facts.st_mtime_ns == written_ns


def _note(tree: IsolatedTree) -> Path:
    return tree.sidecar / "boot"
