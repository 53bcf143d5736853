"""Findings: what a check complains about, how bad it is, and when two of them are the same."""

from __future__ import annotations

import hashlib
import re
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

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(frozen=True, slots=True)
class Finding:
    """One complaint of one check about one place.

    `location` is `file:line`, `file`, or empty; `rule` the tool's own name for the complaint (`F401`);
    `context` the text of the line complained about, which keeps the identity when lines shift.
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
        message = _NUMBER.sub("#", " ".join(self.message.split()).casefold())
        parts = (self.category, self.rule, file, message, " ".join(self.context.split()))
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


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


def _has_line(location: str) -> bool:
    head, _, tail = location.rpartition(":")
    return bool(head) and tail.isdigit()
