"""Reads files that earlier tools, or strangers, wrote: bounded, never waiting, following no link.

Standard library only: `status` reads the old place with it until somebody migrates.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.model.json import Json, JsonObject

MAX_OBJECT_BYTES = 16 * 1024 * 1024
MAX_LINES_BYTES = 64 * 1024 * 1024
_MAX_LINE_BYTES = 1024 * 1024
_CAUTION = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC")
_FLAGS = sum((getattr(os, name, 0) for name in _CAUTION), os.O_RDONLY)


class Unusable(Exception):
    """A file of an earlier tool cannot be used; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The JSON objects of a `.jsonl` file in their order.

    `broken` counts lines that are none (a torn last one is common); `is_whole` is False when the file is
    longer than what is read, and the oldest lines are left out.
    """

    objects: tuple[JsonObject, ...]
    broken: int
    is_whole: bool


def read_object(path: Path) -> JsonObject:
    """Returns the JSON object that a file holds.

    Raises:
        Unusable: it is no regular file, larger than 16 MiB, cannot be read, or holds no JSON object.
    """
    data, is_whole = _read(path, MAX_OBJECT_BYTES)
    if not is_whole:
        raise Unusable(f"is larger than {MAX_OBJECT_BYTES:,} bytes")
    try:
        document = _parsed(data)
    except RecursionError:
        raise Unusable("is nested too deeply") from None
    except ValueError:
        raise Unusable("is not JSON") from None
    if not isinstance(document, Mapping):
        raise Unusable("holds no JSON object")
    return document


def read_lines(path: Path, limit_bytes: int = MAX_LINES_BYTES) -> Lines:
    """Returns the objects of a `.jsonl` file, those at its end when it is longer than the limit.

    Raises:
        Unusable: it is no regular file or cannot be read.
    """
    data, is_whole = _read(path, limit_bytes)
    lines = data.split(b"\n")
    if not is_whole:
        del lines[0]
    objects: list[JsonObject] = []
    broken = 0
    for line in lines:
        if not line.strip():
            continue
        found = _object_of(line)
        if found is None:
            broken += 1
        else:
            objects.append(found)
    return Lines(tuple(objects), broken, is_whole)


def _object_of(line: bytes) -> JsonObject | None:
    if len(line) > _MAX_LINE_BYTES:
        return None
    try:
        found = _parsed(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _parsed(data: bytes) -> Json:
    document: Json = json.loads(data.decode("utf-8-sig", "replace"))
    return document


def _read(path: Path, limit_bytes: int) -> tuple[bytes, bool]:
    """Returns the last `limit_bytes` of a file, and whether that is all of it."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise Unusable(f"cannot be read: {_reason(error)}") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise Unusable("is not a regular file")
        start = max(0, facts.st_size - limit_bytes)
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(start)
            return file.read(limit_bytes), start == 0
    except OSError as error:
        raise Unusable(f"cannot be read: {_reason(error)}") from error
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
