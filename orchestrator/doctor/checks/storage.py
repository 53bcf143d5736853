"""The disk and its file system: room, size, and what it can do."""

from __future__ import annotations

import os

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, in_bytes, ok, skip, warn
from orchestrator.doctor.footprint import measure
from orchestrator.doctor.quick.surroundings import kept_at
from orchestrator.fs.probe import is_directory_held
from orchestrator.paths import names

_MUCH_BYTES = 20 << 30
_NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "afpfs",
        "webdav",
        "9p",
        "fuse.sshfs",
        "fuse.gvfsd-fuse",
        "afs",
        "ceph",
    }
)
_POOR = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk"})
_PASSING = frozenset({"tmpfs", "ramfs"})


def _usage(context: Context) -> Diagnosis:
    kinds = measure(context.require_ours().orchestrator_dir)
    total = sum(kind.size_bytes for kind in kinds)
    largest = sorted(kinds, key=lambda kind: -kind.size_bytes)[:5]
    lines = [f"{kind.name}: {in_bytes(kind.size_bytes)} in {kind.files:,} files" for kind in largest]
    if total > _MUCH_BYTES:
        return warn(f"It holds {in_bytes(total)}.", "orchestrator doctor --footprint", lines)
    return ok(f"It holds {in_bytes(total)}.", lines)


def mount_of(path: str) -> tuple[str, str, bool] | None:
    """Returns mount point and type of the file system of `path`, and whether it is read-only."""
    found: tuple[str, str, bool] | None = None
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                before, _, after = line.partition(" - ")
                words, kinds = before.split(), after.split()
                point = words[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
                inside = path == point or path.startswith(point.rstrip("/") + "/")
                if inside and (found is None or len(point) >= len(found[0])):
                    options = {*words[5].split(","), *kinds[2].split(",")}
                    found = (point, kinds[0], "ro" in options)
    except (OSError, IndexError, ValueError):
        return None
    return found


def _kind(context: Context) -> Diagnosis:
    mount = mount_of(os.path.realpath(kept_at(context)))
    if mount is None:
        return skip("This system does not tell.")
    point, kind, read_only = mount
    if kind in _NETWORK:
        return warn(
            f"It lies on a network file system ({kind}): locks and the database are not safe there.",
            "Work in a clone on a local disk.",
        )
    if kind in _POOR:
        return warn(
            f"The file system ({kind}) has no links, modes or owners.", "Work in a clone on a local disk."
        )
    if read_only:
        return warn(f"The file system is read-only ({point}).", "Mount it for writing, or work in a clone.")
    if kind in _PASSING and point.endswith(names.DIRECTORY):
        return warn(
            f"{point} lies in memory ({kind}): the state is gone after a restart, the checkpoints are not.",
            "After a restart: orchestrator doctor --recover",
        )
    return ok(f"It lies on {kind} ({point}).")


def _folding(context: Context) -> Diagnosis:
    located = context.located()
    entry = os.path.join(located.checkout, ".GIT")
    if os.path.lexists(entry) and os.path.samefile(entry, os.path.join(located.checkout, ".git")):
        return warn(
            "The file system takes README and readme for one file; an agent may make both.",
            "Nothing needs to be done unless a checkout complains.",
        )
    if os.path.lexists(os.path.join(located.home, names.DIRECTORY.title())):
        return warn(
            "There is a .Orchestrator; it is not ours, but on other systems it would be the same directory.",
            "Rename it, if you can.",
        )
    return ok("Names that differ in case are different names.")


def _locking(context: Context) -> Diagnosis:
    is_directory_held(context.located().common_dir)
    return ok("The file system has locks.")


CHECKS = (
    Check(
        "disk-usage",
        "disk",
        "how much .orchestrator/ holds",
        "Its largest parts; `--footprint` lists everything.",
        _usage,
    ),
    Check(
        "file-system-kind",
        "file system",
        "the file system is local, lasting and writable",
        "Databases and locks are not safe on network file systems; memory is gone after a restart.",
        _kind,
    ),
    Check(
        "file-system-case",
        "file system",
        "names that differ in case are different names",
        "On macOS and Windows they usually are not.",
        _folding,
    ),
    Check(
        "file-system-locks",
        "file system",
        "the file system has locks",
        "Two commands at once are kept apart by kernel locks.",
        _locking,
    ),
)
