"""Smaller records of a run: artifacts, interventions, operations, checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.model.ids import InterventionId, ObjectId, OperationId, PhaseId, RunId
from orchestrator.model.json import JsonObject


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file kept for a run; `path` is relative to `.orchestrator/artifacts/`, `hash` its SHA-256 in hex."""

    id: str
    run_id: RunId
    phase_id: PhaseId | None
    name: str
    path: str
    type: str
    size_bytes: int
    hash: str
    created_at: datetime


class InterventionStatus(StrEnum):
    """Whether a person has answered."""

    OPEN = "open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class ManualIntervention:
    """Something that needs a person: why, and what to do about it."""

    id: InterventionId
    run_id: RunId
    phase_id: PhaseId | None
    reason: str
    action_required: str
    status: InterventionStatus
    note: str | None
    resolved_at: datetime | None
    created_at: datetime


class OperationKind(StrEnum):
    """What a user did that can be taken back."""

    MERGE = "merge"
    DISCARD = "discard"
    CANCEL = "cancel"
    RESTORE = "restore"
    MIGRATE = "migrate"
    UNDO = "undo"


class OperationStatus(StrEnum):
    """`intended` is durable before the first effect; a crash leaves it for the next command to settle."""

    INTENDED = "intended"
    DONE = "done"
    REVERTED = "reverted"
    UNDONE = "undone"


OPERATION_TRANSITIONS: dict[OperationStatus, frozenset[OperationStatus]] = {
    OperationStatus.INTENDED: frozenset({OperationStatus.DONE, OperationStatus.REVERTED}),
    OperationStatus.DONE: frozenset({OperationStatus.UNDONE}),
    OperationStatus.REVERTED: frozenset(),
    OperationStatus.UNDONE: frozenset({OperationStatus.DONE}),
}
"""Legal changes of an operation; an undone one becomes done again when the undo is undone."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A user's decision: enough about before and after to finish, revert or undo it.

    `worktree` is the real path of the checkout it acted in, empty when it acted in none;
    `facts` is the journal of whoever performs it (old and new tips, the inode of a lock it took).
    """

    id: OperationId
    kind: OperationKind
    run_id: RunId | None
    worktree: str
    status: OperationStatus
    facts: JsonObject
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Leak:
    """A known secret in a checkpoint: `path` shows where without showing it, `name` is its name.

    `in_tree` tells that it stands in a file of the work tree, or in its name; otherwise in the index, in a
    message, or in the name of a ref.
    """

    path: str
    name: str
    in_tree: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A commit that holds a complete work tree and the run's state at that moment; newest first in lists.

    `tree` is the work tree inside it (what checks run on and what is restored). `local_only` tells that it,
    or one before it, holds a known secret: nothing that reaches it may be pushed. `leaks` are those that were
    found when it was taken.
    """

    commit: ObjectId
    tree: ObjectId
    run_id: RunId
    number: int
    label: str
    at: datetime
    local_only: bool = False
    leaks: tuple[Leak, ...] = ()
