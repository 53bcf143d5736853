"""Who may read and write what we keep."""

from __future__ import annotations

import os
import stat

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, ok, skip, warn
from orchestrator.paths import names

_LOOKED_AT = 5000


def _files(context: Context) -> Diagnosis:
    paths = context.require_ours()
    open_to_others = []
    for path in (
        *(paths.state_dir / name for name in names.STATE_FILES),
        *(() if _is_committed(context) else (paths.secrets_dir,)),
        paths.log_file,
    ):
        if path.exists() and stat.S_IMODE(os.lstat(path).st_mode) & 0o077:
            open_to_others.append(str(path))
    if os.name != "posix" or not open_to_others:
        return ok("State, logs and secrets are private.")
    return warn(
        "Others may read or write what holds your tasks and the agents' words.",
        "chmod go= " + " ".join(open_to_others),
        open_to_others,
    )


def _is_committed(context: Context) -> bool:
    """Returns whether encrypted secrets come with clones, whose modes git decides."""
    loaded = context.loaded.peek()
    return loaded is not None and loaded.config.secrets.mode == "committed"


def _owners(context: Context) -> Diagnosis:
    directory = str(context.require_ours().orchestrator_dir)
    if not hasattr(os, "geteuid"):
        return skip("This system has no owners of that kind.")
    me, foreign, seen = os.geteuid(), [], 0
    for place, directories, files in os.walk(directory):
        if place == directory:  # what agents made there is theirs to decide
            directories[:] = [name for name in directories if name not in (names.WORKTREES, names.AGENTS)]
        for name in (*directories, *files):
            path = os.path.join(place, name)
            if os.lstat(path).st_uid != me:
                foreign.append(path)
        seen += len(files)
        if seen > _LOOKED_AT:
            break
    if not foreign:
        return ok("Everything in it belongs to you.")
    return warn(
        "Files in it belong to another user; was it used with sudo?", f"chown -R {me} {directory}", foreign
    )


CHECKS = (
    Check(
        "permissions-files",
        "permissions",
        "state, logs and secrets are private",
        "They hold tasks, transcripts and keys.",
        _files,
    ),
    Check(
        "permissions-owners",
        "permissions",
        "everything in it belongs to you",
        "A command run with sudo leaves files that later commands cannot write.",
        _owners,
    ),
)
