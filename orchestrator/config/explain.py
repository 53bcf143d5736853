"""Answers what a key means, what applies, and which file and line says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic.fields import FieldInfo

from orchestrator.config import fields
from orchestrator.config.load import LoadedConfig
from orchestrator.config.origin import DEFAULT, Origin, printable
from orchestrator.errors import Refused
from orchestrator.model.json import Json


@dataclass(frozen=True, slots=True)
class Row:
    """One value that applies, and where it comes from."""

    key: str
    value: Json
    origin: Origin


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything there is to know about a key.

    `is_available` is False for parts to come; `keys` names what may stand below it; `value` is None where the
    key has none, as `agents.<name>.model` of an agent that is not configured.
    """

    key: str
    description: str
    type: str
    default: Json
    is_required: bool
    is_available: bool
    keys: tuple[str, ...]
    value: Json
    origin: Origin


def show(loaded: LoadedConfig) -> tuple[Row, ...]:
    """Returns every value that applies, in the order of the file.

    Of agents, workflows and checks only what some layer says, of sections with fixed keys all.
    """
    values = fields.as_json(loaded.config)
    assert isinstance(values, Mapping)  # a section is a mapping
    return tuple(_rows(loaded, values, ()))


def explain(key: str, loaded: LoadedConfig) -> Explanation:
    """Returns what a key such as `execution.timeout_s` or `agents.claude.model` means and what applies.

    Raises:
        Refused: `unknown-key`, with the nearest one.
    """
    path = tuple(key.split("."))
    declared = fields.find(path)
    if declared is None:
        raise _unknown(key)
    section = fields.section_of(declared.annotation)
    is_named = declared.path[-1] in ("<name>", "<n>")
    return Explanation(
        key=key,
        description=declared.field.description or "",
        type=fields.in_words(declared.annotation),
        default=None if is_named else declared.default,
        is_required=declared.field.is_required() and not is_named,
        is_available=not any(fields.is_later(each) for each in _fields_along(path)),
        keys=tuple(fields.keys_of(section)) if section is not None else (),
        value=_value(fields.as_json(loaded.config), path),
        origin=loaded.origin(key),
    )


def _rows(loaded: LoadedConfig, value: Json, path: tuple[str, ...]) -> Iterator[Row]:
    key = ".".join(path)
    if isinstance(value, Mapping) and (value or not path):
        for name, inner in value.items():
            below = (*path, name)
            if _is_told(loaded, below):
                yield from _rows(loaded, inner, below)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _rows(loaded, item, (*path, str(index)))
    else:
        yield Row(key, value, loaded.origin(key))


def _is_told(loaded: LoadedConfig, path: tuple[str, ...]) -> bool:
    """Returns whether a row is worth its line: available, and said by a layer where names are free."""
    along = _fields_along(path)
    if any(fields.is_later(each) for each in along):
        return False
    declared = fields.find(path)
    is_free = declared is not None and any(part in ("<name>", "<n>") for part in declared.path)
    return not is_free or loaded.origin(".".join(path)) != DEFAULT


def _fields_along(path: tuple[str, ...]) -> list[FieldInfo]:
    found = [fields.find(path[:length]) for length in range(1, len(path) + 1)]
    return [each.field for each in found if each is not None]


def _value(value: Json, path: tuple[str, ...]) -> Json:
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _unknown(key: str) -> Refused:
    known = [each.key for each in fields.declared()]
    by_end = [each for each in known if each.split(".")[-1] == key]
    meant = by_end[0] if by_end else fields.nearest(key, known)
    hint = (
        f"Did you mean: orchestrator config explain {meant}" if meant else "See all: orchestrator config show"
    )
    return Refused(f"`{printable(key)}` is not a key of workflow.yaml.", code="unknown-key", hint=hint)
