"""Opens what a command needs of one repository: paths, configuration, trust, state, adapters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType

from orchestrator.agents import pricing, registry
from orchestrator.config.load import LoadedConfig, load
from orchestrator.config.prompts import SuppliedPrompt, supplied_prompts
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
from orchestrator.errors import NotTrusted, OrchestratorError
from orchestrator.fs.disk import Disk
from orchestrator.migrate.supplied import SuppliedFile, hashes, supplied_files
from orchestrator.model.json import Json
from orchestrator.model.run import RunOptions, Usage
from orchestrator.paths import OrchestratorPaths
from orchestrator.ports import Agent
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.git import find_repository
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTrees
from orchestrator.secretstore.lookup import Prompt, Source
from orchestrator.secretstore.places import global_store, outside_sources, repository_store, stored_sources
from orchestrator.secretstore.resolving import OnResolved, resolve
from orchestrator.secretstore.sealing import Sealer
from orchestrator.secretstore.store import Store
from orchestrator.sessions import environment as environments
from orchestrator.sessions import identity
from orchestrator.sessions.choosing import StateTree, Wish, choose, web_mode
from orchestrator.sessions.environment import WebMode
from orchestrator.state.layout import make_directories, require_ours
from orchestrator.state.manager import StateManager
from orchestrator.state.ownership import Layout
from orchestrator.state.place import notice_place


@dataclass(frozen=True, slots=True)
class TrustView:
    """Whether what this repository supplies may run, and what that is.

    `layouts` say what `migrate` moves: they start nothing, so that `trusted` does not ask for them where
    nothing else is supplied; `approved` does.
    """

    trusted: bool
    approved: bool
    key: str
    commands: tuple[RunnableCommand, ...]
    layouts: tuple[RunnableCommand, ...]
    filters: tuple[str, ...]
    store: TrustStore
    prompts: tuple[SuppliedPrompt, ...] = ()

    @property
    def supplied(self) -> tuple[RunnableCommand, ...]:
        """Returns everything that an approval covers and a person can read, in order."""
        return (*self.commands, *self.layouts)

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

    `tree` is the state tree in use and the session it belongs to, `web` what holds of web mode here.
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
    web: WebMode
    tree: StateTree

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
    ask_secret: Callable[[str], str] | None = None,
    writes: bool,
    run_id: str | None = None,
    begins: bool = False,
    redactor: Redactor | None = None,
) -> Workspace:
    """Returns the workspace of the repository at or above `start`.

    With `writes` a merge or undo that a crash interrupted is finished or reverted first; without, nothing is
    changed and the state is opened for reading, also on a read-only file system. Where sessions keep states
    of their own, it is that of this boot, or the one that knows `run_id`; `begins` (a run) may make one.
    `ask_secret` asks a person for a secret by name. `redactor` gets to know every secret: those of the
    configuration and of the caller's variables that agents are given at once, any other when it is resolved;
    nothing is written that has not passed through it.

    Raises:
        Refused: no repository, not initialised, foreign, newer, invalid configuration.
        StateDamaged: the database cannot be read.
    """
    located = find_repository(start, environment)
    root = OrchestratorPaths(Path(located.home))
    layout = require_ours(root)
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
    web = web_mode(environments.detect(environment), loaded.config)
    repository = Repository(located, trusted=trust.trusted)
    here = identity.look_here(web.environment, repository.git_dir_identity)
    tree = choose(root, web, here, Wish(run_id, writes, begins), Disk())
    state = _open_state(tree, writes=writes, redactor=redactor)
    try:
        secrets = SecretPlaces(root, layout.repo_id, environment, Prompt(ask_secret), redactor.add)
        context = _context(
            located, tree, web, loaded.config, state, repository, environment, layout, secrets, redactor
        )
        notices = (*loaded.hints, *(_settle(context) if writes else ()))
    except BaseException:
        state.close()
        raise
    return Workspace(
        located,
        tree.paths,
        context.disk,
        layout,
        loaded,
        state,
        repository,
        trust,
        context,
        notices,
        web,
        tree,
    )


def _open_state(tree: StateTree, *, writes: bool, redactor: Redactor) -> StateManager:
    if writes:
        return StateManager.open(tree.paths, create=True, redactor=redactor)
    return StateManager.open_read_only(tree.paths)


def open_beside(workspace: Workspace, tree: StateTree) -> Workspace:
    """Returns a workspace on another state of the same repository, open for writing; the caller closes it.

    Raises:
        StateDamaged: that state cannot be read.
    """
    before, paths = workspace.context, tree.paths
    state = StateManager.open(paths, create=True, redactor=before.redactor)
    trees = IsolatedTrees(workspace.repository, _trees_root(paths, workspace.loaded.config))
    context = replace(
        before,
        paths=paths,
        state=state,
        trees=trees,
        checkpoints=Checkpoints(workspace.repository, paths, trees, before.redactor),
        session_id=tree.session.id if tree.session is not None and workspace.web.trailers else None,
    )
    return replace(workspace, paths=tree.paths, state=state, context=context, notices=(), tree=tree)


def _context(
    located: Located,
    tree: StateTree,
    web: WebMode,
    config: Config,
    state: StateManager,
    repository: Repository,
    environment: Mapping[str, str],
    layout: Layout,
    secrets: SecretPlaces,
    redactor: Redactor,
) -> EngineContext:
    paths = tree.paths
    trees = IsolatedTrees(repository, _trees_root(paths, config))
    return EngineContext(
        paths=paths,
        located=located,
        disk=Disk(),
        state=state,
        repository=repository,
        trees=trees,
        checkpoints=Checkpoints(repository, paths, trees, redactor),
        agents=partial(configured_agent, redactor=redactor, paths=paths),
        secrets=secrets,
        sealer=Sealer(lambda: secret_stores(paths, layout.repo_id, config)[0], environment, Disk()),
        environment=environment,
        price=partial(price_of, config),
        repo_id=layout.repo_id,
        redactor=redactor,
        config=config,
        session_id=tree.session.id if tree.session is not None and web.trailers else None,
    )


def _settle(context: EngineContext) -> tuple[str, ...]:
    """Finishes what a crash left of earlier commands, and says what came of it."""
    paths, disk = context.paths, context.disk
    make_directories(paths, disk)
    own = (paths.state_dir, paths.run_locks_dir, paths.checkpoints_dir)
    for directory in dict.fromkeys((paths.orchestrator_dir, paths.locks_dir, *own)):
        disk.sweep_temp(directory)
    moved = notice_place(paths, disk, context.repository.git_dir_identity)
    return (*moved, *settle_interrupted(context))


def view_trust(
    located: Located,
    loaded: LoadedConfig,
    *,
    trust_now: bool = False,
    layouts: Sequence[SuppliedFile] | None = None,
) -> TrustView:
    """Returns what the repository supplies that would run, and whether the user has approved exactly that.

    `layouts` are its files of layouts as a caller has read them, who wants to use what was approved.
    """
    files = supplied_files(Path(located.orchestrator_dir)) if layouts is None else layouts
    cautious = Repository(located, trusted=False)
    filters = cautious.local_filters()
    prompts = supplied_prompts(Path(located.checkout), Path(located.home))
    supplied = (*repository_commands(loaded), *(prompt.told() for prompt in prompts))
    key = trust_key(
        loaded,
        checkout_real_path=os.path.realpath(located.checkout),
        git_dir_identity=cautious.git_dir_identity,
        local_filters=filters,
        layouts=hashes(files),
        prompts=tuple((prompt.name, prompt.sha256) for prompt in prompts),
    )
    store = TrustStore(user_trust_directory())
    nothing = not supplied and not filters
    known = trust_now or (nothing and not files) or store.is_trusted(key)
    return TrustView(
        trusted=known or nothing,
        approved=known,
        key=key,
        commands=supplied,
        layouts=tuple(RunnableCommand(one.name, (), one.told()) for one in files),
        filters=filters,
        store=store,
        prompts=prompts,
    )


@dataclass(frozen=True, slots=True)
class SecretPlaces:
    """Where the secrets of a run are looked for; implements `engine.context.SecretLookup`.

    `on_resolved` hears of every value before it goes anywhere. Commands of the configuration are asked,
    because whoever works on a run has made sure that it is trusted.
    """

    paths: OrchestratorPaths
    repo_id: str
    environment: Mapping[str, str] = field(repr=False)
    prompt: Prompt
    on_resolved: OnResolved

    def __call__(
        self,
        names: tuple[str, ...],
        *,
        config: Config,
        overrides: Mapping[str, str],
        passed: tuple[str, ...],
    ) -> dict[str, str]:
        """Returns the value of every name; raises what `resolve` raises."""
        for name in passed:
            if self.environment.get(name):
                self.on_resolved(name, self.environment[name])
        if not names:
            return {}
        stores = secret_stores(self.paths, self.repo_id, config)
        sources = (
            *stored_sources(self.environment, overrides, stores),
            *outside_places(self.environment, config, trusted=True),
            self.prompt,
        )
        return resolve(names, sources, self.on_resolved)


def make_stored_known(workspace: Workspace, config: Config) -> None:
    """Makes known the secrets that a configuration lists, as far as stores and variables hold them.

    For commands that show what agents made: nobody is asked, no program is started, and what cannot be read
    stays unknown.
    """
    listed = {name for agent in config.agents.values() for name in agent.secrets}
    listed |= {name for flow in config.workflows.values() for step in flow.steps for name in step.secrets}
    for name in sorted(listed):
        with suppress(OrchestratorError):
            stores = secret_stores(workspace.paths, workspace.layout.repo_id, config)
            sources = stored_sources(workspace.context.environment, None, stores)
            resolve((name,), sources, workspace.context.redactor.add)


def secret_stores(paths: OrchestratorPaths, repo_id: str, config: Config) -> tuple[Store, Store]:
    """Returns the store of the repository and the user's own, in the order in which they are looked at."""
    disk, committed = Disk(), config.secrets.mode == "committed"
    return repository_store(paths, repo_id, committed=committed, disk=disk), global_store(disk)


