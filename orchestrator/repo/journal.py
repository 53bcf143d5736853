"""Facts about a move of the user's branch, written down before its first effect, for whoever settles it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.errors import Failed
from orchestrator.model.ids import ObjectId
from orchestrator.model.json import JsonObject
from orchestrator.repo.repository import Repository

Journal = Callable[[JsonObject], None]
"""Replaces the facts of one operation; durable when it returns."""


class Move(BaseModel):
    """A branch and its worktree go from commit `old` to another one: a merge, or the way back.

    `new` is None until hooks have passed and the commit exists; the branch is moved only after `new` is
    durable here, so the branch alone tells whether the move happened. `tree` is the tree the worktree goes
    to. `token` names our directory in the git directory and is the content of the `index.lock` that we
    take; `lock_inode` its (device, inode), None while none is prepared. `index_sha256` is the index as it
    was under the lock; None means that the worktree has not been touched. `git_dir` is the (device, inode)
    of the worktree's git directory, by which a copy of the repository is told from the original.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: Literal["merge", "undo"]
    branch: str
    old: ObjectId
    new: ObjectId | None
    tree: ObjectId
    theirs: ObjectId | None
    token: str
    git_dir: tuple[int, int]
    lock_inode: tuple[int, int] | None = None
    index_sha256: str | None = None

    def facts(self) -> JsonObject:
        """Returns what a journal stores."""
        stored: JsonObject = self.model_dump(mode="json")
        return stored


class Discard(BaseModel):
    """Refs that are taken away together; `pin` is the ref that keeps the result for the way back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: Literal["discard"] = "discard"
    refs: dict[str, ObjectId]
    pin: str
    tip: ObjectId
    restores: bool = False

    def facts(self) -> JsonObject:
        """Returns what a journal stores."""
        stored: JsonObject = self.model_dump(mode="json")
        return stored


def new_token() -> str:
    """Returns 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


def identity_of(repository: Repository) -> tuple[int, int]:
    """Returns (device, inode) of the git directory of the worktree."""
    facts = os.stat(repository.git_dir)
    return facts.st_dev, facts.st_ino


def read_facts(facts: JsonObject) -> Move | Discard:
    """Returns what a journal stored as a value.

    Raises:
        Failed: `journal-unreadable`, a newer version wrote it or somebody changed it; nothing was touched.
    """
    kind: type[Move] | type[Discard] = Discard if facts.get("kind") == "discard" else Move
    try:
        return kind.model_validate(dict(facts))
    except ValidationError as error:
        raise Failed(
            "The record of an interrupted operation cannot be read, so it is left as it is.",
            code="journal-unreadable",
            hint="Look at it with: orchestrator ops",
        ) from error
