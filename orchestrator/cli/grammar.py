"""The grammar of the command line: commands imported lazily, shared flags anywhere, help at little cost."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from orchestrator.cli.commands import COMMANDS, GROUPS, LATER, module_name
from orchestrator.cli.flags import HELP, Flags, needs_directory
from orchestrator.cli.screen import Screen
from orchestrator.errors import Refused

PROGRAM = "orchestrator"


class Command(TyperCommand):
    """A command whose help also lists the flags that every command takes."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Returns the words of the usage line; what is required stands as it is, without Typer's braces."""
        hidden = [each for each in self.params if getattr(each, "hidden", False)]
        unsaid = {piece for each in hidden for piece in each.get_usage_pieces(ctx)}
        pieces = super().collect_usage_pieces(ctx)
        return [piece.strip("{}") for piece in pieces if piece not in unsaid]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the command's own options, then the shared ones."""
        super().format_options(ctx, formatter)
        write_shared_flags(formatter)


class Group(TyperGroup):
    """A command that has commands of its own."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes options and commands, then the shared flags."""
        super().format_options(ctx, formatter)
        write_shared_flags(formatter)


class LazyGroup(Group):
    """The root: knows its commands by name and imports one when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names in the order of help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns a command, imported now; None for a name that is none."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = load(cmd_name)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes the table of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Returns completions for the name of a command; options of the root come from Typer."""
        for name in COMMANDS:
            if name.startswith(incomplete):
                self.get_command(ctx, name)
        self.commands = {name: self.commands[name] for name in COMMANDS if name in self.commands}
        return super().shell_complete(ctx, incomplete)


def write_shared_flags(formatter: Any) -> None:
    """Writes the section on flags that every command takes."""
    with formatter.section("Options of every command, before or after its name"):
        formatter.write_dl(list(HELP))


def load(name: str) -> Any:
    """Returns the command `name`, built from the function of that name in its module."""
    module = importlib.import_module(module_name(name))
    if name in GROUPS:
        application: typer.Typer = module.app
    else:
        application = new_application()
        application.command(name, cls=Command, help=COMMANDS[name], add_help_option=False)(
            getattr(module, name)
        )
    built = typer.main.get_command(application)
    built.name = name
    built.help = built.help or COMMANDS[name]
    return built


def new_application(**settings: Any) -> typer.Typer:
    """Returns a Typer application in our style: plain help, no completion flags, errors left to us."""
    return typer.Typer(
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        suggest_commands=False,
        **settings,
    )


def root() -> Any:
    """Returns the whole command line, with no command imported yet."""
    application = typer.Typer(
        name=PROGRAM,
        cls=LazyGroup,
        help="Runs coding agents in isolated git trees, checks what they leave, and hands you a branch.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_help_option=False,
    )
    application.callback()(_no_callback)
    return typer.main.get_command(application)


def _no_callback(
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    """Declares what the help of the root shows; `app.call` has answered it before this could run."""


def show_version(screen: Screen) -> int:
    """Prints the version and returns 0."""
    from orchestrator import __version__

    if screen.as_json:
        screen.json({"version": __version__})
    screen.out(f"{PROGRAM} {__version__}")
    return 0


def split(command: Any, arguments: Sequence[str]) -> tuple[Flags, list[str]]:
    """Returns the shared flags found anywhere before `--`, and the other arguments in their order.

    What follows an option that takes a value is that value, whatever it looks like.
    """
    flags, rest = Flags(), list[str]()
    current = command
    tokens = iter(arguments)
    for token in tokens:
        if token == "--":
            rest += [token, *tokens]
        elif token in _value_options(current):
            rest += [token, *_following(tokens)]
        elif token == "-C":
            flags.enter(_required(tokens))
        elif token.startswith("-") and flags.take(token):
            continue
        else:
            rest.append(token)
            if token == "-" or not token.startswith("-"):
                current = _descend(current, token)
    return flags, rest


def _following(tokens: Iterator[str]) -> list[str]:
    return [token for token in [next(tokens, None)] if token is not None]


def _required(tokens: Iterator[str]) -> str:
    token = next(tokens, "")
    if not token:
        raise needs_directory()
    return token


def _descend(current: Any, word: str) -> Any:
    if not isinstance(current, TyperGroup):
        return current
    return current.get_command(typer.Context(current), word) or current


def _value_options(command: Any) -> frozenset[str]:
    options = (parameter for parameter in command.params if parameter.param_type_name == "option")
    return frozenset(
        name
        for option in options
        if not option.is_flag and not option.count
        for name in (*option.opts, *option.secondary_opts)
    )


def help_pages() -> dict[str, str]:
    """Returns the help of every command by its path (`config show`; empty for the root), 80 columns wide."""
    pages: dict[str, str] = {}

    def collect(command: Any, context: Any, path: str) -> None:
        pages[path] = str(command.get_help(context)) + "\n"
        if isinstance(command, TyperGroup):
            for name in command.list_commands(context):
                child: Any = command.get_command(context, name)
                below = typer.Context(child, info_name=name, parent=context, terminal_width=80)
                collect(child, below, f"{path} {name}".strip())

    whole = root()
    collect(whole, typer.Context(whole, info_name=PROGRAM, terminal_width=80), "")
    return pages


def show_help(command: Any, words: list[str]) -> int:
    """Prints the help of the command that `words` lead to and returns 0; parses no values, so it is fast."""
    context = typer.Context(command, info_name=PROGRAM)
    for word in words:
        if not isinstance(command, TyperGroup) or word.startswith("-"):
            break
        child = command.get_command(context, word)
        if child is None:
            raise refusal_of_name(word, context)
        command, context = child, typer.Context(child, info_name=word, parent=context)
    sys.stdout.write(command.get_help(context) + "\n")
    return 0


def refusal_of_name(word: str, context: Any) -> Refused:
    """Returns the error for a word that is no command of `context`, with the nearest that is."""
    import difflib

    path = context.command_path
    if context.parent is None and word in LATER:
        return Refused(
            f"`{path} {word}` is not available in this version.",
            code="not-available",
            hint=f"See what is: {path} --help",
        )
    close = difflib.get_close_matches(word, context.command.list_commands(context), n=1)
    hint = f"Did you mean: {path} {close[0]}" if close else f"Look it up with: {path} --help"
    return Refused(f"No such command '{word}'.", code="usage", hint=hint)
