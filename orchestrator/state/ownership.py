"""Whose `.orchestrator/` is, by what it holds. Standard library only, for the front door."""

from __future__ import annotations

import os

from orchestrator.errors import Refused
from orchestrator.paths import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

TOOL = "orchestrator"

_BEGINNING = (
    f'{{\n  "tool": "orchestrator",\n  "layout_version": {names.LAYOUT_VERSION},\n  "repo_id": "'.encode()
)
_END = b'"\n}\n'
"""What is before and after the 32 digits in a `layout.json` as `init` writes it."""

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


class Ownership(str):
    """Whose directory it is, by what it holds. Source: DESIGN.md section 4, Ownership."""

    __slots__ = ()

    ABSENT: ClassVar[Ownership]
    OURS: ClassVar[Ownership]
    CLONE: ClassVar[Ownership]
    FOREIGN: ClassVar[Ownership]
    OLDER: ClassVar[Ownership]
    NEWER: ClassVar[Ownership]
    UNSAFE: ClassVar[Ownership]


for _word in ("absent", "ours", "clone", "foreign", "older", "newer", "unsafe"):
    setattr(Ownership, _word.upper(), Ownership(_word))


class Layout:
    """What `layout.json` says: `repo_id` is 32 random hexadecimal digits made at `init`."""

    __slots__ = ("layout_version", "repo_id")

    def __init__(self, *, repo_id: str, layout_version: int) -> None:
        self.repo_id = repo_id
        self.layout_version = layout_version


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
    layout = read_layout(os.path.join(directory, names.LAYOUT))
    if layout is not None:
        return _by_version(layout.layout_version)
    lasting = {entry for entry in entries if not entry.startswith(names.TEMP_PREFIX)}
    lasting -= _left_by_rollback(directory, lasting)
    if lasting <= names.COMMITTABLE or _unfinished(directory, lasting):
        return Ownership.CLONE
    return Ownership.FOREIGN


def _by_version(version: int) -> Ownership:
    if version == names.LAYOUT_VERSION:
        return Ownership.OURS
    return Ownership.NEWER if version > names.LAYOUT_VERSION else Ownership.OLDER


def unusable(directory: str, ownership: Ownership) -> Refused:
    """Returns the refusal of a directory that is not ours to use."""
    if ownership is Ownership.OLDER:
        return Refused(
            f"{directory} was made by an older version of orchestrator, whose files lie elsewhere in it.",
            code="layout-older",
            hint="Bring it up to date: orchestrator migrate",
        )
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


def is_remains(directory: str) -> bool:
    """Returns whether a directory without a readable `layout.json` holds only what we could have made."""
    if os.path.islink(directory):
        return False
    try:
        entries = os.listdir(directory)
    except OSError:
        return False
    known = all(entry in names.KNOWN or entry.startswith(names.TEMP_PREFIX) for entry in entries)
    return known and not _names_another_tool(os.path.join(directory, names.LAYOUT))


def is_left_by_init(directory: str) -> bool:
    """Returns whether all that `directory` holds is what a killed `init` leaves and nobody else wrote."""
    if read_ownership(directory) is not Ownership.CLONE:
        return False
    lasting = {entry for entry in os.listdir(directory) if not entry.startswith(names.TEMP_PREFIX)}
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


def _left_by_rollback(directory: str, entries: set[str]) -> set[str]:
    """Returns the names that a migration which was taken back leaves: its record, and locks."""
    if names.MIGRATIONS not in entries:
        return set()
    records = os.path.join(directory, names.MIGRATIONS)
    try:
        ours = all(os.path.isfile(os.path.join(records, one, "plan.json")) for one in os.listdir(records))
    except OSError:
        return set()
    return {names.MIGRATIONS, names.LOCKS} if ours and not os.path.islink(records) else set()


def _names_another_tool(path: str) -> bool:
    """Returns whether `layout.json` is whole and not ours; a torn one may have been ours."""
    import json

    try:
        with open(path, "rb") as file:
            document = json.loads(file.read(65536))
    except (OSError, ValueError, RecursionError):
        return False
    return not isinstance(document, dict) or document.get("tool") != TOOL


def read_layout(path: str) -> Layout | None:
    """Returns what a `layout.json` of ours says; None where there is none that can be read."""
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
    if text.startswith(_BEGINNING) and text.endswith(_END) and len(text) == len(_BEGINNING + _END) + 32:
        return Layout(
            repo_id=text[len(_BEGINNING) :][:32].decode("latin-1"), layout_version=names.LAYOUT_VERSION
        )
    import json  # half of a start, and needed only when somebody else has written the file

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
