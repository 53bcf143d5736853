"""Declares every key of `workflow.yaml` with type, default and description; agents and workflows beside it.

Keys of parts to come are declared too, so that their names stay; `later` marks them, and
`orchestrator.config.available` refuses them with any value but their default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestrator.config.agent_schema import Agent, Model, Roles, Tool
from orchestrator.config.section import (
    KINDS,
    NAME,
    PRESETS,
    SECRET_NAME,
    UNLISTED,
    YEAR_S,
    Amount,
    Approve,
    Argv,
    Count,
    Money,
    Name,
    Pattern,
    Seconds,
    SecretName,
    Section,
    Text,
    VariableName,
    later,
)
from orchestrator.config.workflow_schema import Step, Workflow

__all__ = [
    "KINDS",
    "NAME",
    "PRESETS",
    "SECRET_NAME",
    "UNLISTED",
    "Agent",
    "Artifacts",
    "Budget",
    "Check",
    "Config",
    "Execution",
    "Git",
    "Limits",
    "Logging",
    "Migration",
    "Model",
    "Provider",
    "Retrieval",
    "Roles",
    "Secrets",
    "Session",
    "Step",
    "Thresholds",
    "Tool",
    "Verify",
    "Web",
    "Workflow",
    "Worktrees",
]


class Worktrees(Section):
    """The isolated trees in which agents work."""

    root: Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")] | None = Field(
        None, description="Directory for the trees; null: inside `.orchestrator/`."
    )
    setup: tuple[Argv, ...] = Field(
        (), description="Commands that make a fresh tree ready, such as installing dependencies."
    )
    bring: tuple[Pattern, ...] = Field(
        (),
        description="Patterns of ignored files copied into each tree, such as `.env`; never checkpointed.",
    )
    checkpoint_include: tuple[Pattern, ...] = Field(
        (), description="Patterns of ignored files that count as work and are checkpointed."
    )

    @model_validator(mode="after")
    def _stays_inside(self) -> Worktrees:
        for pattern in (*self.bring, *self.checkpoint_include):
            parts = pattern.replace("\\", "/").split("/")
            if parts[0] in ("", "~") or ".." in parts or ".git" in parts or ":" in parts[0]:
                raise ValueError(f"the pattern {pattern!r} leads out of the tree or into its .git")
        return self


class Check(Section):
    """One command that verifies a tree."""

    run: Argv = Field(
        description="The words of the command, started without a shell; `{report}` becomes a fresh path."
    )
    report: Literal["junit"] | None = Field(
        None, description="Format of the file that the command writes to `{report}`."
    )
    parse: Literal["ruff", "lines"] | None = Field(
        None,
        description="Format of its output: `ruff` (JSON) or `lines` (`file:line:col: message`); "
        "null: lines of that form are looked for.",
    )

    @model_validator(mode="after")
    def _report_is_written(self) -> Check:
        if not self.run[0]:
            raise ValueError("the first word of `run` names the program and cannot be empty")
        if self.report and not any("{report}" in word for word in self.run):
            raise ValueError("`report` needs `{report}` in `run`, the path to which the command writes it")
        return self


class Verify(Section):
    """The checks that decide; detected by `orchestrator init`."""

    where: Literal["clean", "worktree"] = Field(
        "clean", description="Whether checks run in a clean tree of their own or where the agent worked."
    )
    build: tuple[Check, ...] = Field((), description="Commands that build; a failure is major.")
    test: tuple[Check, ...] = Field((), description="Commands that test; a failure is major.")
    lint: tuple[Check, ...] = Field((), description="Commands that lint; a finding is medium.")
    security: tuple[Check, ...] = Field(
        (), description="Commands that look for weaknesses; a finding is major."
    )
    custom: tuple[Check, ...] = Field((), description="Any other commands; a failure is major.")


class Thresholds(Section):
    """How many findings are too many."""

    max_major: Count | None = Field(0, description="Major findings allowed; null: any number.")
    max_medium: Count | None = Field(5, description="Medium findings allowed; null: any number.")
    max_minor: Count | None = Field(None, description="Minor findings allowed; null: any number.")
    on_medium: Literal["warn", "fail"] = Field(
        "warn", description="What too many medium findings do: `warn` or `fail`."
    )
    scope: Literal["new", "all"] = Field(
        "new", description="Which findings count: those the base does not have, or all."
    )


class Execution(Section):
    """How attempts are made."""

    max_retries: Annotated[int, Field(ge=0, le=100)] = Field(
        2, description="Further attempts at a phase whose gates are not met."
    )
    timeout_s: Seconds = Field(3600.0, description="Seconds after which an agent's turn or a check is ended.")
    idle_timeout_s: Seconds = Field(
        600.0, description="Seconds without any output after which an agent's turn is ended."
    )
    max_parallel: Amount = later(2, "Phases worked on at the same time at most.")
    stuck_after_s: Seconds = Field(
        900.0,
        description="Seconds without progress (no change of a file, nothing new said or done) after which an "
        "agent's turn is ended. It is tried once more in a fresh session; then a person is asked.",
    )
    retry_backoff_s: Annotated[float, Field(ge=0, le=YEAR_S, allow_inf_nan=False)] = Field(
        5.0, description="Seconds before the first retry; doubled for each further one."
    )


class Limits(Section):
    """What the processes of an agent or check may use."""

    memory_mb: Amount | None = Field(None, description="Megabytes of memory per process; null: no limit.")
    cpu_s: Amount | None = Field(None, description="Seconds of processor time per process; null: no limit.")
    processes: Amount | None = Field(None, description="Processes at the same time; null: no limit.")
    disk_mb: Amount | None = Field(None, description="Megabytes per written file; null: no limit.")


class Budget(Section):
    """What a run may cost."""

    max_cost_usd: Money | None = Field(None, description="US dollars at most; null: no limit.")
    max_tokens: Amount | None = Field(
        None, description="Tokens at most, those read and those written; null: no limit."
    )
    max_turns: Amount | None = Field(
        None,
        description="Turns of models at most (uses of tools, where an agent does not count them); "
        "null: no limit.",
    )
    allowed_hours: str | None = later(None, "Hours of the day in which work is done.")


class Git(Section):
    """What becomes of a result."""

    integrate: Literal["none", "branch", "merge"] = Field(
        "branch",
        description="`none`: checkpoints only; `branch`: `orchestrator/<run>`; `merge`: into your branch.",
    )
    commit_trailers: bool = Field(
        True, description="Whether commits of results name run and phase in trailers."
    )


class Artifacts(Section):
    """What is kept of a run's transcripts, outputs and reports."""

    keep_days: Amount | None = later(90, "Days after which they are removed.")
    compress: bool = later(True, "Whether they are compressed.")
    encrypt: bool = Field(
        False,
        description="Whether they are encrypted, once whole, to those who can read the repository's secrets.",
    )


