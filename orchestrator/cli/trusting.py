"""Asks for trust: shows exactly what would run, and opens the workspace with the answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.invocation import Invocation
from orchestrator.cli.screen import Screen
from orchestrator.model.json import Json

if TYPE_CHECKING:
    from orchestrator.model.run import Run
    from orchestrator.workspace import TrustView, Workspace


def look(call: Invocation) -> TrustView:
    """Returns whether this repository is trusted and what it would run; needs no state and changes nothing.

    Layouts that the repository supplies can be looked at, and approved, before it is initialised.

    Raises:
        Refused: no repository, not initialised, unusable configuration.
    """
    from orchestrator.cli.config import load_configuration
    from orchestrator.migrate.supplied import supplied_files
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.state.layout import require_ours
    from orchestrator.workspace import view_trust

    located = call.locate()
    paths = OrchestratorPaths(Path(located.home))
    layouts = supplied_files(paths.orchestrator_dir)
    if not layouts:  # `migrate` asks for trust in them before there is anything of ours
        require_ours(paths)
    return view_trust(located, load_configuration(call), layouts=layouts)


def open_trusted(
    call: Invocation,
    *,
    trust_now: bool,
    flags: Mapping[str, Json] | None = None,
    run: str | None = None,
    begins: bool = False,
) -> Workspace:
    """Opens the workspace for writing and, where a person can answer, asks for trust that is missing.

    `--yes` answers only where the question would have reached a person. A "no" leaves the workspace
    untrusted: what needs trust refuses by itself.
    """
    workspace = call.open(writes=True, trust_now=trust_now, flags=flags, run=run, begins=begins)
    if workspace.trust.trusted or not call.may_ask:
        return workspace
    try:
        agreed = ask(call, workspace.trust)
    except BaseException:
        workspace.close()
        raise
    if not agreed:
        return workspace
    workspace.close()
    return call.open(writes=True, flags=flags, run=run, begins=begins)


def ask(call: Invocation, view: TrustView) -> bool:
    """Shows what would run, asks, and stores a yes; returns the answer.

    Raises:
        Refused: nobody can be asked.
    """
    show_commands(call.screen, view)
    more = " and move these files" if view.layouts else ""
    question = f"Trust this repository to run these commands{more}?"
    agreed = call.confirm(question, otherwise="orchestrator trust --yes")
    if agreed:
        view.store.approve(view.key, view.supplied)
    return agreed


def show_commands(screen: Screen, view: TrustView, *, result: bool = False) -> None:
    """Prints what the repository supplies that would run, or what has changed since the last approval."""
    from orchestrator.config.trust import describe, difference

    say = screen.out if result else screen.error
    before = view.store.previous(view.key)
    if before is not None and not view.approved:
        say("Since you last approved, this has changed:")
        lines = difference(before.commands, view.supplied)
        lines = lines or ("  (the same commands; settings or filters that they depend on have changed)",)
    else:
        more = ", and what `migrate` would do" if view.layouts else ""
        say(f"This repository supplies what would run{more}:")
        lines = tuple(describe(command) for command in view.supplied)
    for line in lines or ("(nothing)",):
        say("  ", line)


def require_vouched(call: Invocation, workspace: Workspace, run: Run) -> None:
    """Makes sure that the user has approved what a run from elsewhere would run; asks where that is possible.

    Raises:
        NotTrusted: nobody has approved it.
    """
    from orchestrator.config.trust import describe
    from orchestrator.engine.vouching import unvouched, vouching_key
    from orchestrator.errors import NotTrusted

    would_run = unvouched(workspace.context, run, workspace.loaded.config, workspace.trust.prompts)
    key, store = vouching_key(workspace.context, run), workspace.trust.store
    if not would_run or store.is_trusted(key):
        return
    lines = tuple(describe(each) for each in would_run)
    if call.may_ask:
        call.screen.error(f"Run {run.id} came from elsewhere and would run:")
        for line in lines:
            call.screen.error("  ", line)
        if call.confirm("Trust this run to run these commands?", otherwise=""):
            store.approve(key, would_run)
            return
    error = NotTrusted(lines)
    error.message = f"Run {run.id} came from elsewhere and would run commands that you have not approved."
    error.hint = f"Look at them above; run them with: orchestrator resume {run.id} --trust"
    raise error
