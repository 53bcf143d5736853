"""How an adapter takes part: a factory that puts a scripted agent behind it, and what it can tell."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.ports import Agent
from orchestrator.redaction.redactor import Redactor
from tests.agents.contract import subjects
from tests.agents.contract.stage import Play

Make = Callable[[Play, Path, Redactor], AbstractContextManager[Agent]]


@dataclass(frozen=True, slots=True)
class Subject:
    """An adapter under the contract.

    `make(play, place, redactor)` gives an agent that plays `play`; `place` is a directory for its own files,
    outside of the tree; leaving the context takes away whatever serves the agent. `plays` are those that it
    can express. `metered`: a turn that was played out tells
    its tokens. `has_session`: it tells its own session's id. `has_process`: `Started` names a process.
    """

    name: str
    make: Make
    plays: frozenset[Play] = frozenset(Play)
    metered: bool = True
    has_session: bool = True
    has_process: bool = True


def all_subjects() -> dict[str, Subject]:
    """Returns every subject by its name, from the modules in `subjects`."""
    found: dict[str, Subject] = {}
    for module in pkgutil.iter_modules(subjects.__path__):
        loaded = importlib.import_module(f"{subjects.__name__}.{module.name}")
        found.update({subject.name: subject for subject in loaded.SUBJECTS})
    return dict(sorted(found.items()))
