"""The values of a plan: options, troubles, actions, steps; validated, because files hold them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from orchestrator.migrate.catalogue import How, Kind, Upgrade
from orchestrator.migrate.naming import Name
from orchestrator.migrate.survey import Place
from orchestrator.paths import names

Verb = Literal["move", "merge", "keep", "skip", "conflict"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Options(_Data):
    """What the user chose: `only` (kinds; empty means all), `prefer` in conflicts, `tracked` files too."""

    only: tuple[Kind, ...] = ()
    prefer: Literal["old", "new"] | None = None
    tracked: bool = False


class Trouble(_Data):
    """One reason not to begin; `exit_status` is that of CONTRACT.md (2, 3 or 5).

    With 5 the message names what is in use, and `holder` by whom.
    """

    code: str
    message: str
    hint: str
    exit_status: Literal[2, 3, 5] = 2
    holder: str = ""


class Action(_Data):
    """One line of the table: what happens to one found thing; paths are relative to the root.

    `allocated_bytes` is what it takes on the disk: less than `bytes` where files have holes.
    """

    source: Name
    target: Name | None
    action: Verb
    kind: Kind
    layout: str
    how: How
    files: int
    bytes: int
    allocated_bytes: int = 0
    mode: str
    tracked: bool
    sensitive: bool
    reason: str


class Step(_Data):
    """One rename, or copy where file systems are crossed; the smallest thing that is done and undone.

    `backup` makes a consistent copy of a database instead; `stamp` gives our own `layout.json` its next
    version and keeps the original at `target`. `new_mode` is set on what holds secrets, `replaced_mode` is
    that of an empty directory which stood at the target; `shape` is what a scan of the thing says, before and
    after, unless somebody changed it (empty: it may change, by us). Steps of one `database` are done under
    its lock.
    """

    number: int
    op: Literal["move", "backup", "stamp"]
    source: Name
    target: Name
    is_directory: bool
    mode: int
    new_mode: int | None = None
    replaced_mode: int | None = None
    database: Name = ""
    shape: str = ""
    crosses: bool = False
    files: int = 0
    bytes: int = 0


class Plan(_Data):
    """All that a migration will do, in order; `digest` is that of the surveyed files and `id` names it.

    `directories` are to be made, `index` pairs are to be moved in git's index. `bytes_needed` and
    `inodes_needed` count what is copied to another file system. `warnings` are told, and nothing more.
    With `upgrade` it brings our own layout to its next version, and its last step is a `stamp`.
    """

    schema_version: Literal[1] = 1
    id: str
    digest: str
    options: Options
    place: Place
    layouts: tuple[str, ...]
    actions: tuple[Action, ...]
    conflicts: tuple[Action, ...]
    steps: tuple[Step, ...]
    directories: tuple[Name, ...]
    index: tuple[tuple[Name, Name], ...]
    troubles: tuple[Trouble, ...]
    warnings: tuple[str, ...]
    bytes_needed: int
    inodes_needed: int
    same_filesystem: bool
    upgrade: Upgrade | None = None

    @property
    def pending(self) -> bool:
        """Returns whether there is anything to do."""
        return bool(self.steps or self.conflicts)

    @property
    def left_alone(self) -> tuple[Action, ...]:
        """Returns what is found and stays where it is, each with the reason."""
        return tuple(action for action in self.actions if action.action in ("keep", "skip"))


def record_directory(name: str) -> str:
    """Returns the directory of one migration's record, relative to the root."""
    return f"{names.DIRECTORY}/{names.MIGRATIONS}/{name}"


def original(name: str, source: str) -> str:
    """Returns where the original of something imported is kept, relative to the root."""
    return f"{record_directory(name)}/original/{source}"


def quarantined(name: str, source: str) -> str:
    """Returns where the loser of a conflict and what is left of a merge is kept, relative to the root."""
    return f"{names.DIRECTORY}/{names.QUARANTINE}/{name}/{source}"
