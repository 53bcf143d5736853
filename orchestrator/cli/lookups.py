"""Finds the run that a user names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrator.model.ids import parse_run_id
from orchestrator.model.run import Run

if TYPE_CHECKING:
    from orchestrator.cli.invocation import Invocation
    from orchestrator.workspace import Workspace


def complete_run_ids(incomplete: str) -> list[tuple[str, str]]:
    """Returns the newest run ids that begin as typed, each with its task; nothing when there is no state."""
    from orchestrator.cli.recent import recent_runs

    return [(run_id, task) for run_id, task in recent_runs() if run_id.startswith(incomplete)]


RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of the run.", autocompletion=complete_run_ids)
]
MaybeRunArgument = Annotated[
    str | None, typer.Argument(metavar="RUN", help="Id of the run.", autocompletion=complete_run_ids)
]


def find_run(workspace: Workspace, text: str) -> Run:
    """Returns the run with this id.

    Raises:
        Refused: `run-id-invalid` or `unknown-run`.
    """
    return workspace.state.get_run(parse_run_id(text))


def run_of_record(call: Invocation, kind: Literal["intervention", "operation"], record_id: str) -> str | None:
    """Returns the run that an intervention or operation belongs to; None where no session here knows it."""
    from pathlib import Path

    from orchestrator.paths import OrchestratorPaths
    from orchestrator.sessions.choosing import run_of_record as look_up

    return look_up(OrchestratorPaths(Path(call.locate().home)), kind, record_id)
