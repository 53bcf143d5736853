"""Reads the catalogue of earlier layouts: YAML files, each validated whole, with every problem told."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

import yaml
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from orchestrator.errors import Refused
from orchestrator.fs.failure import printable
from orchestrator.paths import names

HOME = "home:"
"""Prefix of a source below the user's home directory; everything else is relative to the checkout's root."""

MAX_BYTES = 256 * 1024
_WILD = frozenset("*?[")
_SHORTEST_NOTICE = datetime.timedelta(days=182)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FIXED = frozenset({names.LOCKS, names.LAYOUT, names.MIGRATIONS, names.QUARANTINE})
"""What the engine itself stands on: no upgrade moves it."""
_NEVER_TARGETS = frozenset({*names.STATE_FILES, names.LOCKS, names.LAYOUT, names.IGNORE, names.MIGRATIONS})


class Kind(StrEnum):
    """What an entry of an earlier layout is."""

    STATE = "state"
    LOG = "log"
    CHECKPOINT = "checkpoint"
    CONFIG = "config"
    SECRET = "secret"
    FEEDBACK = "feedback"
    CACHE = "cache"
    ARTIFACT = "artifact"
    DATABASE = "database"
    HOME_FILE = "home-file"
    USER_OWNED = "user-owned"
    DEBRIS = "debris"


class How(StrEnum):
    """What is done with an entry.

    `move`: to its target. `merge`: as move, into a directory that may hold something. `import`: kept unread
    in `migrations/<id>/original/`, from where the takeover reads it. `sqlite-backup`: as import, and a
    consistent copy made by SQLite at the target. `report`: named, never touched.
    """

    MOVE = "move"
    MERGE = "merge"
    IMPORT = "import"
    SQLITE_BACKUP = "sqlite-backup"
    REPORT = "report"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Mark(_Data):
    """One thing to find: a path (a glob) and, where given, what it must be and hold.

    `json_keys`: a JSON object (of a `.jsonl` file the first line) with all of them; `json_any`: with at least
    one; `lacks`: with none. `sqlite_tables`: a database with all of them. `starts_with`: the first bytes.
    `holds`: a directory with an entry that one of the globs fits. `contains`: text within the first 64 KiB.
    `not_ours`: only while `.orchestrator/layout.json` of ours is missing.
    """

    path: str = ""
    type: Literal["file", "directory", "any"] = "any"
    json_keys: tuple[str, ...] = ()
    json_any: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    sqlite_tables: tuple[str, ...] = ()
    starts_with: str = ""
    contains: str = ""
    holds: tuple[str, ...] = ()
    not_ours: bool = False

    @field_validator("path")
    @classmethod
    def _is_relative(cls, path: str) -> str:
        return _inside(path.removeprefix(HOME)) and path if path else path


class Recognition(_Data):
    """When a layout is there: one of `any` (if given) and all of `all`."""

    any: tuple[Mark, ...] = ()
    all: tuple[Mark, ...] = ()

    @model_validator(mode="after")
    def _asks_something(self) -> Recognition:
        if not self.any and not self.all:
            raise ValueError("needs at least one mark under any or all")
        if not all(mark.path for mark in (*self.any, *self.all)):
            raise ValueError("every mark needs a path")
        return self


class Until(_Data):
    """From when a layout is no longer read: both the version and the day must have come."""

    version: str
    date: datetime.date

    @field_validator("version")
    @classmethod
    def _is_version(cls, text: str) -> str:
        try:
            Version(text)
        except InvalidVersion:
            raise ValueError(f"{text!r} is no version") from None
        return text


class Entry(_Data):
    """One place of an earlier layout, what it is, where it goes; `target` is relative to `.orchestrator/`."""

    source: str
    kind: Kind
    action: How
    target: str | None = None
    sensitive: bool = False
    private_key: bool = False
    when: Mark | None = None
    reason: str = ""

    @field_validator("source")
    @classmethod
    def _source_is_inside(cls, source: str) -> str:
        _inside(source.removeprefix(HOME))
        if source.split("/")[0] in ("*", "**") or source == names.DIRECTORY:
            raise ValueError("names everything there is")
        return source

    @field_validator("target")
    @classmethod
    def _target_is_inside(cls, target: str | None) -> str | None:
        return target if target is None else _inside(target)

    @model_validator(mode="after")
    def _is_sound(self) -> Entry:
        wanted = self.action in (How.MOVE, How.MERGE, How.SQLITE_BACKUP)
        if wanted != (self.target is not None):
            raise ValueError(f"{self.source}: {self.action} {'needs a' if wanted else 'takes no'} target")
        if self.at_home and self.action is not How.REPORT:
            raise ValueError(f"{self.source}: what lies in the home directory can only be reported")
        if self.kind is Kind.USER_OWNED and self.action is not How.REPORT:
            raise ValueError(f"{self.source}: user-owned files stay where they are")
        if self.private_key and self.action is not How.REPORT:
            raise ValueError(f"{self.source}: private keys are reported, never moved")
        return self

    @property
    def at_home(self) -> bool:
        """Returns whether it lies in the user's home directory."""
        return self.source.startswith(HOME)

    def target_of(self, source: str) -> str | None:
        """Returns where a thing that this entry names goes; below the target where the entry is a glob."""
        if self.target is None or not _WILD & set(self.source):
            return self.target
        return f"{self.target}/{source.rpartition('/')[2]}"

    @property
    def is_sensitive(self) -> bool:
        """Returns whether only its name may ever be shown."""
        return self.sensitive or self.kind is Kind.SECRET


