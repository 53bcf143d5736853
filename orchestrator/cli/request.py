"""What the user typed after `run`, turned into a request for the engine."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from orchestrator.errors import Refused

if TYPE_CHECKING:
    from orchestrator.model.plan import Plan


def read_task(task: str) -> str:
    """Returns the task; `-` reads it from standard input.

    Raises:
        Refused: `task-empty`, standard input is a terminal or holds no text.
    """
    if task != "-":
        return task
    if sys.stdin is None or sys.stdin.isatty():
        raise Refused(
            "The task shall come from standard input, but that is a terminal.",
            code="task-empty",
            hint="Pipe it in, as in: orchestrator run - < task.md",
        )
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


def split_command(text: str | None) -> tuple[str, ...] | None:
    """Returns a command split as a shell splits words; no shell ever sees it.

    Raises:
        Refused: `command-invalid`, a quote stays open or there is no word.
    """
    if text is None:
        return None
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise Refused(
            f"--command cannot be split into words: {error}.",
            code="command-invalid",
            hint="Quote it as for a shell: --command \"tool --flag 'two words'\"",
        ) from None
    if not words:
        raise Refused("--command is empty.", code="command-invalid", hint='--command "ruff check --fix ."')
    return words


def read_plan(path: str | None, directory: str) -> Plan | None:
    """Returns the plan in a file, looked for from `directory`.

    Raises:
        PlanInvalid: it cannot be read or is no plan.
    """
    if path is None:
        return None
    from pathlib import Path

    from orchestrator.planning.plan_file import read_plan as read

    return read(Path(directory, path))


def require_one_worker(given: dict[str, str | None]) -> None:
    """Refuses two answers to the question of who works: one of them would be ignored.

    Raises:
        Refused: `usage`.
    """
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise Refused(
            f"{' and '.join(named)} exclude each other: each says who works.",
            code="usage",
            hint=f"Keep one of them, such as: orchestrator run … {named[-1]} …",
        )
