"""The disk and its file system: room, size, and what it can do."""

from __future__ import annotations

import os

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, in_bytes, ok, skip, warn
from orchestrator.doctor.footprint import measure
from orchestrator.doctor.quick.surroundings import kept_at
from orchestrator.fs.probe import is_directory_held
from orchestrator.paths import names

_MUCH_BYTES = 20 << 30
_RUNS_SHOWN = 5
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


def _runs(context: Context) -> Diagnosis:
    paths = context.require_ours()
    parts: dict[str, dict[str, int]] = {}
    places = {
        "artifacts": paths.artifacts_dir,
        "tree": context.trees().root,
        "manifest": paths.checkpoints_dir,
    }
    for what, place in places.items():
        for kind in measure(place):
            run = kind.name.removesuffix(".json")
            if not run.startswith("."):
                parts.setdefault(run, {})[what] = kind.size_bytes
    if not parts:
        return ok("No run has left anything here.")
    largest = sorted(parts, key=lambda run: -sum(parts[run].values()))[:_RUNS_SHOWN]
    lines = [
        f"{run}: {in_bytes(sum(parts[run].values()))} "
        f"({', '.join(f'{what} {in_bytes(size)}' for what, size in parts[run].items())})"
        for run in largest
    ]
    total = sum(sum(sizes.values()) for sizes in parts.values())
    return ok(f"{in_bytes(total)} belong to {counted(len(parts), 'run')}, the largest first.", lines)


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


def _links(context: Context) -> Diagnosis:
    place = kept_at(context)
    settings = context.git().run("config", "--bool", "--get", "core.symlinks", ok=(0, 1, 128), timeout_s=15)
    missing = "git found no symbolic links when it made this repository (core.symlinks)"
    lines = [missing] if settings.stdout.strip() == b"false" else []
    if _limit(place, "PC_2_SYMLINKS") == 0:
        lines.append(f"the system says that {place} can hold no symbolic links")
    if _limit(place, "PC_LINK_MAX") == 1:
        lines.append(f"the system says that {place} can hold no hard links")
    if not lines:
        return ok("The file system has symbolic and hard links.")
    return warn(
        "The file system has no links: trees that need them differ from what was committed.",
        "Work in a clone on a local disk.",
        lines,
    )


def _limit(place: str, name: str) -> int | None:
    try:
        return os.pathconf(place, name)
    except (AttributeError, OSError, ValueError):
        return None  # this system does not tell


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
        "disk-runs",
        "disk",
        "how much each run holds",
        "Its transcripts and outputs, its trees and its list of checkpoints; the largest runs are named.",
        _runs,
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
        "file-system-links",
        "file system",
        "the file system has links",
        "Repositories hold symbolic links, and files appear under their names by hard ones.",
        _links,
    ),
    Check(
        "file-system-locks",
        "file system",
        "the file system has locks",
        "Two commands at once are kept apart by kernel locks.",
        _locking,
    ),
)
