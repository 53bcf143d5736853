"""Carries file names through JSON: bytes that are no UTF-8 as base64, everything else as it is."""

from __future__ import annotations

import base64
import os
from typing import Annotated, TypeAlias

from pydantic import PlainSerializer, PlainValidator, ValidationInfo

_MARK = "base64:"


def encode_name(name: str) -> str:
    """Returns a path as JSON can hold it; one that only looks encoded is encoded too."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return _MARK + base64.b64encode(os.fsencode(name)).decode()
    return _MARK + base64.b64encode(name.encode()).decode() if name.startswith(_MARK) else name


def decode_name(text: str) -> str:
    """Returns the path that `encode_name` encoded."""
    if text.startswith(_MARK):
        return os.fsdecode(base64.b64decode(text.removeprefix(_MARK), validate=True))
    return text


def _validated(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str):
        raise ValueError("a path is text")
    name = decode_name(value) if info.mode == "json" else value
    if "\0" in name:
        raise ValueError("a path holds no NUL")
    return name


Name: TypeAlias = Annotated[str, PlainValidator(_validated), PlainSerializer(encode_name, return_type=str)]
"""A path in memory as Python has it (surrogates for odd bytes), in JSON as `encode_name` writes it."""
