"""Findings: what a check complains about, how bad it is, and when two of them are the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.model.ids import ExecutionId, FindingId, RunId


class Severity(StrEnum):
    """How bad a finding is."""

    MAJOR = "major"
    MEDIUM = "medium"
    MINOR = "minor"


class Category(StrEnum):
    """Which kind of check made a finding."""

    BUILD = "build"
    TEST = "test"
    LINT = "lint"
    SECURITY = "security"
    CUSTOM = "custom"


DEFAULT_SEVERITY = {
    Category.BUILD: Severity.MAJOR,
    Category.TEST: Severity.MAJOR,
    Category.SECURITY: Severity.MAJOR,
    Category.LINT: Severity.MEDIUM,
    Category.CUSTOM: Severity.MAJOR,
}
"""Severity of a finding whose check says none. Source: DESIGN.md section 7."""

REVIEW = "review:"
"""How the rule of a finding begins that agents made; the names of these agents follow, parted by commas."""

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(frozen=True, slots=True)
class Finding:
    """One complaint of one check about one place.

    `location` is `file:line`, `file`, or empty; `rule` the tool's own name for the complaint (`F401`);
    `context` the text of the line complained about, which keeps the identity when lines shift. The rule of
    what reviewers found names them (`review:claude,gemini`).
    """

    severity: Severity
    category: Category
    message: str
    location: str = ""
    rule: str = ""
    context: str = ""

    @property
    def identity(self) -> str:
        """Returns a hash that stays the same while line numbers and counts in the message change."""
        file = self.location.rsplit(":", 1)[0] if _has_line(self.location) else self.location
        message = _NUMBER.sub("#", _plain(self.message))
        category, rule = str(self.category), self.rule
        if self.sources:  # whoever says it, and whatever they take it for
            category, rule = "", REVIEW
        parts = (category, rule, file, message, " ".join(self.context.split()))
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @property
    def sources(self) -> tuple[str, ...]:
        """Returns the names of the agents that made the finding; none for what a check complains about."""
        if not self.rule.startswith(REVIEW):
            return ()
        return tuple(name for name in self.rule.removeprefix(REVIEW).split(",") if name)

    @property
    def claim(self) -> tuple[str, str]:
        """Returns place and message; reviewers who agree in both have found the same."""
        return self.location, _plain(self.message).rstrip(".")


@dataclass(frozen=True, slots=True)
class RecordedFinding:
    """A finding of an execution, with whether a later execution no longer had it."""

    id: FindingId
    run_id: RunId
    execution_id: ExecutionId
    finding: Finding
    is_new: bool
    resolved: bool
    resolved_at: datetime | None
    created_at: datetime


def review_rule(sources: Iterable[str]) -> str:
    """Returns the rule of a finding that these agents made, each named once."""
    return REVIEW + ",".join(dict.fromkeys(sources))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _has_line(location: str) -> bool:
    head, _, tail = location.rpartition(":")
    return bool(head) and tail.isdigit()
