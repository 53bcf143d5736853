"""Resolves the secrets that a step names: all of them, or an error that names every place looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from orchestrator.errors import Refused, SecretMissing
from orchestrator.secretstore.lookup import Source, described, look_up
from orchestrator.secretstore.names import checked_name

OnResolved = Callable[[str, str], object]

MAX_VARIABLE_BYTES = 131_000
"""Linux gives a program no variable of 128 KiB or more. Source: execve(2), MAX_ARG_STRLEN."""


def resolve(names: Iterable[str], sources: Sequence[Source], on_resolved: OnResolved) -> dict[str, str]:
    """Returns the value of every name, for the environment of one child and nothing else.

    `on_resolved` hears of each value before anybody else does. Nothing is kept.

    Raises:
        SecretMissing: for all that have no value, with every place looked at.
        Refused: `secret-too-long`, a value does not fit into a variable; `secret-name`.
        OrchestratorError: a place holds something that cannot be used.
    """
    answers = [look_up(checked_name(name), sources) for name in dict.fromkeys(names)]
    values = {answer.name: answer.value for answer in answers if answer.value is not None}
    for name, value in values.items():
        on_resolved(name, value)
    missing = [answer for answer in answers if answer.value is None]
    if missing:
        raise SecretMissing(
            tuple(answer.name for answer in missing),
            tuple(f"{answer.name}: {described(answer.seen)}" for answer in missing),
        )
    for name, value in values.items():
        _check_length(name, value)
    return values


def _check_length(name: str, value: str) -> None:
    size = len(value.encode("utf-8", "surrogateescape"))
    if size > MAX_VARIABLE_BYTES or "\0" in value:
        raise Refused(
            f"The value of {name} has {size:,} bytes or holds a NUL: no variable can carry it to an agent.",
            code="secret-too-long",
            hint=f"Store up to {MAX_VARIABLE_BYTES:,} bytes, such as a key that opens the rest.",
        )
