"""What the checks look at, found out at most once each and without ever giving up as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.config.load import LoadedConfig, load
from orchestrator.config.prompts import SuppliedPrompt, supplied_prompts
from orchestrator.config.trust import (
    RunnableCommand,
    TrustStore,
    repository_commands,
    trust_key,
    user_trust_directory,
)
from orchestrator.doctor import earlier
from orchestrator.doctor.fact import Fact
from orchestrator.doctor.surface import EarlierState, Interrupted, Surface
from orchestrator.errors import OrchestratorError
from orchestrator.fs.disk import Disk
from orchestrator.fs.probe import Holder, probe
from orchestrator.migrate.record import OPEN, records
from orchestrator.migrate.supplied import SuppliedFile, hashes, supplied_files
from orchestrator.model.ids import RunId
from orchestrator.model.run import Run
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.git import Git
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTree, IsolatedTrees
from orchestrator.sessions.choosing import StateTree, Wish, choose, state_trees, web_mode
from orchestrator.sessions.environment import WebMode, detect
from orchestrator.sessions.identity import look_here
from orchestrator.state.manager import StateManager


class Context(Surface):
    """One repository as far as it can be read: each part is a `Fact`, and none needs the others to be sound.

    Nothing here writes, takes a lock that lasts, or runs anything of the repository. `close` it.
    """

    def __init__(self, start: str, environment: Mapping[str, str]) -> None:
        super().__init__(start, environment)
        self.root = Fact(lambda: OrchestratorPaths(Path(self.located().home)))
        self.web: Fact[WebMode] = Fact(self._web)
        self.state_trees: Fact[tuple[StateTree, ...]] = Fact(lambda: state_trees(self.root()))
        self.paths: Fact[OrchestratorPaths] = Fact(self._paths)
        self.repository = Fact(lambda: Repository(self.located(), trusted=False))
        self.git: Fact[Git] = Fact(lambda: self.repository().git)
        self.loaded: Fact[LoadedConfig] = Fact(self._load)
        self.state: Fact[StateManager] = Fact(self._open_state)
        self.runs: Fact[dict[RunId, Run]] = Fact(lambda: {run.id: run for run in self.state().list_runs()})
        self.elsewhere: Fact[frozenset[RunId]] = Fact(self._elsewhere)
        self.living: Fact[dict[RunId, Holder]] = Fact(self._living)
        self.trees: Fact[IsolatedTrees] = Fact(self._trees)
        self.standing: Fact[tuple[IsolatedTree, ...]] = Fact(lambda: self.trees().list())
        self.checkpoints = Fact(lambda: Checkpoints(self.repository(), self.paths(), self.trees()))

    def close(self) -> None:
        """Closes the state if it was opened."""
        for state in self.state.known():
            state.close()
        self.state.forget()

    def require_ours(self) -> OrchestratorPaths:
        """Returns the paths of an `.orchestrator/` that is ours; raises as `insist_ours`."""
        self.insist_ours()
        return self.paths()

    def trust_store(self) -> TrustStore:
        """Returns the user's approvals."""
        return TrustStore(user_trust_directory())

    def commands(self) -> tuple[RunnableCommand, ...]:
        """Returns what the repository supplies that would run."""
        return (*repository_commands(self.loaded()), *(prompt.told() for prompt in self.prompts()))

    def prompts(self) -> tuple[SuppliedPrompt, ...]:
        """Returns the templates of prompts that the repository supplies."""
        located = self.located()
        return supplied_prompts(Path(located.checkout), Path(located.home))

    def layouts(self) -> tuple[SuppliedFile, ...]:
        """Returns the files in which the repository describes layouts for `migrate`."""
        return supplied_files(self.paths().orchestrator_dir)

    def trust_key(self) -> str:
        """Returns the key under which that would be approved."""
        return trust_key(
            self.loaded(),
            checkout_real_path=os.path.realpath(self.located().checkout),
            git_dir_identity=self.repository().git_dir_identity,
            local_filters=self.repository().local_filters(),
            layouts=hashes(self.layouts()),
            prompts=tuple((prompt.name, prompt.sha256) for prompt in self.prompts()),
        )

    def is_trusted(self) -> bool:
        """Returns whether nothing would run, and no layout of the repository move anything, unapproved."""
        nothing = not self.commands() and not self.repository().local_filters() and not self.layouts()
        return nothing or self.trust_store().is_trusted(self.trust_key())

    def marker(self) -> str:
        """Returns what the markers of all processes of this repository begin with."""
        device, inode = self.repository().git_dir_identity
        return f"{device:x}-{inode:x}/"

    def other_states(self) -> Iterator[StateManager]:
        """Yields the states of the other sessions, as copies to read; what cannot be read is left out."""
        for tree in self.state_trees():
            if tree.paths.state_file == self.paths().state_file:
                continue
            try:
                state = StateManager.open_read_only(tree.paths, copied=True)
            except OrchestratorError:
                continue
            with state:
                yield state

    def state_dir(self) -> str:
        """Returns the directory of the state that a command reading here would use."""
        return str(self.paths().state_dir)

    def session(self) -> str | None:
        """Returns the id of the session in use, None outside of any."""
        return self.paths().session_id

    def web_mode(self) -> WebMode:
        """Returns what holds of web mode here."""
        return self.web()

    def known_elsewhere(self) -> frozenset[RunId]:
        """Returns the runs that other sessions know."""
        return self.elsewhere()

    def _paths(self) -> OrchestratorPaths:
        """Returns the paths of the state that a command reading here would use."""
        web = self.web()
        here = look_here(web.environment, self.repository().git_dir_identity)
        return choose(self.root(), web, here, Wish(), Disk()).paths

    def _web(self) -> WebMode:
        loaded = self.loaded.peek()
        detected = detect(self.environment)
        return web_mode(detected, loaded.config) if loaded is not None else WebMode(detected, "auto")

    def _elsewhere(self) -> frozenset[RunId]:
        """Returns the runs that other sessions know."""
        return frozenset(run.id for state in self.other_states() for run in state.list_runs())

    def _living(self) -> dict[RunId, Holder]:
        found = {}
        for run_id, path in self.run_locks().items():
            try:
                holder = probe(path)
            except OrchestratorError:
                continue  # the check of the locks says what stands there
            if holder is not None:
                found[run_id] = holder
        return found

    def _load(self) -> LoadedConfig:
        located = self.located()
        return load(
            repository=Path(located.checkout), state_root=Path(located.home), environment=self.environment
        )

    def _open_state(self) -> StateManager:
        self.existing_state()
        return StateManager.open_read_only(self.paths(), copied=True)

    def _run_count(self) -> int:
        return len(self.state().list_runs())

    def _earlier_state(self) -> EarlierState:
        return earlier.state(self.located(), self.environment)

    def _is_earlier(self) -> bool:
        return earlier.is_inside(self.located())

    def _interrupted_migration(self) -> Interrupted | None:
        record = next((one for one in records(self.paths().base_dir) if one.state in OPEN), None)
        if record is None:
            return None
        moves = tuple(f"{step.source} -> {step.target}" for step in record.plan.steps)
        return Interrupted(record.plan.id, record.state, moves)

    def _trees(self) -> IsolatedTrees:
        loaded = self.loaded.peek()
        root = loaded.config.worktrees.root if loaded is not None else None
        place = Path(root).expanduser() if root else self.paths().worktrees_dir
        return IsolatedTrees(self.repository(), place)


def run_of_ref(name: str) -> tuple[str, RunId]:
    """Returns which kind of ref of ours a full name is (its prefix, or empty) and the run it belongs to."""
    for prefix in (names.RUN_REFS, names.RESULT_REFS, names.BASE_REFS, names.BRANCHES):
        if name.startswith(prefix):
            return prefix, RunId(name.removeprefix(prefix))
    return "", RunId(name.rpartition("/")[2])
