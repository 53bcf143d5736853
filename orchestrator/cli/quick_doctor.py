"""`doctor --quick` from the front door: the quick checks, with the standard library alone; only reads."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.cli.flags import Flags


def answer(flags: Flags) -> int | None:
    """Returns the exit status, or None when the full command must look: nothing was printed then."""
    from orchestrator.cli.doctor_view import tell
    from orchestrator.cli.screen import Screen
    from orchestrator.doctor.isolation import LookCloser
    from orchestrator.doctor.quick.catalogue import look
    from orchestrator.doctor.surface import Surface

    try:
        directory = os.path.abspath(flags.directory or ".")
    except OSError:  # the directory that the shell is in was removed
        return None
    if not os.path.isdir(directory):
        return None
    screen = Screen(as_json=flags.json, quiet=flags.quiet, verbose=flags.verbose)
    try:
        answers = look(Surface(directory, dict(os.environ)))
        return tell(screen, answers, everything=flags.verbose > 0)
    except LookCloser:
        return None
    except (KeyboardInterrupt, BrokenPipeError) as error:
        from orchestrator.cli.edge import render

        return render(error, screen, debug=False)
