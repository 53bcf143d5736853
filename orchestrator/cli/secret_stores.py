"""Which store a `secrets` command works on, and what several of them say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.invocation import Invocation
from orchestrator.errors import Refused

if TYPE_CHECKING:
    from orchestrator.secretstore.store import Store

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Such as ANTHROPIC_API_KEY.")]
GlobalOption = Annotated[
    bool, typer.Option("--global", help="Your own store, which serves all your repositories.")
]


def store_of(call: Invocation, *, is_global: bool, changes: bool = False) -> Store:
    """Returns the store that a command works on; before it `changes`, git is told what may be committed.

    Raises:
        Refused: no repository, not initialised, unusable configuration.
    """
    from orchestrator.fs.disk import Disk
    from orchestrator.secretstore.places import global_store, repository_store

    disk = Disk()
    if is_global:
        return global_store(disk)
    from orchestrator.cli.config import load_configuration
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.state.layout import keep_ignore_file, require_ours

    paths = OrchestratorPaths(Path(call.locate().home))
    layout = require_ours(paths)
    committed = load_configuration(call).config.secrets.mode == "committed"
    if changes:
        keep_ignore_file(paths, disk, committed=committed)
    return repository_store(paths, layout.repo_id, committed=committed, disk=disk)


def stores_here(call: Invocation) -> tuple[Store, ...]:
    """Returns the stores in the order in which they are looked at: the repository's if there is one, yours.

    Raises:
        Refused: unusable configuration.
    """
    both = store_of(call, is_global=True)
    try:
        return store_of(call, is_global=False), both
    except Refused as refusal:
        if refusal.code not in ("not-a-repository", "not-initialised"):
            raise
        return (both,)


def unknown_secret(name: str) -> Refused:
    """Returns the error for a secret that is not stored."""
    return Refused(
        f"No secret {name} is stored.",
        code="secret-unknown",
        hint="List them with `orchestrator secrets list`; where one comes from: "
        f"orchestrator secrets which {name}",
    )
