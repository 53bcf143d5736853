"""Who may read and write what we keep."""

from __future__ import annotations

import os
import stat

from orchestrator.doctor.context import Context
from orchestrator.doctor.diagnosis import Check, Diagnosis, fail, ok, skip, warn
from orchestrator.paths import names

_LOOKED_AT = 5000


def _directory(context: Context) -> Diagnosis:
    directory = context.require_ours().orchestrator_dir
    mode = stat.S_IMODE(os.lstat(directory).st_mode)
    if os.name != "posix" or not mode & 0o077:
        return ok(f"{directory} is private ({mode:04o}).")
    if mode & 0o022:
        return fail(
            f"Others may write to {directory} ({mode:04o}), and so decide what runs.",
            f"chmod 700 {directory}",
        )
    return warn(f"Others may read {directory} ({mode:04o}).", f"chmod 700 {directory}")


def _files(context: Context) -> Diagnosis:
    paths = context.require_ours()
    open_to_others = []
    for path in (
        *(paths.orchestrator_dir / name for name in names.STATE_FILES),
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
        if place == directory and names.WORKTREES in directories:
            directories.remove(names.WORKTREES)  # what agents made there is theirs to decide
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


def _writable(context: Context) -> Diagnosis:
    located = context.located()
    places = {located.home, located.common_dir, os.path.join(located.common_dir, "objects")}
    if os.path.isdir(located.orchestrator_dir):
        places.add(located.orchestrator_dir)
    closed = sorted(place for place in places if not os.access(place, os.W_OK | os.X_OK))
    if not closed:
        return ok("You may write where runs need to.")
    return warn(
        "You may look, but nothing can be started here: a place that runs write to is read-only.",
        "Make it writable, or work in a clone.",
        closed,
    )


CHECKS = (
    Check(
        "permissions-directory",
        "permissions",
        ".orchestrator/ is private",
        "It is made with mode 0700. Who can write there decides what runs.",
        _directory,
        quick=True,
    ),
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
    Check(
        "permissions-writable",
        "permissions",
        "you may write where runs need to",
        "On a read-only repository `status`, `log` and `doctor` still work.",
        _writable,
        quick=True,
    ),
)
