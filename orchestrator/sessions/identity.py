"""What a session is: made, read, adopted by another boot, renamed; one small file in its directory."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.lock import FileLock
from orchestrator.fs.probe import boot_id, is_held
from orchestrator.paths import OrchestratorPaths, is_session_id, names
from orchestrator.sessions.environment import PLAIN, Environment, boot_key
from orchestrator.sessions.finding import session_names
from orchestrator.state.layout import make_directories

FRESH_S = 600.0
"""A younger heartbeat is a sign of life, also where locks of another machine are not seen."""

_LIMIT_BYTES = 4096
_BOOT_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class Here:
    """Where a process runs: a boot of a machine, and one repository by its git directory (device, inode)."""

    environment: Environment
    boot: str
    git_dir: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Session:
    """One session as its directory tells.

    `boot` is the boot that owns it now, `turn` a number that grows with each creation and adoption (no clock
    is asked who came last), `heartbeat_at` the last sign of life, `name` what a person called it.
    """

    id: str
    name: str
    environment: str
    boot: str
    git_dir: tuple[int, int]
    turn: int
    created_at: datetime | None
    directory: Path
    heartbeat_at: datetime | None

    def is_of(self, here: Here) -> bool:
        """Returns whether this boot of this repository owns it."""
        return (self.boot, self.git_dir) == (here.boot, here.git_dir)

    @property
    def shown(self) -> str:
        """Returns the name a person gave it, or its id."""
        return self.name or self.id


class _Identity(BaseModel):
    """`identity.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    id: str
    name: Annotated[str, Field(max_length=64)]
    environment: Annotated[str, Field(max_length=64)]
    boot: Annotated[str, Field(max_length=512)]
    git_dir: tuple[int, int]
    turn: Annotated[int, Field(ge=0, le=2**53)]
    created_at: AwareDatetime | None


def look_here(environment: Environment, git_dir: tuple[int, int]) -> Here:
    """Returns where this process runs."""
    node = os.uname().nodename if hasattr(os, "uname") else ""
    return Here(environment, boot_key(environment, boot_id(), node), git_dir)


def list_sessions(root: OrchestratorPaths) -> tuple[Session, ...]:
    """Returns the sessions under `sessions/`, the one that was begun or adopted last first.

    One whose identity cannot be read is among them, as nobody's, as long as it holds a state.
    """
    found = [_read(root, name) for name in session_names(os.fspath(root.sessions_dir))]
    return tuple(sorted(found, key=lambda session: (-session.turn, session.id)))


def current(sessions: Sequence[Session], here: Here) -> Session | None:
    """Returns the session of this boot, of several the one that was begun or adopted last."""
    return next((session for session in sessions if session.is_of(here)), None)


def create(root: OrchestratorPaths, disk: Disk, here: Here) -> Session:
    """Returns the session of this boot, made unless another process has just made it.

    `identity.json` is written last: a kill before it leaves empty directories, which nobody takes for one.

    Raises:
        Locked: another process has been making one for seconds.
    """
    with list_lock(root):
        sessions = list_sessions(root)
        found = current(sessions, here)
        if found is not None:
            return found
        name = _new_id(here)
        paths = root.of_session(name)
        make_directories(paths, disk)
        made = Session(
            id=name,
            name="",
            environment=here.environment.name,
            boot=here.boot,
            git_dir=here.git_dir,
            turn=_next_turn(sessions),
            created_at=datetime.now(UTC).replace(microsecond=0),
            directory=paths.state_dir,
            heartbeat_at=None,
        )
        _write(disk, made)
        return made


def adopt(root: OrchestratorPaths, disk: Disk, session: Session, here: Here) -> Session:
    """Returns the session as this boot's; it keeps id and directory.

    In a copy of a repository, made while the machine ran on, it gets an id of its own: the original still
    goes by the old one. A kill leaves the session as it was, or adopted.

    Raises:
        Locked: another process has been changing the sessions for seconds.
    """
    with list_lock(root):
        now = _read(root, session.id)
        if now.is_of(here):
            return now
        if now.boot == here.boot and now.git_dir != here.git_dir:
            now = _with_own_id(root, disk, now, here)
        adopted = replace(
            now,
            boot=here.boot,
            git_dir=here.git_dir,
            environment=here.environment.name,
            turn=_next_turn(list_sessions(root)),
        )
        make_directories(root.of_session(adopted.id), disk)
        _write(disk, adopted)
        return adopted


def rename(root: OrchestratorPaths, disk: Disk, session: Session, name: str) -> Session:
    """Returns the session under the name that a person gives it; its id stays. An empty name takes it away.

    Raises:
        Refused: `session-name-invalid` or `session-name-taken`.
    """
    if name and not is_session_id(name):
        raise Refused(
            f"{name!r} cannot name a session.",
            code="session-name-invalid",
            hint="Use up to 64 of A-Z, a-z, 0-9, _ and -, starting with a letter or digit.",
        )
    with list_lock(root):
        for other in list_sessions(root):
            if name and other.id != session.id and name in (other.id, other.name):
                raise Refused(
                    f"Another session is called {name} already.",
                    code="session-name-taken",
                    hint="List them with: orchestrator sessions list",
                )
        renamed = replace(_read(root, session.id), name=name)
        _write(disk, renamed)
        return renamed


def find(sessions: Sequence[Session], text: str) -> Session:
    """Returns the session that an id, a name, or the beginning of one id names.

    Raises:
        Refused: `session-unknown` or `session-ambiguous`.
    """
    exact = [session for session in sessions if text and text in (session.id, session.name)]
    found = exact or [session for session in sessions if text and session.id.startswith(text)]
    if len(found) == 1:
        return found[0]
    what = f"There is no session {text!r} here." if not found else f"{text!r} begins several session ids."
    raise Refused(
        what,
        code="session-unknown" if not found else "session-ambiguous",
        hint="List them with: orchestrator sessions list",
    )


def beat(disk: Disk, session: Session) -> None:
    """Leaves a sign of life; how old it is the time of the file tells."""
    disk.write(session.directory / names.HEARTBEAT, f"{os.getpid()}\n".encode())


def living_runs(session: Session) -> tuple[str, ...]:
    """Returns the runs of a session that a process of this machine works on."""
    locks = session.directory / names.LOCKS
    found = sorted(os.listdir(locks)) if locks.is_dir() and not locks.is_symlink() else []
    return tuple(
        name[len("run-") : -len(".lock")]
        for name in found
        if name.startswith("run-") and name.endswith(".lock") and is_held(os.fspath(locks / name))
    )


def is_alive(session: Session, here: Here, now: datetime) -> bool:
    """Returns whether somebody may be at work in a session: it is this boot's, a run is held, or it beats.

    A heartbeat from the future (the clock was set back) counts as fresh: in doubt a session lives.
    """
    if session.is_of(here) or living_runs(session):
        return True
    beat_at = session.heartbeat_at
    return beat_at is not None and (now - beat_at).total_seconds() < FRESH_S and session.boot != here.boot


def _new_id(here: Here) -> str:
    kind = here.environment.name if here.environment.name != PLAIN else "local"
    boot = "".join(c for c in here.boot.split("/")[0] if c.isalnum() and c.isascii())[:_BOOT_CHARACTERS]
    return f"{kind}-{boot.lower() or '0'}-{secrets.token_hex(4)}"


def _with_own_id(root: OrchestratorPaths, disk: Disk, session: Session, here: Here) -> Session:
    name = _new_id(here)
    directory = root.of_session(name).state_dir
    disk.rename(session.directory, directory)
    return replace(session, id=name, name="", directory=directory)


def _next_turn(sessions: Sequence[Session]) -> int:
    return max((session.turn for session in sessions), default=0) + 1


def list_lock(root: OrchestratorPaths) -> FileLock:
    """Returns the lock under which sessions are made, adopted, renamed and removed."""
    return FileLock(root.locks_dir / "sessions.lock", what="The list of sessions", command="orchestrator")


def _write(disk: Disk, session: Session) -> None:
    facts = _Identity(
        id=session.id,
        name=session.name,
        environment=session.environment,
        boot=session.boot,
        git_dir=session.git_dir,
        turn=session.turn,
        created_at=session.created_at,
    )
    text = json.dumps(facts.model_dump(mode="json"))  # `finding` looks for these very words
    disk.write(session.directory / names.IDENTITY, text.encode() + b"\n")


def _read(root: OrchestratorPaths, name: str) -> Session:
    """Returns a session; nobody's where its identity is torn, another's, or gone."""
    directory = root.of_session(name).state_dir
    beat_at = _time_of(directory / names.HEARTBEAT)
    try:
        descriptor = os.open(directory / names.IDENTITY, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            facts = _Identity.model_validate_json(os.read(descriptor, _LIMIT_BYTES))
        finally:
            os.close(descriptor)
    except (OSError, ValidationError):
        return Session(name, "", "unknown", "", (0, 0), 0, None, directory, beat_at)
    return Session(
        name,
        facts.name,
        facts.environment,
        facts.boot,
        facts.git_dir,
        facts.turn,
        facts.created_at,
        directory,
        beat_at,
    )


def _time_of(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(os.lstat(path).st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return None
