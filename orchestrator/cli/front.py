"""The front door: answers `--version`, `status` and `doctor --quick` with the standard library alone."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.cli.flags import Flags


_ANSWERED = (("status",), ("doctor", "--quick"), ("secrets", "which"))


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
    status = _answered_here(arguments)
    if status is not None:
        return status
    from orchestrator.cli.app import call

    return call(arguments)


def _answered_here(arguments: list[str]) -> int | None:
    """Returns the exit status of a plain command that needs nothing dear; None: nothing was answered."""
    flags, words = _plain(arguments)
    if words[:1] == ["status"] and len(words) <= 2 and "--quick" not in words:
        from orchestrator.cli import quick_status

        return quick_status.answer(flags, words[1] if words[1:] else None)
    if sorted(words) == ["--quick", "doctor"]:
        from orchestrator.cli import quick_doctor

        return quick_doctor.answer(flags)
    if words[:2] == ["secrets", "which"] and len(words) == 3 and "--quick" not in words:
        from orchestrator.cli import quick_which

        return quick_which.answer(flags, words[2])
    return None


def _help_page(arguments: list[str]) -> str | None:
    """Returns the help that is asked for in plain words, None when it is not or the words are unusual."""
    if arguments and "--help" not in arguments and "-h" not in arguments:
        return None
    words = [word for word in arguments if word not in ("--help", "-h")]
    from orchestrator.cli.help_pages import PAGES

    return PAGES.get(" ".join(words))


def _plain(arguments: list[str]) -> tuple[Flags, list[str]]:
    """Returns flags and words of a command that may be answered here; no words where anything is unusual."""
    from orchestrator.cli.flags import Flags

    flags = Flags()
    if not any(all(word in arguments for word in words) for words in _ANSWERED):
        return flags, []
    from orchestrator.errors import Refused

    words: list[str] = []
    tokens = iter(arguments)
    for token in tokens:
        try:
            if token == "-C":
                flags.enter(next(tokens, ""))
            elif token == "--quick" or not token.startswith("-"):
                words.append(token)
            elif not flags.take(token):
                return flags, []
        except Refused:
            return flags, []
    return flags, [] if flags.help else words


if __name__ == "__main__":
    sys.exit(main())
