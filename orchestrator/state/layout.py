"""Whose `.orchestrator/` is, and how it is made; `layout.json` is written last and is the mark of ownership.

Reading uses the standard library alone, because `status` asks on every call.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.temp import PREFIX as TEMP_PREFIX
from orchestrator.paths import OrchestratorPaths, names

LAYOUT_VERSION = 1
TOOL = "orchestrator"

IGNORE_TEXT = """\
# Everything here stays out of git except what is meant to be shared.
/*
!/.gitignore
!/layout.json
!/workflow.yaml
!/prompts/
!/layouts/
"""
COMMITTED_SECRETS_TEXT = """\
# secrets.mode is committed: encrypted secrets are shared. `orchestrator secrets` keeps these lines.
!/secrets/
/secrets/*
!/secrets/*/
/secrets/*/*
!/secrets/*/*.age
!/secrets/*/recipients.txt
# End of secrets.
"""
"""Stands at the end of the ignore file while encrypted secrets may be committed, and else not at all."""

PRIVATE_IGNORE_TEXT = "# Made by `orchestrator init --private`: nothing here is shared.\n*\n"

DIRECTORIES = (
    names.CHECKPOINTS,
    names.ARTIFACTS,
    names.WORKTREES,
    names.LOCKS,
    names.LOGS,
    names.TMP,
    names.BACKUPS,
)


class Ownership(StrEnum):
    """Whose directory it is, by what it holds. Source: DESIGN.md section 4, Ownership."""

    ABSENT = "absent"
    OURS = "ours"
    CLONE = "clone"
    FOREIGN = "foreign"
    NEWER = "newer"
    UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class Layout:
    """What `layout.json` says: `repo_id` is 32 random hexadecimal digits made at `init`."""

    repo_id: str
    layout_version: int


def read_ownership(directory: str) -> Ownership:
    """Returns whose `directory` is. Nothing is followed, created or changed."""
    if os.path.islink(directory) or (os.path.lexists(directory) and not os.path.isdir(directory)):
        return Ownership.UNSAFE
    try:
        entries = os.listdir(directory)
    except FileNotFoundError:
        return Ownership.ABSENT
    except OSError:
        return Ownership.FOREIGN
    layout = _read_layout(os.path.join(directory, names.LAYOUT))
    if layout is not None:
        return Ownership.NEWER if layout.layout_version > LAYOUT_VERSION else Ownership.OURS
    lasting = {entry for entry in entries if not entry.startswith(TEMP_PREFIX)}
    if lasting <= names.COMMITTABLE or _unfinished(directory, lasting):
        return Ownership.CLONE
    return Ownership.FOREIGN


def require_ours(paths: OrchestratorPaths) -> Layout:
    """Returns the layout of an initialised `.orchestrator/`.

    Raises:
        Refused: `not-initialised`, `foreign-directory`, `layout-newer` or `unsafe-directory`.
    """
    directory = os.fspath(paths.orchestrator_dir)
    ownership = read_ownership(directory)
    if ownership is Ownership.OURS and os.path.isdir(paths.locks_dir):
        layout = _read_layout(os.fspath(paths.layout_file))
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


def unusable(directory: str, ownership: Ownership) -> Refused:
    """Returns the refusal of a directory that is not ours to use."""
    if ownership is Ownership.NEWER:
        return Refused(
            f"{directory} was made by a newer version of orchestrator.",
            code="layout-newer",
            hint="Update orchestrator: pip install --upgrade orchestrator",
        )
    if ownership is Ownership.UNSAFE:
        return Refused(
            f"{directory} is a link or a file, not a directory.",
            code="unsafe-directory",
            hint="Move it away, then: orchestrator init",
        )
    return Refused(
        f"{directory} belongs to something else: it holds no layout.json of ours.",
        code="foreign-directory",
        hint="Move it away if it is not needed, then: orchestrator init",
    )


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
    if ownership in (Ownership.NEWER, Ownership.UNSAFE) or (
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


def is_remains(directory: str) -> bool:
    """Returns whether a directory without a readable `layout.json` holds only what we could have made."""
    if os.path.islink(directory):
        return False
    try:
        entries = os.listdir(directory)
    except OSError:
        return False
    known = all(entry in names.KNOWN or entry.startswith(TEMP_PREFIX) for entry in entries)
    return known and not _names_another_tool(os.path.join(directory, names.LAYOUT))


def _complete(
    paths: OrchestratorPaths, disk: Disk, ignore: str, workflow_yaml: bytes | None, repo_id: str
) -> tuple[str, ...]:
    made: list[str] = []
    if os.path.isdir(paths.orchestrator_dir):
        disk.sweep_temp(paths.orchestrator_dir)
    else:
        disk.make_dir(paths.orchestrator_dir)
    _write_missing(disk, paths, names.IGNORE, ignore.encode(), made)
    made += make_directories(paths, disk)
    if workflow_yaml is not None:
        _write_missing(disk, paths, names.CONFIG, workflow_yaml, made)
    document = {"tool": TOOL, "layout_version": LAYOUT_VERSION, "repo_id": repo_id}
    _write_missing(disk, paths, names.LAYOUT, (json.dumps(document, indent=2) + "\n").encode(), made)
    return tuple(made)


def _names_another_tool(path: str) -> bool:
    """Returns whether `layout.json` is whole and not ours; a torn one may have been ours."""
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read(65536))
    except (OSError, ValueError, RecursionError):
        return False
    return not isinstance(document, dict) or document.get("tool") != TOOL


def make_directories(paths: OrchestratorPaths, disk: Disk) -> tuple[str, ...]:
    """Makes the directories of the layout that are missing, and returns their names.

    A killed `deinit`, or a user who tidied up, leaves an `.orchestrator/` of ours without some of them.
    """
    missing = [name for name in DIRECTORIES if not os.path.isdir(paths.orchestrator_dir / name)]
    for name in missing:
        disk.make_dir(paths.orchestrator_dir / name)
    return tuple(f"{name}/" for name in missing)


def is_left_by_init(directory: str) -> bool:
    """Returns whether all that `directory` holds is what a killed `init` leaves and nobody else wrote."""
    if read_ownership(directory) is not Ownership.CLONE:
        return False
    lasting = {entry for entry in os.listdir(directory) if not entry.startswith(TEMP_PREFIX)}
    known = {names.IGNORE, names.CONFIG, *DIRECTORIES}
    return not lasting or (lasting <= known and _unfinished(directory, lasting))


def _unfinished(directory: str, entries: set[str]) -> bool:
    """Returns whether a killed `init` left it: our ignore file, and directories of ours that are empty."""
    try:
        with open(os.path.join(directory, names.IGNORE), "rb") as file:
            text = file.read(4096).decode("utf-8", "replace").replace(COMMITTED_SECRETS_TEXT, "")
        ours = text in (IGNORE_TEXT, PRIVATE_IGNORE_TEXT)
        made = entries - names.COMMITTABLE
        empty = all(not os.listdir(os.path.join(directory, entry)) for entry in made & set(DIRECTORIES))
    except OSError:
        return False
    return ours and empty and made <= set(DIRECTORIES)


def _write_missing(disk: Disk, paths: OrchestratorPaths, name: str, data: bytes, made: list[str]) -> None:
    target = paths.orchestrator_dir / name
    if not os.path.lexists(target):
        disk.write(target, data, mode=0o644)
        made.append(name)


def _read_layout(path: str) -> Layout | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        text = os.read(descriptor, 65536)
    except OSError:  # a directory
        return None
    finally:
        os.close(descriptor)
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get("tool") != TOOL:
        return None
    version, repo_id = document.get("layout_version"), document.get("repo_id")
    if not isinstance(version, int) or not isinstance(repo_id, str):
        return None
    return Layout(repo_id=repo_id, layout_version=version)
