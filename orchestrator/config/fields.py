"""Walks the declared keys: what may stand at a place, what it is by default, and how to say it in words."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchestrator.config.schema import Config
from orchestrator.model.json import Json

Annotation: TypeAlias = object

_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


@dataclass(frozen=True, slots=True)
class Declared:
    """A key as the schema declares it. `default` is None where it has none (`required`) or is null."""

    path: tuple[str, ...]
    field: FieldInfo
    annotation: Annotation

    @property
    def key(self) -> str:
        """Returns the path as people write it, with `<name>` where any name may stand."""
        return ".".join(self.path)

    @property
    def is_later(self) -> bool:
        """Returns whether its part does not exist yet."""
        return is_later(self.field)

    @property
    def default(self) -> Json:
        """Returns what applies where nothing is said."""
        return default_of(self.field)


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Returns the fields of a section by the names they have in the file."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def is_later(field: FieldInfo) -> bool:
    """Returns whether the field's part does not exist in this version."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("later"))


def default_of(field: FieldInfo) -> Json:
    """Returns the default as JSON; null for a field that is required."""
    if field.is_required():
        return None
    return _json(field.get_default(call_default_factory=True, validated_data={}))


def same(one: Json, other: Json) -> bool:
    """Returns whether two values are equal as JSON, where `1` equals `1.0` but not `true`."""
    return json.dumps(_whole(one), sort_keys=True) == json.dumps(_whole(other), sort_keys=True)


def bare(annotation: Annotation) -> Annotation:
    """Returns the type without its constraints and without `| None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif is_nullable(annotation):
            rest = [part for part in get_args(annotation) if part is not type(None)]
            annotation = rest[0]
        else:
            return annotation


def is_nullable(annotation: Annotation) -> bool:
    """Returns whether null is a value of the type."""
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def section_of(annotation: Annotation) -> type[BaseModel] | None:
    """Returns the section that stands at a place of this type."""
    inner = bare(annotation)
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def member_of(annotation: Annotation) -> Annotation | None:
    """Returns the type of the values of a mapping with free names."""
    inner = bare(annotation)
    return get_args(inner)[1] if get_origin(inner) is dict else None


def item_of(annotation: Annotation) -> Annotation | None:
    """Returns the type of the items of a list."""
    inner = bare(annotation)
    return get_args(inner)[0] if get_origin(inner) is tuple else None


def is_text(annotation: Annotation) -> bool:
    """Returns whether any text is a value of the type."""
    return bare(annotation) is str


def find(path: Iterable[str]) -> Declared | None:
    """Returns the declaration of a key such as `agents.claude.model`, or None."""
    annotation: Annotation = Config
    field: FieldInfo | None = None
    pattern: list[str] = []
    for part in path:
        section, member, item = section_of(annotation), member_of(annotation), item_of(annotation)
        if section is not None and part in keys_of(section):
            field = keys_of(section)[part]
            annotation = annotation_of(field)
            pattern.append(part)
        elif member is not None:
            annotation = member
            pattern.append("<name>")
        elif item is not None and (part.isdigit() or part == "<n>"):
            annotation = item
            pattern.append("<n>")
        else:
            return None
    return Declared(tuple(pattern), field, annotation) if field is not None else None


def annotation_of(field: FieldInfo) -> Annotation:
    """Returns the field's type with the constraints that were declared beside it."""
    return field.annotation


def declared(model: type[BaseModel] = Config, path: tuple[str, ...] = ()) -> Iterator[Declared]:
    """Yields every key in the order of the file, sections before what is in them, each section once."""
    for key, field in keys_of(model).items():
        here = (*path, key)
        annotation = annotation_of(field)
        yield Declared(here, field, annotation)
        if is_later(field) and section_of(annotation) is None and model is not Config:
            continue
        inner, below = _inside(annotation)
        if inner is not None and inner is not model:
            yield from declared(inner, (*here, *below))


def _inside(annotation: Annotation) -> tuple[type[BaseModel] | None, tuple[str, ...]]:
    section = section_of(annotation)
    if section is not None:
        return section, ()
    for inner, name in ((member_of(annotation), "<name>"), (item_of(annotation), "<n>")):
        if inner is not None:
            model, below = _inside(inner)
            return model, (name, *below)
    return None, ()


def in_words(annotation: Annotation) -> str:
    """Returns the type as a person says it: `whole number or null`, `list of text`."""
    inner = bare(annotation)
    words = _in_words(inner)
    return f"{words} or null" if is_nullable(annotation) else words


def _in_words(inner: Annotation) -> str:
    item, member = item_of(inner), member_of(inner)
    if get_origin(inner) is Literal:
        return " | ".join(str(choice).lower() for choice in get_args(inner))
    if item is not None:
        return f"list of {in_words(item)}"
    if member is not None:
        return f"mapping of names to {in_words(member)}"
    if section_of(inner) is not None:
        return "mapping"
    return _WORDS.get(inner, "anything") if isinstance(inner, type) else "anything"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Returns the known word that was probably meant."""
    by_shape = {_shape(name): name for name in known}
    found = difflib.get_close_matches(_shape(word[:64]), list(by_shape), n=1, cutoff=0.6)
    return by_shape[found[0]] if found else None


def _shape(word: str) -> str:
    return word.lower().replace("-", "_")


def _json(value: object) -> Json:
    if isinstance(value, BaseModel):
        return {key: _json(getattr(value, name)) for name, key in _names(type(value))}
    if isinstance(value, tuple | list):
        return [_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return _whole(value)
    raise TypeError(f"{type(value).__name__} is no configuration value")


def as_json(value: object) -> Json:
    """Returns a configuration value as JSON, whole numbers without a fraction."""
    return _json(value)


def _names(model: type[BaseModel]) -> list[tuple[str, str]]:
    return [(name, info.alias or name) for name, info in model.model_fields.items()]


def _whole(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value
