"""`status` from the front door: reads the database beside a live run, writes nothing, takes no git lock."""

from __future__ import annotations

import os

from orchestrator.discovery import locate
from orchestrator.errors import OrchestratorError
from orchestrator.migrate.known_names import any_found
from orchestrator.paths import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.cli.flags import Flags

_MARKS = (b'"tool": "orchestrator"', f'"layout_version": {names.LAYOUT_VERSION},'.encode())


def answer(flags: Flags, run_id: str | None) -> int | None:
    """Returns the exit status, or None when the full command must look: nothing was printed then."""
    from orchestrator.cli import status_view
    from orchestrator.cli.edge import render
    from orchestrator.cli.screen import Screen
    from orchestrator.cli.status_about import quick_about
    from orchestrator.state.peek import peek

    try:
        located = locate(flags.directory or ".")
        directory = located.orchestrator_dir
        if not is_plainly_ours(directory) or any_found(located.home, read_in_place=True):
            return None
        about = quick_about(located, os.environ)
        if about is None:
            return None
        glance = peek(os.path.join(about.state_dir, names.STATE), run_id)
        if glance is None or (run_id is not None and not glance["runs"]):
            return None
        alive = status_view.living(glance, about.state_dir)
    except (OrchestratorError, OSError):
        return None
    screen = Screen(as_json=flags.json, quiet=flags.quiet, verbose=flags.verbose)
    try:
        status_view.show(screen, glance, alive, about=about)
    except (KeyboardInterrupt, BrokenPipeError) as error:
        return render(error, screen, debug=False)
    return 0


def is_plainly_ours(directory: str) -> bool:
    """Returns whether `layout.json` says so in the very words that `init` writes; False means look closer."""
    path = os.path.join(directory, names.LAYOUT)
    if os.path.islink(directory) or os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        text = file.read(4096)
    return all(mark in text for mark in _MARKS)
