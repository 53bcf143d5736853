"""The full command: parses, runs one command, and ends every error in words and an exit status."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from orchestrator.cli import edge
from orchestrator.cli.commands import COMMANDS
from orchestrator.cli.flags import COMPLETION, Flags
from orchestrator.cli.grammar import PROGRAM, refusal_of_name, root, show_help, show_version, split
from orchestrator.cli.invocation import Invocation
from orchestrator.cli.screen import Screen
from orchestrator.errors import OrchestratorError, Refused

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer names this class only through its children."""


def call(arguments: Sequence[str]) -> int:
    """Runs one command line from parsing to exit status; every error ends here."""
    screen, flags = Screen(), Flags()
    try:
        with _signals():
            command = root()
            if COMPLETION in os.environ:
                return int(command.main([], prog_name=PROGRAM, standalone_mode=False) or 0)
            screen.as_json = "--json" in arguments
            flags, rest = split(command, arguments)
            screen = Screen(as_json=flags.json, quiet=flags.quiet, verbose=flags.verbose)
            if rest[:1] == ["--version"]:
                return show_version(screen)
            if flags.help or not rest:
                return show_help(command, rest)
            return _invoke(command, rest, Invocation(flags, screen))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except BaseException as error:  # the edge: nothing may pass it
        return edge.render(error, screen, debug=flags.debug, logs_dir=_logs_dir(flags))


def _invoke(command: Any, arguments: list[str], invocation: Invocation) -> int:
    try:
        with command.make_context(PROGRAM, arguments, obj=invocation) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as leaving:
        return leaving.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except _UsageError as error:
        raise _refusal(error, arguments) from None
    except Refused as refusal:
        from orchestrator.cli.old_place import explained  # here, so that every command says it

        told = explained(invocation, refusal)
        if told is refusal:
            raise
        raise told from refusal


def _refusal(error: Exception, arguments: list[str]) -> Refused:
    sentence = str(getattr(error, "format_message", error.__str__)()).replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    if context is not None and sentence.startswith("No such command '"):
        return refusal_of_name(sentence.split("'")[1], context)
    named = [word for word in arguments[:1] if word in COMMANDS]
    path = context.command_path if context is not None else " ".join([PROGRAM, *named])
    hint = f"Look it up with: {path} --help"
    if sentence.startswith("Got unexpected extra") and path == f"{PROGRAM} run":
        hint = f'Put the task into quotes: {path} "what shall be done"'
    sentence = sentence if sentence.endswith((".", "?", ")")) else sentence + "."
    return Refused(sentence, code="usage", hint=hint)


def _logs_dir(flags: Flags) -> str:
    """Returns the directory for reports of our bugs, empty unless it exists already."""
    from orchestrator.discovery import locate
    from orchestrator.paths import names

    try:
        directory = locate(flags.directory or ".").orchestrator_dir
    except (OrchestratorError, OSError):
        return ""
    if not os.path.isfile(os.path.join(directory, names.LAYOUT)):
        return ""  # a file in it would make what a killed `init` left look like somebody else's
    place = os.path.join(directory, names.LOGS)
    return place if os.path.isdir(place) and not os.path.islink(place) else ""


@contextmanager
def _signals() -> Iterator[None]:
    """Turns SIGTERM into an exception while a command runs, so that everything is closed on the way out."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise edge.Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not in the main thread: the caller owns the signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