class Logging(Section):
    """The log file."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged."
    )
    format: Literal["text", "json"] = Field("text", description="The form of a line.")
    rotate_mb: Annotated[int, Field(ge=1, le=10_000)] = Field(
        10, description="Megabytes after which a new file is begun."
    )
    keep: Annotated[int, Field(ge=0, le=1000)] = Field(5, description="Earlier files kept.")


class Provider(Section):
    """A command that prints the value of a secret, such as that of a password manager."""

    run: Argv = Field(
        description="The words of the command, started without a shell; `{name}` becomes the secret's name."
    )
    names: tuple[SecretName, ...] = Field(
        (), description="The secrets that it is asked for; none: every one."
    )
    variables: tuple[VariableName, ...] = Field(
        (), description="Variables of yours that it receives beside the usual few."
    )

    @model_validator(mode="after")
    def _tells_secrets_apart(self) -> Provider:
        if not self.run[0]:
            raise ValueError("the first word of `run` names the program and cannot be empty")
        if not self.names and not any("{name}" in word for word in self.run):
            raise ValueError("`run` needs `{name}`, or `names` the secrets that the command is for")
        if any(name.startswith("ORCHESTRATOR_") for name in self.variables):
            raise ValueError("variables of orchestrator itself are given to no command")
        return self


class Secrets(Section):
    """Where keys for agents are kept."""

    mode: Literal["local", "committed"] = Field(
        "local", description="Whether git ignores the encrypted files (`local`) or may commit them."
    )
    max_age_days: Amount | None = Field(
        None, description="Days after which `doctor` says that a secret should be replaced; null: never."
    )
    providers: tuple[Provider, ...] = Field(
        (), description="Commands that are asked, in this order, for what no store holds."
    )


class Session(Section):
    """Machines that do not last: what a run needs to go on elsewhere is saved at a remote."""

    persist_every_s: Seconds = Field(
        120.0, description="Seconds after which the tree of a working agent is saved, again and again."
    )
    push: bool = Field(
        default=False,
        description="Whether this project wants state saved at its remote. Nothing is pushed before you "
        "agreed to the exact address with `orchestrator init --push-state`; until then a run says so.",
    )
    remote: Text | None = Field(
        None, description="The remote, by name, or its address; `origin` where none is named."
    )
    transports: tuple[Literal["ref", "branch", "working-branch"], ...] = Field(
        ("ref", "branch"),
        description="Ways of pushing, in the order in which they are tried: refs of our own, branches "
        "`orchestrator/state/…`, or (only where it is named here) a commit on the branch you work on, which "
        "is taken out again when the result is merged.",
    )
    directory: Text | None = Field(
        None,
        description="A directory into which a bundle of the run is written where no remote takes it, such as "
        "one that is kept as an artifact.",
    )
    max_push_bytes: Amount = Field(
        209_715_200, description="Bytes that are pushed of a run at most, before compression."
    )
    max_bytes: Amount = Field(
        209_715_200,
        description="Bytes on the disk at which `prune` begins to make room, all sessions together.",
    )
    max_session_bytes: Amount = Field(
        104_857_600, description="Bytes on the disk at which `prune` begins to make room in one session."
    )
    max_age_days: Amount = Field(30, description="Days after which `prune` archives an ended run.")
    max_runs: Amount = Field(500, description="Ended runs kept at most; `prune` archives older ones.")


Switch = Literal["auto", True, False]


class Web(Section):
    """What follows from web mode, each by itself; `auto` follows `web_mode`."""

    sessions: Switch = Field(
        "auto", description="Whether each session keeps a state of its own under `sessions/`."
    )
    no_input: Switch = Field("auto", description="Whether nobody is asked, as with `--no-input`.")
    no_keyring: Switch = Field(
        "auto", description="Whether the keyring of the operating system is left alone."
    )
    links: Switch = Field("auto", description="Whether links of the port forwarding domain are shown.")
    trailers: Switch = Field(
        "auto", description="Whether commits of results name their session (with `git.commit_trailers`)."
    )
    prune: Switch = Field("auto", description="Whether a run that ends makes room, as `prune` does.")


class Migration(Section):
    """What happens when files of an earlier tool are found."""

    auto: Literal["prompt", "safe", "off"] = Field(
        default="prompt",
        description="What the first command that writes does: `prompt` asks on a terminal, `safe` moves "
        "unasked where nothing speaks against it and says how to take it back, `off` does neither.",
    )


class Retrieval(Section):
    """What planners are told about the repository."""

    kinds: tuple[str, ...] = later(("source",), "What is searched.")
    budget_tokens: Amount = later(8000, "Tokens of context at most.")
    embedder: str | None = later(None, "The model that makes vectors.")
    store: str | None = later(None, "Where vectors are kept.")


class Config(Section):
    """The whole file."""

    version: Literal[1] = Field(1, description="The version of the file's format.")
    required_version: Text = Field(
        "",
        alias="required-version",
        description="The versions of orchestrator that fit, such as `>=0.1,<1`; checked before all else.",
    )
    include: tuple[dict[str, str], ...] = later((), "Files whose settings are taken over.")
    models: dict[Name, Model] = Field(
        default_factory=dict, description="Language models for agents of kind llm, by a name of yours."
    )
    agents: dict[Name, Agent] = Field(
        default_factory=dict, description="Agents by name; presets work without being listed."
    )
    roles: Roles = Field(default_factory=Roles, description="Agents for steps that name none.")
    tools: dict[Name, Tool] = Field(
        default_factory=dict,
        description="Tools for agents of kind llm. They have `read`, `search`, `edit_file`, `write` and "
        "`run` anyway; under one of these names only `permission` can be set.",
    )
    workflows: dict[Name, Workflow] = Field(
        default_factory=dict,
        description="Workflows by name: a list of steps, or a mapping with `steps` and settings. "
        "`default` is used when none is named.",
    )
    worktrees: Worktrees = Field(
        default_factory=Worktrees, description="The isolated trees in which agents work."
    )
    verify: Verify = Field(default_factory=Verify, description="The checks that decide.")
    thresholds: Thresholds = Field(default_factory=Thresholds, description="How many findings are too many.")
    execution: Execution = Field(default_factory=Execution, description="How attempts are made.")
    limits: Limits = Field(default_factory=Limits, description="What processes may use.")
    budget: Budget = Field(default_factory=Budget, description="What a run may cost.")
    approve: Approve = later("never", "What a person must approve.")
    git: Git = Field(default_factory=Git, description="What becomes of a result.")
    artifacts: Artifacts = Field(default_factory=Artifacts, description="What is kept of a run.")
    logging: Logging = Field(default_factory=Logging, description="The log file.")
    secrets: Secrets = Field(default_factory=Secrets, description="The secret store.")
    session: Session = Field(default_factory=Session, description="Machines that do not last.")
    web_mode: Switch = Field(
        "auto",
        description="Whether this is a machine that does not last: `auto` looks at the environment. "
        "What follows is set under `web`.",
    )
    web: Web = Field(default_factory=Web, description="What follows from web mode.")
    migration: Migration = Field(
        default_factory=Migration, description="What happens when files of an earlier tool are found."
    )
    retrieval: Retrieval = Field(
        default_factory=Retrieval, description="What planners are told about the repository."
    )
    enforced: tuple[str, ...] = Field(
        (),
        description="Keys that later layers may not override; honoured in the system's and your file only.",
    )
