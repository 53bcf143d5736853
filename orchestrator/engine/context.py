"""What the engine works with: adapters and rooms chosen by the workspace, handed in once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.config.schema import Config
from orchestrator.discovery import Located
from orchestrator.engine.persistence import PersistReason, persists_nothing
from orchestrator.fs.disk import Disk
from orchestrator.model.run import RunOptions, Usage
from orchestrator.paths import OrchestratorPaths
from orchestrator.ports import Agent
from orchestrator.redaction.redactor import Redactor
from orchestrator.repo.checkpoint import Checkpoints
from orchestrator.repo.repository import Repository
from orchestrator.repo.trees import IsolatedTrees
from orchestrator.secretstore.sealing import Sealer
from orchestrator.state.manager import StateManager


class AgentFactory(Protocol):
    """Makes agents, of which the engine knows none. Implementation: `workspace.configured_agent`."""

    def __call__(self, name: str | None, *, config: Config, options: RunOptions, model: str | None) -> Agent:
        """Returns the agent of a step by its name; None stands for the first one found on PATH.

        Raises:
            Refused: unknown, or not installed.
        """
        ...


def priced_by_nobody(usage: Usage, model: str) -> None:
    """Returns None: no price is known."""


class SecretLookup(Protocol):
    """Finds the values of secrets. Implementation: `workspace.SecretPlaces`."""

    def __call__(
        self,
        names: tuple[str, ...],
        *,
        config: Config,
        overrides: Mapping[str, str],
        passed: tuple[str, ...],
    ) -> dict[str, str]:
        """Returns the value of every name; `overrides` go before all other places.

        `passed` are variables of the caller's with keys that the agent takes by itself: they are told to
        whoever hides values, and not returned.

        Raises:
            CredentialMissing: a value is in none of the places, or cannot be read.
            Refused: a value cannot be handed to a program; a store that others could read.
        """
        ...


@dataclass(frozen=True, slots=True)
class EngineContext:
    """Everything a run touches. `repo_id` is that of layout.json; `environment` the caller's variables.

    `session_id` is the session that commits of results name; None: they name none.
    `redactor` takes secrets out of all that is written, `sealer` encrypts files; `config` is the present
    configuration, from which a run gets the secrets that are not kept with it (None: nothing is started that
    would need any). `persist` saves the run elsewhere, if anybody wants that; it raises Locked when the run
    went on elsewhere. `price` returns US dollars for what a model used, None where no price is known.
    """

    paths: OrchestratorPaths
    located: Located
    disk: Disk
    state: StateManager
    repository: Repository
    trees: IsolatedTrees
    checkpoints: Checkpoints
    agents: AgentFactory
    secrets: SecretLookup
    sealer: Sealer
    environment: Mapping[str, str] = field(repr=False)
    repo_id: str
    redactor: Redactor
    config: Config | None
    persist: Callable[[PersistReason], None] = persists_nothing
    price: Callable[[Usage, str], float | None] = priced_by_nobody
    session_id: str | None = None