class Upgrade(_Data):
    """Which version of our own layout is the earlier one, and which it becomes: always the next."""

    from_version: int = Field(alias="from", ge=0)
    to_version: int = Field(alias="to")

    @model_validator(mode="after")
    def _is_one_step(self) -> Upgrade:
        if self.to_version != self.from_version + 1:
            raise ValueError("goes from one version to the next one")
        return self


class Layout(_Data):
    """An earlier layout, as one YAML file describes it.

    With `upgrades` it is an earlier version of our own: recognised by the version in our `layout.json`, not
    by marks, and moved within `.orchestrator/` as a whole. Only the package says so.
    """

    schema_version: Literal[1]
    name: str
    title: str
    deprecated_since: Until
    read_until: Until
    recognise: Recognition | None = None
    upgrades: Upgrade | None = None
    entries: tuple[Entry, ...]

    @field_validator("name")
    @classmethod
    def _is_plain(cls, name: str) -> str:
        if not name.isascii() or not name.replace("-", "a").isalnum() or name != name.lower():
            raise ValueError("use lower case letters, digits and -")
        return name

    @model_validator(mode="after")
    def _is_known_by_one_thing(self) -> Layout:
        if (self.recognise is None) == (self.upgrades is None):
            raise ValueError("needs either recognise or upgrades")
        return self

    @model_validator(mode="after")
    def _leaves_our_own_alone(self) -> Layout:
        never = _NEVER_TARGETS if self.upgrades is None else _FIXED
        for entry in self.entries:
            if entry.target is not None and entry.target.split("/")[0] in never:
                raise ValueError(f"{entry.target!r} is kept for our own state")
            if self.upgrades is not None and not _moves_within(entry):
                raise ValueError(f"{entry.source}: an upgrade moves or merges within {names.DIRECTORY}/")
        return self

    @model_validator(mode="after")
    def _gives_notice(self) -> Layout:
        since, until = self.deprecated_since, self.read_until
        if Version(until.version).major <= Version(since.version).major:
            raise ValueError("read_until must be a later major version than deprecated_since")
        if until.date - since.date < _SHORTEST_NOTICE:
            raise ValueError("read_until must be at least six months after deprecated_since")
        return self


def current_version(catalogue: Iterable[Layout]) -> int:
    """Returns the version of our own layout to which a catalogue brings every earlier one."""
    reached = (one.upgrades.to_version for one in catalogue if one.upgrades is not None)
    return max(names.LAYOUT_VERSION, *reached, 0)


def load_catalogue(*, supplied: Iterable[Layout] = (), files: Iterable[Path] = ()) -> tuple[Layout, ...]:
    """Returns the layouts of the package, then those that the repository supplied and those in `files`.

    Raises:
        Refused: `layout-invalid`, naming every problem of the file; `layout-unreadable`.
    """
    layouts = [*_own(), *supplied, *(read_layout(path) for path in files)]
    seen: set[str] = set()
    for layout in layouts:
        if layout.name in seen:
            raise _invalid(layout.name, "another layout has the same name")
        seen.add(layout.name)
    return tuple(layouts)


def read_layout(path: Path) -> Layout:
    """Returns the layout that one file describes; raises what `load_catalogue` raises."""
    return parse_layout(layout_bytes(path), printable(path))


def layout_bytes(path: Path) -> bytes:
    """Returns what a layout's file holds; never through a link, and it waits for nobody.

    Raises:
        Refused: `layout-unreadable`, or `layout-invalid` for one that is too large.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(
            f"Cannot read the layout {printable(path)}: {error.strerror}.",
            code="layout-unreadable",
            hint="Name a regular file that you may read: orchestrator migrate --layout FILE",
        ) from error
    if len(text) > MAX_BYTES:
        raise _invalid(printable(path), "it is larger than 256 KiB")
    return text


def parse_layout(text: bytes, where: str, *, packaged: bool = False) -> Layout:
    """Returns the layout that YAML text describes; only a `packaged` one may upgrade our own.

    Raises:
        Refused: `layout-invalid`.
    """
    try:
        layout = Layout.model_validate(yaml.load(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        raise _invalid(where, " ".join(str(error).split())) from error
    except RecursionError as error:
        raise _invalid(where, "it is nested too deeply") from error
    except ValidationError as error:
        raise _invalid(where, "; ".join(_worded(error))) from error
    if layout.upgrades is not None and not packaged:
        raise _invalid(where, "upgrades: only layouts of the package say this")
    return layout


@cache
def _own() -> tuple[Layout, ...]:
    directory = Path(__file__).parent / "layouts"
    return tuple(
        parse_layout(path.read_bytes(), path.name, packaged=True) for path in sorted(directory.glob("*.yaml"))
    )


def _moves_within(entry: Entry) -> bool:
    top, _, below = entry.source.partition("/")
    inside = top == names.DIRECTORY and below.split("/")[0] not in _FIXED
    return inside and entry.action in (How.MOVE, How.MERGE)


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path or ".git" in parts:
        raise ValueError(f"{path!r} is not a path below the root")
    if "/".join(parts) != path:
        raise ValueError(f"{path!r} is not in its shortest form")
    return path


def _worded(error: ValidationError) -> list[str]:
    return [f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]


def _invalid(where: str, problem: str) -> Refused:
    return Refused(
        f"The layout {where} is not valid: {problem}.",
        code="layout-invalid",
        hint="Correct the file and try again.",
    )
