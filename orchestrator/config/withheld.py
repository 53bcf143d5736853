"""Secrets that stand in the configuration itself: which they are, and how they stay out of what is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from orchestrator.errors import CredentialMissing
from orchestrator.model.json import Json
from orchestrator.redaction.redactor import Redactor

if TYPE_CHECKING:
    from orchestrator.config.schema import Config

_SOUNDS_SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)

Path = tuple[str | int, ...]


def is_secret(variable: str, value: str) -> bool:
    """Returns whether a variable of an agent holds a secret: by its name, or by the shape of its value."""
    return bool(value) and (bool(_SOUNDS_SECRET.search(variable)) or Redactor().text(value) != value)


def literal_secrets(config: Config) -> Iterator[tuple[str, str]]:
    """Yields name and value of each variable in `env:` of an agent that holds a secret."""
    for agent in config.agents.values():
        for variable, value in agent.env.items():
            if is_secret(variable, value):
                yield variable, value


def make_known(config: Config, redactor: Redactor) -> Redactor:
    """Lets a redactor know the secrets that the configuration holds, and returns it."""
    for variable, value in literal_secrets(config):
        redactor.add(variable, value)
    return redactor


def yaml_without_secrets(text: str, config: Config, redactor: Redactor) -> str:
    """Returns the text of a configuration file without the secrets in it, short ones of `env:` included."""
    for variable, value in literal_secrets(config):
        written = rf"""({re.escape(variable)}["']?\s*:\s*["']?){re.escape(value)}"""
        text = re.sub(written, rf"\g<1>[redacted:{variable}]", text)
    return redactor.text(text)


def withhold(value: Json, redactor: Redactor) -> tuple[Json, list[Path]]:
    """Returns a configuration as JSON without secrets, and the places where one was left out."""
    places: list[Path] = []
    return _without(value, redactor, (), places), places


def give_back(value: Json, places: list[Path], current: Json, redactor: Redactor) -> Json:
    """Returns what `withhold` was given, with what the present configuration holds at these places.

    Raises:
        CredentialMissing: there is nothing there any more, or something that differs in more than its secret.
    """
    for place in places:
        wanted, found = _at(value, place), _at(current, place)
        if not isinstance(found, str) or _without(found, redactor, place, []) != wanted:
            raise _gone(place)
        value = _with(value, place, found)
    return value


def _without(value: Json, redactor: Redactor, place: Path, places: list[Path]) -> Json:
    if isinstance(value, Mapping):
        return {name: _without(each, redactor, (*place, name), places) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without(each, redactor, (*place, at), places) for at, each in enumerate(value)]
    if not isinstance(value, str):
        return value
    clean = _clean(value, redactor, place)
    if clean != value:
        places.append(place)
    return clean


def _clean(value: str, redactor: Redactor, place: Path) -> str:
    if place[:1] == ("agents",) and place[2:3] == ("env",):
        variable = str(place[3])
        return f"[redacted:{variable}]" if is_secret(variable, value) else redactor.text(value)
    return redactor.text(value)


def _at(value: Json, place: Path) -> Json:
    for step in place:
        if isinstance(value, Mapping) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _with(value: Json, place: Path, found: str) -> Json:
    if not place:
        return found
    step, rest = place[0], place[1:]
    if isinstance(value, Mapping):
        return {name: _with(each, rest, found) if name == step else each for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with(each, rest, found) if at == step else each for at, each in enumerate(value)]
    return value


def _gone(place: Path) -> CredentialMissing:
    key = ".".join(map(str, place))
    return CredentialMissing(
        f"The run needs the secret in {key}, which is kept nowhere, and the configuration has it no more.",
        code="secret-gone",
        hint=f"Put {key} back into .orchestrator/workflow.yaml, then: orchestrator resume",
    )
