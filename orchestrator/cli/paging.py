"""Shows long results through a pager where a person reads them on a terminal."""

from __future__ import annotations

import shlex
import sys

from orchestrator.cli.invocation import Invocation
from orchestrator.cli.terminal import is_terminal, write

_DEFAULT = "less -FRX"
_OF_PAGERS = (
    "LESS",
    "LV",
    "MORE",
    "BAT_",
    "DELTA_",
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "TERMINFO",
    "XDG_",
    "NO_COLOR",
)
"""What variables begin with that a pager needs: it gets no others, and so none of your keys."""


def page(call: Invocation, text: str, *, wanted: bool = True) -> None:
    """Prints text that is escaped already, through the user's pager on a terminal.

    The pager is ORCHESTRATOR_PAGER, GIT_PAGER or PAGER; empty or `cat` means none. One that cannot be started
    is told, and the text is printed plainly.
    """
    text = call.redactor.text(text)
    command = _pager(call) if wanted and is_terminal(sys.stdout) and is_terminal(sys.stdin) else []
    if not command:
        write(sys.stdout, text)
        return
    from orchestrator.errors import Failed
    from orchestrator.process.foreground import feed
    from orchestrator.process.spawn import minimal_environment

    shown = tuple(name for name in call.environment if name.startswith(_OF_PAGERS))
    environment = {"LESS": "FRX", "LV": "-c", **minimal_environment({}, passed=shown)}
    try:
        feed(command, text.encode("utf-8", "backslashreplace"), environment=environment)
    except Failed as error:
        call.screen.warn(f"{error.message} Set ORCHESTRATOR_PAGER, or use --no-pager.")
        write(sys.stdout, text)


def _pager(call: Invocation) -> list[str]:
    named = (call.environment.get(name) for name in ("ORCHESTRATOR_PAGER", "GIT_PAGER", "PAGER"))
    text = next((name for name in named if name is not None), _DEFAULT)
    if call.environment.get("TERM", "") in ("", "dumb"):
        return []
    try:
        words = shlex.split(text)
    except ValueError:
        call.screen.warn(f"The pager {text!r} cannot be split into words.")
        return []
    return [] if words in ([], ["cat"]) else words