def outside_places(environment: Mapping[str, str], config: Config, *, trusted: bool) -> tuple[Source, ...]:
    """Returns what is looked at after the stores, as the configuration says."""
    providers = [(each.run, each.names, each.variables) for each in config.secrets.providers]
    web = web_mode(environments.detect(environment), config)
    return outside_sources(environment, providers, web_mode=web.no_keyring, trusted=trusted)


def configured_agent(
    name: str | None,
    *,
    config: Config,
    options: RunOptions,
    model: str | None,
    redactor: Redactor | None = None,
    paths: OrchestratorPaths | None = None,
) -> Agent:
    """Returns the agent of a step: the command typed, the one named, or the first one found on PATH.

    With `paths` answers of models without tools are kept, and `max_parallel` holds.
    """
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
            reach=_reach(config, options, paths),
        )
    given = {
        name for workflow in config.workflows.values() for step in workflow.steps for name in step.secrets
    }
    registry.require(agent, given)
    return agent


def _reach(config: Config, options: RunOptions, paths: OrchestratorPaths | None) -> registry.Reach:
    if paths is None:
        return registry.Reach(config)
    cache_dir = "" if options.no_cache else os.path.abspath(paths.index_dir / "answers")
    return registry.Reach(config, cache_dir, paths.locks_dir)


def price_of(config: Config, usage: Usage, model: str) -> float | None:
    """Returns US dollars for what a model used: as `models` says of it, else as is known elsewhere."""
    known = next((each for each in config.models.values() if each.name == model), None)
    if known is None:
        return pricing.price(usage, model)
    prices = pricing.Prices(known.input_usd_per_mtok, known.output_usd_per_mtok)
    return pricing.price(usage, model, known.provider, prices)


def _trees_root(paths: OrchestratorPaths, config: Config) -> Path:
    return Path(config.worktrees.root).expanduser() if config.worktrees.root else paths.worktrees_dir
