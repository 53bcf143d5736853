"""What git tracks: secrets that every clone would hold, and names that another system could not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, counted, ok, skip, warn
from orchestrator.doctor.secrets import Bounds, search
from orchestrator.doctor.windows_names import troubles
from orchestrator.paths import names
from orchestrator.repo.git import split

_NAMES_AT_MOST = 500_000
_KEPT_AT_MOST = 50_000
_SHOWN_AT_MOST = 1000
BOUNDS = Bounds()


def _tracked(context: Context) -> list[str]:
    done = context.git().run("ls-files", "-z", timeout_s=15)
    return [os.fsdecode(item) for item in dict.fromkeys(split(done.stdout))]


def _secrets(context: Context) -> Diagnosis:
    if context.head()[0] is None:
        return skip("There is no commit yet.")
    tracked = _tracked(context)
    found = search(context.located().checkout, tracked, BOUNDS)
    extent = [f"{counted(found.partly, 'large file')}: the beginning alone"] if found.partly else []
    if found.cut_short:
        extent.append(f"cut short {found.cut_short}: {found.files:,} of {len(tracked):,} files looked at")
    if not found.places:
        all_of_it = "Nothing that was looked at holds" if extent else "No tracked file holds"
        return ok(f"{all_of_it} what looks like a secret.", extent)
    return warn(
        "Tracked files hold what looks like a secret; agents can read it, and so can every clone.",
        "Replace the secret where it is used, revoke it, and remove it from the file.",
        (*extent, *found.places),
    )


def _kept(context: Context) -> Iterator[str]:
    """Yields what is kept under `.orchestrator/`, without agents' trees and homes, whose names are theirs."""
    top = context.directory()
    for place, directories, files in os.walk(top) if not os.path.islink(top) else ():
        if place == top:
            directories[:] = [name for name in directories if name not in (names.WORKTREES, names.AGENTS)]
        below = os.path.relpath(place, os.path.dirname(top))
        yield from (f"{below}/{name}" for name in (*directories, *files))


def _names(context: Context) -> Diagnosis:
    tracked = _tracked(context)
    kept = list(islice(_kept(context), _KEPT_AT_MOST + 1))
    extent = [
        f"cut short: only the first {most:,} names {where} were looked at"
        for found, most, where in (
            (tracked, _NAMES_AT_MOST, "that git tracks"),
            (kept, _KEPT_AT_MOST, f"in {names.DIRECTORY}"),
        )
        if len(found) > most
    ]
    wrong = list(islice(troubles((*tracked[:_NAMES_AT_MOST], *kept[:_KEPT_AT_MOST])), _SHOWN_AT_MOST))
    if not wrong:
        return ok("Windows, and file systems that fold case, could hold every name.", extent)
    return warn(
        "Windows, or a file system that folds case, could not hold all of these names.",
        "Rename them with `git mv` if somebody shall check them out there.",
        (*extent, *wrong),
    )


CHECKS = (
    Check(
        "repository-secrets",
        "repository",
        "no tracked file holds what looks like a secret",
        "Well-known shapes of keys and telling names are looked for in tracked files as they lie here: at "
        "most 1 MiB of each, 128 MiB and 8 s in all, and it says when that was not enough. The place is "
        "shown, never the value.",
        _secrets,
    ),
    Check(
        "repository-names",
        "repository",
        "every name could stand on Windows too",
        'Names of devices, trailing dots and blanks, `<>:"|?*\\` and names that differ in case alone, among '
        "tracked files and what we keep.",
        _names,
    ),
)
