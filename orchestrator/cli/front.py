"""The front door: answers `--version` and `status` with the standard library alone, hands on the rest."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.cli.flags import Flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status; never raises."""
    try:
        return _answer(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # before the full command took care of it
        sys.stderr.write("error[interrupted]: Interrupted.\n")
        return 130
    except OSError as error:  # the output takes no more
        from orchestrator.cli.edge import render
        from orchestrator.cli.screen import Screen

        return render(error, Screen(), debug=False)


def _answer(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        from orchestrator import __version__

        sys.stdout.write(f"orchestrator {__version__}\n")
        return 0
    from orchestrator.cli.flags import COMPLETION

    if COMPLETION in os.environ:
        from orchestrator.cli.app import call

        return call(arguments)
    page = _help_page(arguments)
    if page is not None:
        sys.stdout.write(page)
        return 0
    flags, run_id = _plain_status(arguments)
    if flags is not None:
        from orchestrator.cli.quick_status import answer

        status = answer(flags, run_id)
        if status is not None:
            return status
    from orchestrator.cli.app import call

    return call(arguments)


def _help_page(arguments: list[str]) -> str | None:
    """Returns the help that is asked for in plain words, None when it is not or the words are unusual."""
    if arguments and "--help" not in arguments and "-h" not in arguments:
        return None
    words = [word for word in arguments if word not in ("--help", "-h")]
    from orchestrator.cli.help_pages import PAGES

    return PAGES.get(" ".join(words))


def _plain_status(arguments: list[str]) -> tuple[Flags | None, str | None]:
    """Returns the flags and the run id of a `status` with nothing unusual about it, else (None, None)."""
    if "status" not in arguments:
        return None, None
    from orchestrator.cli.flags import Flags
    from orchestrator.errors import Refused

    flags = Flags()
    words: list[str] = []
    tokens = iter(arguments)
    for token in tokens:
        try:
            if token == "-C":
                flags.enter(next(tokens, ""))
            elif token.startswith("-"):
                if not flags.take(token):
                    return None, None
            else:
                words.append(token)
        except Refused:
            return None, None
    usual = words[:1] == ["status"] and len(words) <= 2 and not flags.help
    return (flags, words[1] if words[1:] else None) if usual else (None, None)


if __name__ == "__main__":
    sys.exit(main())
