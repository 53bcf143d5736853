"""Opens what a command needs of one repository: paths, configuration, trust, state, adapters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from orchestrator.agents import registry
from orchestrator.config.load import LoadedConfig, load
from orchestrator.config.schema import Config
from orchestrator.config.trust import (
    RunnableCommand,
    TrustStore,
    describe,
    repository_commands,
    trust_key,
    user_trust_directory,
)
from orchestrator.config.withheld import make_known
from orchestrator.discovery import Located
from orchestrator.engine.context import EngineContext
from orchestrator.engine.merging import settle_interrupted
from orchestrator.errors import NotTrusted
from orchestrator.fs.disk import Disk
from orchestrator.model.json import Json
from orchestrator.model.run import RunOptions
from orchestrator.paths import OrchestratorPaths
from orchestrator.ports import Agent
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.git import find_repository
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTrees
from orchestrator.state.layout import Layout, make_directories, require_ours
from orchestrator.state.manager import StateManager
from orchestrator.state.place import notice_place


@dataclass(frozen=True, slots=True)
class TrustView:
    """Whether what this repository supplies may run, and what that is."""

    trusted: bool
    key: str
    commands: tuple[RunnableCommand, ...]
    filters: tuple[str, ...]
    store: TrustStore

    def require(self) -> None:
        """Checks that nothing would run unapproved.

        Raises:
            NotTrusted: names each command.
        """
        if not self.trusted:
            raise NotTrusted(tuple(describe(command) for command in self.commands) + self.filters)


@dataclass(frozen=True, slots=True)
class Workspace:
    """One opened repository; `close` it, or use it as a context manager.

    `notices` are sentences that the command shows on stderr: what was settled, moved, copied, or hinted at.
    """

    located: Located
    paths: OrchestratorPaths
    disk: Disk
    layout: Layout
    loaded: LoadedConfig
    state: StateManager
    repository: Repository
    trust: TrustView
    context: EngineContext
    notices: tuple[str, ...]

    def close(self) -> None:
        """Closes the database."""
        self.state.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_workspace(
    start: str,
    *,
    environment: Mapping[str, str],
    flags: Mapping[str, Json] | None = None,
    trust_now: bool = False,
    writes: bool,
    redactor: Redactor | None = None,
) -> Workspace:
    """Returns the workspace of the repository at or above `start`.

    With `writes` a merge or undo that a crash interrupted is finished or reverted first; without, nothing is
    changed and the state is opened for reading, also on a read-only file system. `redactor` gets to know the
    secrets in the configuration and those of the caller's variables that agents are given; nothing is written
    that has not passed through it.

    Raises:
        Refused: no repository, not initialised, foreign, newer, invalid configuration.
        StateDamaged: the database cannot be read.
    """
    located = find_repository(start, environment)
    paths = OrchestratorPaths(Path(located.home))
    layout = require_ours(paths)
    loaded = load(
        repository=Path(located.checkout),
        state_root=Path(located.home),
        environment=environment,
        flags=flags or {},
    )
    redactor = make_known(loaded.config, redactor or Redactor())
    for name, value in registry.passed_secrets(environment):
        redactor.add(name, value)
    trust = view_trust(located, loaded, trust_now=trust_now)
    if writes:
        state = StateManager.open(paths, create=True, redactor=redactor)
    else:
        state = StateManager.open_read_only(paths)
    try:
        repository = Repository(located, trusted=trust.trusted)
        context = _context(located, paths, loaded.config, state, repository, environment, layout, redactor)
        notices = (*loaded.hints, *(_settle(context) if writes else ()))
    except BaseException:
        state.close()
        raise
    return Workspace(located, paths, context.disk, layout, loaded, state, repository, trust, context, notices)


def _context(
    located: Located,
    paths: OrchestratorPaths,
    config: Config,
    state: StateManager,
    repository: Repository,
    environment: Mapping[str, str],
    layout: Layout,
    redactor: Redactor,
) -> EngineContext:
    trees = IsolatedTrees(repository, _trees_root(paths, config))
    return EngineContext(
        paths=paths,
        located=located,
        disk=Disk(),
        state=state,
        repository=repository,
        trees=trees,
        checkpoints=Checkpoints(repository, paths, trees, redactor),
        agents=partial(configured_agent, redactor=redactor),
        environment=environment,
        repo_id=layout.repo_id,
        redactor=redactor,
        config=config,
    )


def _settle(context: EngineContext) -> tuple[str, ...]:
    """Finishes what a crash left of earlier commands, and says what came of it."""
    paths, disk = context.paths, context.disk
    make_directories(paths, disk)
    for directory in (paths.orchestrator_dir, paths.locks_dir, paths.checkpoints_dir):
        disk.sweep_temp(directory)
    moved = notice_place(paths, disk, context.repository.git_dir_identity)
    return (*moved, *settle_interrupted(context))


def view_trust(located: Located, loaded: LoadedConfig, *, trust_now: bool = False) -> TrustView:
    """Returns what the repository supplies that would run, and whether the user has approved exactly that."""
    cautious = Repository(located, trusted=False)
    filters = cautious.local_filters()
    supplied = repository_commands(loaded)
    key = trust_key(
        loaded,
        checkout_real_path=os.path.realpath(located.checkout),
        git_dir_identity=cautious.git_dir_identity,
        local_filters=filters,
    )
    store = TrustStore(user_trust_directory())
    trusted = trust_now or (not supplied and not filters) or store.is_trusted(key)
    return TrustView(trusted, key, supplied, filters, store)


def configured_agent(
    name: str | None,
    *,
    config: Config,
    options: RunOptions,
    model: str | None,
    redactor: Redactor | None = None,
) -> Agent:
    """Returns the agent of a step: the command typed, the one named, or the first one found on PATH."""
    if options.command is not None:
        agent: registry.AnyAgent = registry.command_agent(
            options.command, limits=config.limits, redactor=redactor
        )
    else:
        agent = registry.build(
            name or options.found_agent or registry.pick_default(),
            config.agents,
            model=model,
            limits=config.limits,
            redactor=redactor,
        )
    registry.require(agent)
    return agent


def _trees_root(paths: OrchestratorPaths, config: Config) -> Path:
    return Path(config.worktrees.root).expanduser() if config.worktrees.root else paths.worktrees_dir
