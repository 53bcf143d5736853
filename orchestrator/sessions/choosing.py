"""Chooses the state tree that a command works with: of this boot's session, or the one that knows the run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from orchestrator.config.schema import Config
from orchestrator.errors import OrchestratorError
from orchestrator.fs.disk import Disk
from orchestrator.paths import OrchestratorPaths
from orchestrator.sessions import identity
from orchestrator.sessions.environment import Environment, WebMode
from orchestrator.sessions.identity import Here, Session
from orchestrator.state.peek import peek
from orchestrator.state.whose import run_of


@dataclass(frozen=True, slots=True)
class StateTree:
    """Where the state is that a command works with; `session` is None for the tree outside of `sessions/`."""

    paths: OrchestratorPaths
    session: Session | None

    @property
    def name(self) -> str:
        """Returns the word by which people know it."""
        return self.session.shown if self.session is not None else "(no session)"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a command needs of its state tree.

    `run_id` names a run that it must know, wherever it is; `writes` lets a session be adopted, and `begins`
    (a new run) lets one be made.
    """

    run_id: str | None = None
    writes: bool = False
    begins: bool = False


def web_mode(environment: Environment, config: Config) -> WebMode:
    """Returns what holds here by configuration and environment."""
    return WebMode(environment, config.web_mode, config.web.model_dump())


def state_trees(root: OrchestratorPaths) -> tuple[StateTree, ...]:
    """Returns every state tree there is: the sessions, begun or adopted last first, then the one outside."""
    sessions = identity.list_sessions(root)
    found = [StateTree(root.of_session(session.id), session) for session in sessions]
    if os.path.lexists(root.state_file):
        found.append(StateTree(root, None))
    return tuple(found)


def choose(root: OrchestratorPaths, web: WebMode, here: Here, wish: Wish, disk: Disk) -> StateTree:
    """Returns the state tree for a command; makes or adopts a session only as far as the wish allows.

    Raises:
        Locked: another process has been changing the list of sessions for seconds.
    """
    sessions = identity.list_sessions(root)
    usual = _usual(root, web, here, sessions, wish, disk)
    if wish.run_id is None or holds_run(usual.paths, wish.run_id):
        return usual
    for tree in state_trees(root):
        if tree.paths.state_file != usual.paths.state_file and holds_run(tree.paths, wish.run_id):
            return _taken_up(root, here, tree, wish, disk)
    return usual


def _usual(
    root: OrchestratorPaths,
    web: WebMode,
    here: Here,
    sessions: tuple[Session, ...],
    wish: Wish,
    disk: Disk,
) -> StateTree:
    """Returns the tree for a command that names no run."""
    own = identity.current(sessions, here) if web.sessions else None
    if own is not None:
        return StateTree(root.of_session(own.id), own)
    if not web.sessions:
        return StateTree(root, None)
    trees = state_trees(root)
    if wish.begins or (wish.writes and not trees):
        made = identity.create(root, disk, here)
        return StateTree(root.of_session(made.id), made)
    return _taken_up(root, here, trees[0], wish, disk) if trees else StateTree(root, None)


def _taken_up(root: OrchestratorPaths, here: Here, tree: StateTree, wish: Wish, disk: Disk) -> StateTree:
    """Returns a tree of another boot as this boot's where the command writes.

    To read, it stays as it is, and so does one in which a run is alive: its owner goes on finding it.
    """
    if tree.session is None or not wish.writes or tree.session.is_of(here):
        return tree
    if identity.living_runs(tree.session):
        return tree
    adopted = identity.adopt(root, disk, tree.session, here)
    return StateTree(root.of_session(adopted.id), adopted)


def holds_run(paths: OrchestratorPaths, run_id: str) -> bool:
    """Returns whether a state knows a run; one that cannot be read here knows none."""
    if not os.path.lexists(paths.state_file):
        return False
    try:
        glance = peek(os.fspath(paths.state_file), run_id)
    except OrchestratorError:
        return False
    return glance is not None and bool(glance["runs"])


def run_of_record(
    root: OrchestratorPaths, kind: Literal["intervention", "operation"], record_id: str
) -> str | None:
    """Returns the run of an intervention or operation, in whichever state it is; None: nowhere."""
    for tree in state_trees(root):
        found = run_of(os.fspath(tree.paths.state_file), kind, record_id)
        if found is not None:
            return found
    return None
