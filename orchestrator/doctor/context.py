"""What the checks look at, found out at most once each and without ever giving up as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from orchestrator.config.load import LoadedConfig, load
from orchestrator.config.trust import (
    RunnableCommand,
    TrustStore,
    repository_commands,
    trust_key,
    user_trust_directory,
)
from orchestrator.discovery import Located
from orchestrator.errors import OrchestratorError, Refused
from orchestrator.fs.probe import Holder, probe
from orchestrator.migrate.supplied import SuppliedFile, hashes, supplied_files
from orchestrator.model.ids import ObjectId, RunId
from orchestrator.model.run import Run
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.git import Git, find_repository
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTree, IsolatedTrees
from orchestrator.state.layout import Ownership, read_ownership
from orchestrator.state.manager import StateManager

T = TypeVar("T")


class Fact(Generic[T]):
    """Something found out on the first call and remembered, a failure as well."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._found: list[T] = []
        self._error: OrchestratorError | OSError | None = None

    def __call__(self) -> T:
        """Returns what was found; raises again what was raised the first time."""
        if self._error is not None:
            raise self._error
        if not self._found:
            try:
                self._found.append(self._look())
            except (OrchestratorError, OSError) as error:
                self._error = error
                raise
        return self._found[0]

    def peek(self) -> T | None:
        """Returns what was found, already or now; None where it cannot be found out."""
        try:
            return self()
        except (OrchestratorError, OSError):
            return None

    def forget(self) -> None:
        """Makes the next call look again."""
        self._found, self._error = [], None


class Context:
    """One repository as far as it can be read: each part is a `Fact`, and none needs the others to be sound.

    Nothing here writes, takes a lock that lasts, or runs anything of the repository. `close` it.
    """

    def __init__(self, start: str, environment: Mapping[str, str]) -> None:
        self.start = start
        self.environment = environment
        self.located: Fact[Located] = Fact(lambda: find_repository(start, environment))
        self.paths = Fact(lambda: OrchestratorPaths(Path(self.located().home)))
        self.ownership = Fact(lambda: read_ownership(str(self.paths().orchestrator_dir)))
        self.repository = Fact(lambda: Repository(self.located(), trusted=False))
        self.git: Fact[Git] = Fact(lambda: self.repository().git)
        self.refs: Fact[Mapping[str, ObjectId]] = Fact(lambda: self.repository().our_refs())
        self.loaded: Fact[LoadedConfig] = Fact(self._load)
        self.state: Fact[StateManager] = Fact(self._open_state)
        self.runs: Fact[dict[RunId, Run]] = Fact(lambda: {run.id: run for run in self.state().list_runs()})
        self.living: Fact[dict[RunId, Holder]] = Fact(self._living)
        self.trees: Fact[IsolatedTrees] = Fact(self._trees)
        self.standing: Fact[tuple[IsolatedTree, ...]] = Fact(lambda: self.trees().list())
        self.checkpoints = Fact(lambda: Checkpoints(self.repository(), self.paths(), self.trees()))

    def close(self) -> None:
        """Closes the state if it was opened."""
        for state in self.state._found:
            state.close()
        self.state.forget()

    def require_ours(self) -> OrchestratorPaths:
        """Returns the paths of an `.orchestrator/` that is ours.

        Raises:
            Refused: `not-initialised`; what else is wrong with it the check of its ownership says.
        """
        if self.ownership() is not Ownership.OURS:
            raise Refused("It is not initialised here.", code="not-initialised", hint="orchestrator init")
        return self.paths()

    def trust_store(self) -> TrustStore:
        """Returns the user's approvals."""
        return TrustStore(user_trust_directory())

    def commands(self) -> tuple[RunnableCommand, ...]:
        """Returns what the repository supplies that would run."""
        return repository_commands(self.loaded())

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
        )

    def is_trusted(self) -> bool:
        """Returns whether nothing would run, and no layout of the repository move anything, unapproved."""
        nothing = not self.commands() and not self.repository().local_filters() and not self.layouts()
        return nothing or self.trust_store().is_trusted(self.trust_key())

    def marker(self) -> str:
        """Returns what the markers of all processes of this repository begin with."""
        device, inode = self.repository().git_dir_identity
        return f"{device:x}-{inode:x}/"

    def run_locks(self) -> dict[RunId, str]:
        """Returns the paths of the locks that runs have ever had."""
        place = str(self.paths().locks_dir)
        found = {}
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            if name.startswith("run-") and name.endswith(".lock"):
                found[RunId(name[len("run-") : -len(".lock")])] = os.path.join(place, name)
        return found

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
        paths = self.require_ours()
        if not os.path.lexists(paths.state_file):
            raise Refused("No run has been started here.", code="state-missing", hint="orchestrator run")
        return StateManager.open_read_only(paths, copied=True)

    def _trees(self) -> IsolatedTrees:
        loaded = self.loaded.peek()
        root = loaded.config.worktrees.root if loaded is not None else None
        place = Path(root).expanduser() if root else self.paths().worktrees_dir
        return IsolatedTrees(self.repository(), place)


def orchestrator_entries(context: Context) -> list[str]:
    """Returns the names directly under `.orchestrator/`; none where it is no directory."""
    place = str(context.paths().orchestrator_dir)
    if os.path.islink(place) or not os.path.isdir(place):
        return []
    return sorted(os.listdir(place))


def run_of_ref(name: str) -> tuple[str, RunId]:
    """Returns which kind of ref of ours a full name is (its prefix, or empty) and the run it belongs to."""
    for prefix in (names.RUN_REFS, names.RESULT_REFS, names.BASE_REFS, names.BRANCHES):
        if name.startswith(prefix):
            return prefix, RunId(name.removeprefix(prefix))
    return "", RunId(name.rpartition("/")[2])
