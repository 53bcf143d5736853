"""What tells this clone from every other: a random id, made once, and how each remote takes our state."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.fs.disk import Disk
from orchestrator.model.ids import RunId
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.repo.history import read_small
from orchestrator.repo.repository import Repository

_CLONE_ID = re.compile(r"local-[0-9a-f]{12}")

TransportName = Literal["ref", "branch", "working-branch"]


class CloneFile(BaseModel):
    """The content of `.orchestrator/clone.json`; `transports` by the hash of the remote's address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    id: str = Field(pattern=r"^local-[0-9a-f]{12}$")
    transports: dict[str, TransportName] = {}


def this_clone(paths: OrchestratorPaths) -> CloneFile:
    """Returns what is recorded of this clone; the id is made, and durable, when there is none yet.

    A file that cannot be read gives way to a new one: it holds nothing that could not be found out again.
    """
    try:
        return CloneFile.model_validate_json(read_small(paths.clone_file))
    except (ValidationError, ValueError):
        made = CloneFile(id=f"local-{secrets.token_hex(6)}")
        _write(paths, made)
        return made


def session_of(paths: OrchestratorPaths) -> str:
    """Returns the id of the session whose state tree these paths name: its own, or that of the clone."""
    return paths.session_id or this_clone(paths).id


def session_of_run(repository: Repository, paths: OrchestratorPaths, run_id: RunId) -> str:
    """Returns the session of a run: the one it was saved or restored in, else the present one."""
    known = repository.git.lines(
        "for-each-ref", "--format=%(refname)", "--count=1", f"{names.SESSION_REFS}*/{run_id}"
    )
    return known[0].removeprefix(names.SESSION_REFS).partition("/")[0] if known else session_of(paths)


def state_paths(root: OrchestratorPaths, session: str) -> OrchestratorPaths:
    """Returns the paths of a session's state: those of the root where the session is that of a clone."""
    return root if _CLONE_ID.fullmatch(session) else root.of_session(session)


def transport_for(paths: OrchestratorPaths, url: str) -> TransportName | None:
    """Returns how the remote at `url` took our state when it was last tried; None when it never was."""
    return this_clone(paths).transports.get(_key(url))


def record_transport(paths: OrchestratorPaths, url: str, transport: TransportName | None) -> None:
    """Records how the remote at `url` takes our state; None forgets it."""
    known = this_clone(paths)
    transports = {key: each for key, each in known.transports.items() if key != _key(url)}
    if transport is not None:
        transports[_key(url)] = transport
    if transports != known.transports:
        _write(paths, known.model_copy(update={"transports": transports}))


def _key(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _write(paths: OrchestratorPaths, content: CloneFile) -> None:
    Disk().write(paths.clone_file, json.dumps(content.model_dump(), indent=1).encode() + b"\n")
