"""What a migration kept of an earlier layout, and how its takeover says what it could not use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Original:
    """One file or directory of an earlier layout: where it was (`source`, relative, POSIX) and is (`path`).

    `layout` and `kind` are the words of the catalogue: `w` and `state`, for instance.
    """

    layout: str
    kind: str
    source: str
    path: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of an original that could not be used, and why; the original stays as it is."""

    source: str
    sentence: str


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """A key of an old configuration file that says nothing to `workflow.yaml`; its value is never shown."""

    file: str
    line: int
    key: str
    reason: str
