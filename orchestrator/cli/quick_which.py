"""`secrets which` from the front door: answers where the value is in a variable or a store.

Neither typer nor the configuration is loaded. What needs them (keyring, commands, a store that is committed,
an error to be explained) is handed to the full command.
"""

from __future__ import annotations

import os

from orchestrator.cli.screen import Styled
from orchestrator.cli.table import columns
from orchestrator.errors import OrchestratorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.cli.flags import Flags
    from orchestrator.cli.screen import Screen
    from orchestrator.secretstore.lookup import Answer

NOT_FOUND = 4


def answer(flags: Flags, name: str) -> int | None:
    """Returns the exit status, or None when the full command must look: nothing was printed then."""
    from orchestrator.cli.edge import render
    from orchestrator.cli.screen import Screen

    try:
        found = _found(flags.directory or ".", name)
    except (OrchestratorError, OSError):
        return None
    if found.value is None:
        return None
    screen = Screen(as_json=flags.json, quiet=flags.quiet, verbose=flags.verbose)
    try:
        return show(screen, found)
    except (KeyboardInterrupt, BrokenPipeError) as error:
        return render(error, screen, debug=False)


def _found(directory: str, name: str) -> Answer:
    from orchestrator.discovery import locate
    from orchestrator.fs.disk import Disk
    from orchestrator.paths import OrchestratorPaths
    from orchestrator.secretstore.lookup import look_up
    from orchestrator.secretstore.names import checked_name
    from orchestrator.secretstore.places import global_store, repository_store, stored_sources
    from orchestrator.state.layout import require_ours

    paths = OrchestratorPaths(locate(directory).home)
    layout, disk = require_ours(paths), Disk()
    stores = (repository_store(paths, layout.repo_id, committed=False, disk=disk), global_store(disk))
    return look_up(checked_name(name), stored_sources(dict(os.environ), None, stores))


def show(screen: Screen, found: Answer) -> int:
    """Prints where a value comes from and what was seen in every place; never the value itself."""
    if screen.as_json:
        screen.json(
            {
                "name": found.name,
                "source": found.source,
                "looked_at": [
                    {"place": each.place, "found": each.value is not None, "why_not": each.why_not or None}
                    for each in found.seen
                ],
            }
        )
        return 0 if found.value is not None else NOT_FOUND
    screen.out(f"{found.name}: {found.source or 'no value in any place'}")
    rows = [("", "found" if each.value is not None else each.why_not, each.place) for each in found.seen]
    for parts in columns(rows):
        screen.out(*parts)
    if found.value is None:
        screen.error(Styled("hint: ", "cyan"), f"Store it with: orchestrator secrets set {found.name}")
        return NOT_FOUND
    return 0
