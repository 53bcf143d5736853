"""Where a value comes from, and what is wrong with it there; free of pydantic so that it imports quickly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Layer(StrEnum):
    """The sources of configuration, in the order in which later ones win."""

    DEFAULT = "default"
    SYSTEM = "system"
    USER = "user"
    REPOSITORY = "repository"
    LOCAL = "local"
    ENVIRONMENT = "environment"
    FLAG = "flag"


SUPPLIED_BY_REPOSITORY = frozenset({Layer.REPOSITORY, Layer.LOCAL})
"""Layers a cloned repository can fill: nothing hinders it from shipping a `workflow.local.yaml`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The place of a value. `file` is a path or the name of a variable; lines count from 1, 0 is none."""

    layer: Layer
    file: str = ""
    line: int = 0
    column: int = 0

    @property
    def place(self) -> str:
        """Returns `file:line`, the variable, or `default`."""
        if not self.file:
            return str(self.layer)
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def cursor(self) -> str:
        """Returns `file:line:column` as editors understand it, or the name of the variable or flag."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.place


DEFAULT = Origin(Layer.DEFAULT)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration, and where."""

    origin: Origin
    sentence: str

    def __str__(self) -> str:
        return f"{self.origin.cursor}: {self.sentence}"


def printable(text: str, limit: int = 200) -> str:
    """Returns `text`, cut at `limit`, with everything escaped that could steer a terminal or reorder text."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:limit])
    return shown + "…" if len(text) > limit else shown
