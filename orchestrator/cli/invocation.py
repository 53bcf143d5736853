"""One call of the command: its flags, its streams, and the doors to the rooms below."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.flags import Flags
from orchestrator.cli.screen import Screen
from orchestrator.cli.terminal import escape, is_terminal
from orchestrator.errors import OrchestratorError, Refused
from orchestrator.model.json import Json
from orchestrator.redaction.redactor import Redactor

if TYPE_CHECKING:
    from orchestrator.discovery import Located
    from orchestrator.sessions.choosing import StateTree
    from orchestrator.sessions.environment import WebMode
    from orchestrator.workspace import Workspace


NO_RUNS = "no-runs"


class Invocation:
    """What a command needs of its caller; made once per call, kept in Typer's context."""

    def __init__(self, flags: Flags, screen: Screen) -> None:
        self.flags = flags
        self.screen = screen
        self.redactor = screen.redactor = Redactor()
        self.environment: Mapping[str, str] = dict(os.environ)
        self._web: WebMode | None = None

    @property
    def directory(self) -> str:
        """Returns the directory to work from, absolute."""
        return os.path.abspath(self.flags.directory or ".")

    @property
    def may_ask(self) -> bool:
        """Returns whether a question can reach a person."""
        quiet = self.flags.no_input or bool(self.environment.get("CI"))
        return not quiet and is_terminal(sys.stdin) and is_terminal(sys.stderr) and not self.web.no_input

    @property
    def web(self) -> WebMode:
        """Returns what holds of web mode here; without a readable configuration by the environment alone."""
        if self._web is None:
            from orchestrator.sessions.environment import WebMode, detect

            detected = detect(self.environment)
            try:
                from orchestrator.cli.config import load_quietly
                from orchestrator.sessions.choosing import web_mode

                self._web = web_mode(detected, load_quietly(self).config)
            except (OrchestratorError, OSError):
                return WebMode(detected, "auto")
        return self._web

    def locate(self) -> Located:
        """Returns where the repository is. Raises what `discovery.locate` raises."""
        from orchestrator.repo.git import find_repository

        return find_repository(self.directory, self.environment)

    def open(
        self,
        *,
        writes: bool,
        trust_now: bool = False,
        flags: Mapping[str, Json] | None = None,
        run: str | None = None,
        begins: bool = False,
    ) -> Workspace:
        """Opens the repository's workspace; the caller closes it.

        Of several sessions it is the one that knows `run`; `begins` (a new run) may make one.

        Raises:
            Refused: no repository, not initialised, unusable configuration.
        """
        from orchestrator.cli.logs import keep_log
        from orchestrator.workspace import open_workspace

        if writes:
            self._offer_migration()
        try:
            workspace = open_workspace(
                self.directory,
                environment=self.environment,
                flags=flags or {},
                trust_now=trust_now,
                ask_secret=self.ask_secret if self.may_ask else None,
                writes=writes,
                run_id=run,
                begins=begins,
                redactor=self.redactor,
            )
        except Refused as refusal:
            if refusal.code == "state-missing":
                raise _no_runs() from None
            raise
        self._web = workspace.web
        for notice in workspace.notices:
            self.screen.note("note: ", notice)
        if writes:
            keep_log(workspace)
        return workspace

    def _offer_migration(self) -> None:
        from orchestrator.migrate.known_names import any_found

        if any_found(self.locate().home):
            from orchestrator.cli.offering import offer

            offer(self)

    def trees(self) -> tuple[StateTree, ...]:
        """Returns the states of all sessions here, and the one outside of any; the newest session first."""
        from pathlib import Path

        from orchestrator.paths import OrchestratorPaths
        from orchestrator.sessions.choosing import state_trees

        return state_trees(OrchestratorPaths(Path(self.locate().home)))

    def open_existing(self, run: str | None = None) -> Workspace | None:
        """Opens the workspace for reading; None when no run has ever been started here.

        Raises:
            Refused: no repository, not initialised, unusable configuration.
        """
        try:
            return self.open(writes=False, run=run)
        except Refused as refusal:
            if refusal.code != NO_RUNS:
                raise
            return None

    def confirm(self, question: str, *, otherwise: str, code: str = "answer-needed") -> bool:
        """Returns the answer to a yes-or-no question; `--yes` answers it, Enter means no.

        Raises:
            Refused: nobody can be asked; the hint is `otherwise`.
        """
        if self.flags.yes:
            return True
        if not self.may_ask:
            raise Refused(f"{question} Nobody is there to answer.", code=code, hint=otherwise)
        sys.stderr.write(f"{escape(self.redactor.text(question))} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def ask_secret(self, name: str) -> str:
        """Returns what a person types for a secret, which the terminal does not show; Ctrl-D is nothing."""
        import getpass

        try:
            return getpass.getpass(f"{name} (not shown): ", stream=sys.stderr)
        except EOFError:
            return ""


def _no_runs() -> Refused:
    return Refused(
        "No run has been started here yet.", code=NO_RUNS, hint='orchestrator run "what shall be done"'
    )


def invocation(ctx: typer.Context) -> Invocation:
    """Returns the call that a command was made with."""
    call = ctx.obj
    if not isinstance(call, Invocation):
        raise TypeError("a command was called without an Invocation")
    return call
