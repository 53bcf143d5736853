"""Runs, phases and executions: what they hold, and which change of state is legal."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from orchestrator.model.ids import ExecutionId, ObjectId, PhaseId, RunId
from orchestrator.model.plan import PlannedPhase


class RunStatus(StrEnum):
    """Where a run stands; whether its process lives is another question, which its lock answers."""

    PLANNING = "planning"
    EXECUTING = "executing"
    VERIFYING = "verifying"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PhaseStatus(StrEnum):
    """Where a phase stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class ExecutionStatus(StrEnum):
    """Where one attempt of a phase stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


ENDED_RUN = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})

_LIVE_RUN = frozenset({RunStatus.EXECUTING, RunStatus.VERIFYING, RunStatus.WAITING})
RUN_TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PLANNING: _LIVE_RUN | {RunStatus.FAILED, RunStatus.CANCELLED},
    RunStatus.EXECUTING: _LIVE_RUN | ENDED_RUN,
    RunStatus.VERIFYING: _LIVE_RUN | ENDED_RUN,
    RunStatus.WAITING: frozenset(RunStatus) - {RunStatus.PLANNING},
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset({RunStatus.EXECUTING, RunStatus.CANCELLED}),
    RunStatus.CANCELLED: frozenset({RunStatus.WAITING, RunStatus.EXECUTING, RunStatus.FAILED}),
}
"""Legal changes of a run. Failed and cancelled runs can be resumed; undoing a cancel restores what was."""

PHASE_TRANSITIONS: dict[PhaseStatus, frozenset[PhaseStatus]] = {
    PhaseStatus.PENDING: frozenset({PhaseStatus.IN_PROGRESS, PhaseStatus.SKIPPED}),
    PhaseStatus.IN_PROGRESS: frozenset(PhaseStatus) - {PhaseStatus.PENDING, PhaseStatus.IN_PROGRESS},
    PhaseStatus.WAITING: frozenset(PhaseStatus) - {PhaseStatus.PENDING, PhaseStatus.WAITING},
    PhaseStatus.COMPLETED: frozenset(),
    PhaseStatus.FAILED: frozenset({PhaseStatus.IN_PROGRESS}),
    PhaseStatus.SKIPPED: frozenset({PhaseStatus.IN_PROGRESS}),
}

EXECUTION_TRANSITIONS: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    ExecutionStatus.RUNNING: frozenset(ExecutionStatus) - {ExecutionStatus.RUNNING},
    ExecutionStatus.SUCCEEDED: frozenset(),
    ExecutionStatus.FAILED: frozenset(),
    ExecutionStatus.INTERRUPTED: frozenset(),
}


class Integrate(StrEnum):
    """What becomes of a result whose gates hold."""

    NONE = "none"
    BRANCH = "branch"
    MERGE = "merge"


class Outcome(StrEnum):
    """What a completed run proved."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    NO_CHANGES = "no changes"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for; fixed when the run is created.

    `found_agent` is the agent of steps that name none: the first one that was found on PATH. With `no_cache`
    models are asked even what they were asked before.
    """

    workflow: str = "default"
    agent: str | None = None
    command: tuple[str, ...] | None = None
    integrate: Integrate = Integrate.BRANCH
    require_clean: bool = False
    max_time_s: float | None = None
    max_cost_usd: float | None = None
    max_turns: int | None = None
    found_agent: str | None = None
    no_cache: bool = False


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """Where a run started from; fixed when the run is created.

    `branch` is the full ref name the user's checkout was on (`refs/heads/main`), None when detached.
    `checkout` is the absolute path of the working tree the user called from.
    """

    base: ObjectId
    branch: str | None
    checkout: str
    included_changes: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What agents consumed; None means not metered, zero means measured as nothing.

    `cached_tokens` is the part of `input_tokens` that the provider had kept. `turns` are the answers of the
    model; where an agent does not count them, the uses of its tools.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cached_tokens: int | None = None
    turns: int | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RunProgress:
    """What has been reached so far; replaced as a whole with each step forward.

    `result` is the tip of the chain of phase commits (None: no phase has changed anything yet);
    `branch` is the full name of the result branch once it exists;
    `wake_at` tells when a waiting run may go on by itself, `waiting_for` says what for;
    `planning` is what asking for a plan consumed;
    `extra_time_s` is what resuming added to the time allowed, in seconds, and so the others of that name;
    `exit_status` is what a failed run makes its command end with (CONTRACT.md).
    """

    result: ObjectId | None = None
    checkpoint: ObjectId | None = None
    branch: str | None = None
    outcome: Outcome | None = None
    wake_at: datetime | None = None
    waiting_for: str | None = None
    cancel_requested: bool = False
    merged: bool = False
    extra_time_s: float = 0.0
    extra_cost_usd: float = 0.0
    extra_tokens: int = 0
    extra_turns: int = 0
    exit_status: int | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()
    planning: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class RunMetadata:
    """What the `metadata` column of a run holds.

    `config` is the whole effective configuration as JSON text, frozen at the start (DESIGN.md section 7);
    `workflow_yaml` the bytes of the repository's workflow.yaml as text (surrogateescape), None without one;
    `trusted` tells that everything in `config` that would run was approved when the run was created.
    `prompts` are the repository's own templates of prompts by their kind, as they were then.
    """

    options: RunOptions
    origin: RunOrigin
    config: str
    trace_id: str
    workflow_yaml: str | None = None
    trusted: bool = False
    progress: RunProgress = field(default_factory=RunProgress)
    prompts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One task, from its start to its report."""

    id: RunId
    task: str
    status: RunStatus
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    metadata: RunMetadata


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a run's plan; `retries` counts attempts after the first that a verdict asked for."""

    run_id: RunId
    position: int
    plan: PlannedPhase
    status: PhaseStatus
    retries: int
    max_retries: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None

    @property
    def id(self) -> PhaseId:
        """Returns the phase's id, unique within its run."""
        return self.plan.id


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What the agent of a step said last, shortened for the prompts of later steps; `task` is its kind."""

    iteration: int
    task: str
    agent: str
    text: str


@dataclass(frozen=True, slots=True)
class Rounds:
    """Where an attempt stands in the rounds through its workflow.

    `iteration` is the round being worked on, from 1; `tree` what it began with; `reviewed` the tree after the
    last review; `suggested` are the claims that reviewers made in this round, by hash; `stopped` tells why
    there is no further one, once that is decided. `outputs` are those of this round and the one before.
    """

    iteration: int = 1
    tree: ObjectId | None = None
    reviewed: ObjectId | None = None
    suggested: tuple[str, ...] = ()
    stopped: str | None = None
    outputs: tuple[StepOutput, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecutionProgress:
    """How far an attempt has come; what `resume` needs to go on without repeating finished work.

    `steps_done` counts finished steps, over all rounds of the workflow; `checkpoint` keeps what the last
    one left; `tree` is the git tree in that checkpoint which the checks are run on; `checked` tells that
    they were, `over` and `broken` which thresholds they exceeded and which gave no answer; `changed`
    tells that the attempt left another tree than it found; `receipts` are (tree, check, environment,
    tests run) of checks that passed and need not run again on that tree; `process` is (pid, start time in
    clock ticks) of a supervised child while one runs. `agent` is who worked in the step that was begun
    last, `agent_session` its own session, by which an interrupted turn can go on; `ending` how that step
    ended and `cause` why, where it did not end well.
    `rounds` tells where it stands in the rounds through its workflow.
    """

    steps_done: int = 0
    checkpoint: ObjectId | None = None
    tree: ObjectId | None = None
    checked: bool = False
    indeterminate: bool = False
    unverified: bool = False
    over: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    changed: bool = False
    agent_failure: str | None = None
    agent: str = ""
    agent_session: str = ""
    ending: str = ""
    cause: str = ""
    process: tuple[int, int] | None = None
    usage: Usage = field(default_factory=Usage)
    receipts: tuple[tuple[str, str, str, int | None], ...] = ()
    rounds: Rounds = field(default_factory=Rounds)


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt of a phase; attempts are numbered from 1, interrupted ones included."""

    id: ExecutionId
    run_id: RunId
    phase_id: PhaseId
    attempt: int
    status: ExecutionStatus
    error: str | None
    created_at: datetime
    completed_at: datetime | None
    progress: ExecutionProgress
