"""What a check is, how one ended, and what a whole set of them adds up to: plain values."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from orchestrator.model.finding import Category, Finding


class CheckStatus(StrEnum):
    """How a check ended; only `passed` is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    NO_TESTS = "no-tests"


@dataclass(frozen=True, slots=True)
class Check:
    """One configured command.

    `report` names the format of the file it writes to `{report}`, `parse` that of what it prints.
    """

    category: Category
    argv: tuple[str, ...]
    report: Literal["junit"] | None = None
    parse: Literal["ruff", "lines"] | None = None
    number: int = 1

    @property
    def name(self) -> str:
        """Returns `test`, `lint-2`: what messages and file names call it."""
        return str(self.category) if self.number == 1 else f"{self.category}-{self.number}"

    @property
    def key(self) -> str:
        """Returns a hash of what it does, by which head and base, or two attempts, are matched."""
        text = json.dumps([self.category, self.argv, self.report, self.parse])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a check passed: the tree, the check's key, a fingerprint of what else it depended on."""

    tree: str
    check: str
    environment: str
    tests_run: int | None = None


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """How one check ended on one tree.

    `exit_status` is None when it was killed, never started, or was not run again (`reused`);
    `itemised` tells that a parser listed every complaint, so that one not listed is known to be absent;
    `tests_run` counts tests that were not skipped, None where nobody counted;
    `output_path` is the file with all it printed, empty when nothing was started.
    """

    check: Check
    status: CheckStatus
    exit_status: int | None
    findings: tuple[Finding, ...]
    duration_s: float
    output_path: str
    detail: str = ""
    itemised: bool = False
    tests_run: int | None = None
    reused: bool = False
    report_path: str = ""

    @property
    def category(self) -> Category:
        """Returns the category the check is configured under."""
        return self.check.category

    @property
    def argv(self) -> tuple[str, ...]:
        """Returns the command as configured, placeholders included."""
        return self.check.argv


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What all checks said about one tree.

    `complete` is false after a cancel or a passed deadline: then nothing follows from what is missing;
    `setup_failure` says why no check could be run; `receipts` are those of checks that passed,
    reused ones included.
    """

    tree: str
    outcomes: tuple[CheckOutcome, ...]
    receipts: tuple[Receipt, ...] = ()
    setup_failure: str | None = None
    complete: bool = True
    notes: tuple[str, ...] = ()

    def outcome_of(self, check: Check) -> CheckOutcome | None:
        """Returns how the check with the same key ended here, None if it was not run."""
        return next((outcome for outcome in self.outcomes if outcome.check.key == check.key), None)
