"""The one place where errors become words and exit statuses. Standard library only."""

from __future__ import annotations

import errno
import os
import sys
import time

from orchestrator.cli.screen import Screen, Styled
from orchestrator.cli.terminal import silence
from orchestrator.errors import (
    ConfigInvalid,
    MigrationConflict,
    MigrationRefused,
    NotTrusted,
    OrchestratorError,
    SecretMissing,
)

INTERRUPTED = 130
TERMINATED = 143
OUR_BUG = 70

_WITH_PROBLEMS = (ConfigInvalid, MigrationConflict, MigrationRefused, SecretMissing)
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class Terminated(BaseException):
    """SIGTERM arrived."""


def render(error: BaseException, screen: Screen, *, debug: bool, logs_dir: str = "") -> int:
    """Prints what went wrong and returns the exit status that stands for it.

    `logs_dir` is where the report of a bug of ours is written; the temporary directory
    serves when it cannot be written there.
    """
    if isinstance(error, OSError) and error.errno in _STORAGE:
        error = _of_the_disk(error)
    if isinstance(error, OrchestratorError):
        _print_known(error, screen)
        status = error.exit_status
    elif isinstance(error, KeyboardInterrupt | Terminated):
        status = _print_signal(error, screen)
    elif isinstance(error, BrokenPipeError):
        silence(sys.stdout)
        silence(sys.stderr)
        return 0
    else:
        return _print_bug(error, screen, debug=debug, logs_dir=logs_dir)
    if debug:
        screen.error(_traceback(error))
    return status


def _of_the_disk(error: OSError) -> OrchestratorError:
    """Returns the error of a disk that took no more, named by what could not be written."""
    from orchestrator.fs.failure import disk_failure

    named = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "to the disk"
    try:
        sys.stdout.flush()
    except OSError:
        silence(sys.stdout)  # it would fail once more at exit
        named = "the output"
    known = disk_failure(named, error)
    known.__cause__ = error
    return known


def _print_known(error: OrchestratorError, screen: Screen) -> None:
    _headline(screen, error.code, error.message)
    places = error.problems if isinstance(error, _WITH_PROBLEMS) else ()
    for place in places:
        screen.error(Styled("  --> ", "cyan"), place)
    if isinstance(error, NotTrusted):
        for command in error.commands:
            screen.error("  ", command)
    if error.hint:
        screen.error(Styled("hint: ", "cyan"), error.hint)
    if screen.as_json:
        extra = {"problems": list(places)} if places else {}
        screen.json({"error": {"code": error.code, "message": error.message, "hint": error.hint, **extra}})


def _print_signal(error: BaseException, screen: Screen) -> int:
    by_user = isinstance(error, KeyboardInterrupt)
    name = "interrupted" if by_user else "terminated"
    sentence = "Interrupted." if by_user else "Terminated."
    hint = "Go on with: orchestrator resume"
    _headline(screen, name, sentence)
    if screen.as_json:
        screen.json({"error": {"code": name, "message": sentence, "hint": hint}})
    return INTERRUPTED if by_user else TERMINATED


def _print_bug(error: BaseException, screen: Screen, *, debug: bool, logs_dir: str) -> int:
    text = screen.redacted(_traceback(error))
    report = write_report(text, logs_dir)
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    sentence = f"This is a bug in orchestrator ({what})."
    hint = f"Please report it with {report}" if report else "Run it again with --debug to see where."
    _headline(screen, "bug", sentence)
    screen.error(Styled("hint: ", "cyan"), hint)
    if debug:
        screen.error(text)
    if screen.as_json:
        screen.json({"error": {"code": "bug", "message": sentence, "hint": hint}})
    return OUR_BUG


def _headline(screen: Screen, code: str, sentence: str) -> None:
    screen.error(Styled(f"error[{code}]:", "red"), " ", sentence)


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error)).rstrip()


def write_report(text: str, logs_dir: str) -> str:
    """Writes a report that its owner alone can read; returns its path, empty when no place takes it."""
    import tempfile

    name = f"bug-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.txt"
    header = (
        f"orchestrator bug report\npython {sys.version}\nplatform {sys.platform}\nargv {sys.argv[1:2]}\n\n"
    )
    for place in (logs_dir, tempfile.gettempdir()):
        if not place:
            continue
        path = os.path.join(place, name)
        try:
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600
            )
        except OSError:
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(header + text + "\n")
        return path
    return ""
