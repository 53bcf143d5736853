"""The flags that every command takes, before or after its name."""

from __future__ import annotations

import os

from orchestrator.errors import Refused

COMPLETION = "_ORCHESTRATOR_COMPLETE"
"""The variable by which a shell asks for completions."""

HELP = (
    ("--json", "One JSON object on standard output (NDJSON events for run and resume)."),
    ("-q, --quiet", "Results and errors only."),
    ("-v, --verbose", "Say more; twice: everything."),
    ("--debug", "Show a traceback when something fails."),
    ("-C DIR", "Work as if started in DIR."),
    ("-y, --yes", "Answer every question with yes."),
    ("--no-input", "Never ask; implied without a terminal or when CI is set."),
    ("--help", "Show this message and exit."),
)
_SWITCHES = {
    "--json": "json",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--debug": "debug",
    "-y": "yes",
    "--yes": "yes",
    "--no-input": "no_input",
    "--help": "help",
    "-h": "help",
}


class Flags:
    """What was asked of every command alike; `verbose` counts, `directory` is empty when not given."""

    __slots__ = ("debug", "directory", "help", "json", "no_input", "quiet", "verbose", "yes")

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.verbose = 0
        self.debug = False
        self.directory = ""
        self.yes = False
        self.no_input = False
        self.help = False

    def take(self, token: str) -> bool:
        """Returns whether `token` is one of these flags, or a cluster of short ones (`-qy`), and notes it."""
        if token in _SWITCHES:
            self._set(_SWITCHES[token])
            return True
        if token.startswith("-C") and len(token) > 2:
            self.enter(token[2:])
            return True
        letters = token[1:]
        if token[:1] != "-" or not len(letters) > 1 or letters.strip("qvyh"):
            return False
        for letter in letters:
            self._set(_SWITCHES["-" + letter])
        return True

    def enter(self, directory: str) -> None:
        """Notes a `-C`; several add up, as git's do."""
        if not directory:
            raise needs_directory()
        self.directory = os.path.join(self.directory, directory)

    def _set(self, name: str) -> None:
        if name == "verbose":
            self.verbose += 1
        else:
            setattr(self, name, True)


def needs_directory() -> Refused:
    """Returns the error for a `-C` that names nothing."""
    return Refused("-C needs the name of a directory.", code="usage", hint="For example: -C ../project")
