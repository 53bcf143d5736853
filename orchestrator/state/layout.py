"""How `.orchestrator/` is made; `layout.json` is written last and is the mark of ownership (`ownership`)."""

from __future__ import annotations

import json
import os
import secrets

from orchestrator.errors import DiskFailed, Refused
from orchestrator.fs.disk import Disk
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.state.ownership import (
    COMMITTED_SECRETS_TEXT,
    DIRECTORIES,
    IGNORE_TEXT,
    PRIVATE_IGNORE_TEXT,
    TOOL,
    Layout,
    Ownership,
    is_remains,
    read_layout,
    read_ownership,
    unusable,
)


def require_ours(paths: OrchestratorPaths) -> Layout:
    """Returns the layout of an initialised `.orchestrator/`.

    Raises:
        Refused: `not-initialised`, `foreign-directory`, `layout-older`, `layout-newer` or `unsafe-directory`.
    """
    directory = os.fspath(paths.orchestrator_dir)
    ownership = read_ownership(directory)
    if ownership is Ownership.OURS and os.path.isdir(paths.locks_dir):
        layout = read_layout(os.fspath(paths.layout_file))
        if layout is not None:
            return layout
    if ownership in (Ownership.ABSENT, Ownership.CLONE, Ownership.OURS):
        raise Refused(
            f"{paths.base_dir} is not initialised for orchestrator yet.",
            code="not-initialised",
            hint=_way_in(paths),
        )
    raise unusable(directory, ownership)


def _way_in(paths: OrchestratorPaths) -> str:
    """Returns the command that makes the directory: checkpoints without it mean that it was removed."""
    kept = paths.base_dir / ".git" / names.RUN_REFS
    if kept.is_dir() and any(kept.iterdir()):
        return "Bring back what was removed with: orchestrator doctor --recover"
    return "orchestrator init"


def planned_names(*, with_workflow: bool) -> tuple[str, ...]:
    """Returns what `create_layout` makes, relative to `.orchestrator/`, in its order."""
    config = (names.CONFIG,) if with_workflow else ()
    return (names.IGNORE, *(f"{name}/" for name in DIRECTORIES), *config, names.LAYOUT)


def create_layout(
    paths: OrchestratorPaths, disk: Disk, *, private: bool, workflow_yaml: bytes | None
) -> tuple[str, ...]:
    """Makes what is missing of `.orchestrator/`, never overwriting, and returns the names made.

    The ignore file comes first, so that nothing else can ever be committed by accident, and `layout.json`
    last: a crash before it leaves a directory that the next `init` completes.

    Raises:
        Refused: the directory is foreign, newer, a link or a file.
    """
    directory = os.fspath(paths.orchestrator_dir)
    ownership = read_ownership(directory)
    if ownership not in (Ownership.ABSENT, Ownership.CLONE, Ownership.OURS):
        raise unusable(directory, ownership)
    ignore = PRIVATE_IGNORE_TEXT if private else IGNORE_TEXT
    return _complete(paths, disk, ignore, workflow_yaml, secrets.token_hex(16))


def rebuild_layout(
    paths: OrchestratorPaths, disk: Disk, *, repo_id: str, workflow_yaml: bytes | None
) -> tuple[str, ...]:
    """Makes what is missing of a damaged `.orchestrator/`, never overwriting, and returns the names made.

    Ours is also what has lost its `layout.json` and holds nothing but names of ours (`is_remains`). A crash
    leaves a directory that the next call completes.

    Raises:
        Refused: the directory is foreign, newer, a link or a file.
    """
    directory = os.fspath(paths.orchestrator_dir)
    ownership = read_ownership(directory)
    if ownership in (Ownership.OLDER, Ownership.NEWER, Ownership.UNSAFE) or (
        ownership is Ownership.FOREIGN and not is_remains(directory)
    ):
        raise unusable(directory, ownership)
    return _complete(paths, disk, IGNORE_TEXT, workflow_yaml, repo_id)


def keep_ignore_file(paths: OrchestratorPaths, disk: Disk, *, committed: bool) -> bool:
    """Makes the ignore file let encrypted secrets through, or not; returns whether it was changed.

    What a person wrote into it stays. `init --private` goes before: then nothing is let through.
    """
    try:
        with open(paths.ignore_file, "rb") as file:
            before = file.read().decode("utf-8", "surrogateescape")
    except OSError:
        return False  # `doctor` says that it is gone
    if before == PRIVATE_IGNORE_TEXT:
        return False
    after = before.replace(COMMITTED_SECRETS_TEXT, "")
    if committed:
        line_end = "" if after.endswith("\n") or not after else "\n"
        after = f"{after}{line_end}{COMMITTED_SECRETS_TEXT}"
    if after == before:
        return False
    disk.write(paths.ignore_file, after.encode("utf-8", "surrogateescape"), mode=0o644)
    return True


def lets_secrets_through(paths: OrchestratorPaths) -> bool:
    """Returns whether the ignore file lets encrypted secrets be committed."""
    try:
        with open(paths.ignore_file, "rb") as file:
            return COMMITTED_SECRETS_TEXT.encode() in file.read()
    except OSError:
        return False


def _complete(
    paths: OrchestratorPaths, disk: Disk, ignore: str, workflow_yaml: bytes | None, repo_id: str
) -> tuple[str, ...]:
    made: list[str] = []
    if os.path.isdir(paths.orchestrator_dir):
        disk.sweep_temp(paths.orchestrator_dir)
        _write_missing(disk, paths, names.IGNORE, ignore.encode(), made)
    else:
        disk.make_dir(paths.orchestrator_dir)
        try:
            _write_missing(disk, paths, names.IGNORE, ignore.encode(), made)
        except DiskFailed:
            disk.remove_empty(paths.orchestrator_dir)  # on a full disk nothing more than that was made
            raise
    made += make_directories(paths, disk)
    if workflow_yaml is not None:
        _write_missing(disk, paths, names.CONFIG, workflow_yaml, made)
    document = {"tool": TOOL, "layout_version": names.LAYOUT_VERSION, "repo_id": repo_id}
    _write_missing(disk, paths, names.LAYOUT, (json.dumps(document, indent=2) + "\n").encode(), made)
    return tuple(made)


def make_directories(paths: OrchestratorPaths, disk: Disk) -> tuple[str, ...]:
    """Makes the directories of a state tree that are missing, and returns their names.

    A killed `deinit`, or a user who tidied up, leaves an `.orchestrator/` of ours without some of them.
    """
    missing = [name for name in DIRECTORIES if not os.path.isdir(paths.state_dir / name)]
    disk.make_dirs(paths.state_dir / name for name in missing)
    return tuple(f"{name}/" for name in missing)


def _write_missing(disk: Disk, paths: OrchestratorPaths, name: str, data: bytes, made: list[str]) -> None:
    target = paths.orchestrator_dir / name
    if not os.path.lexists(target):
        disk.write(target, data, mode=0o644)
        made.append(name)
