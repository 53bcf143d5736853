"""Turns values of the model into what a column holds, and back.

Text from agents, file names and the command line may hold bytes that are not UTF-8 (as surrogates). It is
kept exactly: columns hold those bytes, JSON holds them escaped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from orchestrator.model.json import Json, JsonObject

T = TypeVar("T")
Column = str | bytes | int | float | None

MAX_DEPTH = 100
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


_ADAPTERS: dict[object, TypeAdapter[Any]] = {}


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """Returns the reader and writer of one kind of value; made once, since making it costs a millisecond."""
    made = _ADAPTERS.get(kind)
    if made is None:
        made = _ADAPTERS[kind] = TypeAdapter(kind)
    return made


def dump(kind: type[T], value: T) -> str:
    """Returns a dataclass of the model as JSON text."""
    writer = adapter(kind)
    try:
        return writer.dump_json(value).decode()
    except ValueError:  # text that is not UTF-8
        return json.dumps(writer.dump_python(value, mode="json"))


def load(kind: type[T], text: str) -> T:
    """Returns the dataclass that `dump` wrote.

    Raises:
        ValueError: the text is no JSON, or not of this kind.
    """
    try:
        return adapter(kind).validate_json(text)
    except ValidationError:  # its JSON reader refuses escaped surrogates, Python's takes them
        return adapter(kind).validate_python(json.loads(text))


def plain(kind: type[T], value: T) -> dict[str, Json]:
    """Returns a dataclass of the model as a JSON object."""
    made: dict[str, Json] = adapter(kind).dump_python(value, mode="json")
    return made


def dump_object(value: JsonObject) -> str:
    """Returns a JSON object as text; infinite numbers become null, what nests too deeply a note."""
    try:
        text = _ENCODER.encode(value)
    except (ValueError, RecursionError):
        return json.dumps(_tamed(value, MAX_DEPTH), separators=(",", ":"))
    if text.count("{") + text.count("[") > MAX_DEPTH:
        return json.dumps(_tamed(value, MAX_DEPTH), separators=(",", ":"))
    return text


def load_object(text: str) -> dict[str, Json]:
    """Returns the JSON object that `dump_object` wrote.

    Raises:
        ValueError: the text is no JSON object.
    """
    value: Any = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"{text[:40]!r} is no JSON object")
    return value


def dump_list(values: Sequence[str]) -> str:
    """Returns a list of text as JSON."""
    return json.dumps(values, separators=(",", ":"))


def load_list(text: str) -> tuple[str, ...]:
    """Returns the list of text that `dump_list` wrote.

    Raises:
        ValueError: the text is no JSON list of text.
    """
    values: Any = json.loads(text)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{text[:40]!r} is no list of text")
    return tuple(values)


def bindable(text: str) -> str | bytes:
    """Returns `text` for a `CAST(? AS TEXT)`: as bytes where it holds what UTF-8 cannot say."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _raw(text)
    return text


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, from somebody's JSON
        return text.encode("utf-8", "surrogatepass")


def readable(data: bytes) -> str:
    """Returns a text column, bytes that are not UTF-8 as surrogates."""
    return data.decode("utf-8", "surrogateescape")


def now() -> datetime:
    """Returns the time, UTC."""
    return datetime.now(UTC)


def stamp(at: datetime) -> str:
    """Returns a time as `2026-11-20T11:00:00.000000Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def stamp_or_none(at: datetime | None) -> str | None:
    """Returns a time as text, None for none."""
    return None if at is None else stamp(at)


def moment(text: str) -> datetime:
    """Returns the time that `stamp` wrote.

    Raises:
        ValueError: the text is no time with a zone.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return at


def moment_or_none(text: str | None) -> datetime | None:
    """Returns the time that `stamp_or_none` wrote."""
    return None if text is None else moment(text)


def _tamed(value: Json, depth: int) -> Json:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if depth == 0:
        return "(nested too deeply)"
    if isinstance(value, Mapping):
        return {str(name): _tamed(inner, depth - 1) for name, inner in value.items()}
    return [_tamed(inner, depth - 1) for inner in value]
