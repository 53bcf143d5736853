"""Holds what the checks said about a result against the base and the thresholds; decides nothing (pure)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from orchestrator.config.schema import Thresholds
from orchestrator.model.finding import Finding, Severity
from orchestrator.verify.outcome import CheckOutcome, CheckReport, CheckStatus


@dataclass(frozen=True, slots=True)
class AssessedFinding:
    """A finding and whether the base does not have it; without a base every finding is new."""

    finding: Finding
    is_new: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How many findings of each severity were held against the thresholds."""

    major: int = 0
    medium: int = 0
    minor: int = 0


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the checks prove about a result, in sentences a person can check.

    `over` names each threshold exceeded and each thing that demanded cleanness does not allow; `broken` each
    check that gave no answer; `indeterminate` each that fails on the base in just the same way; `unverified`
    each reason why the checks prove less than they seem to; `warnings` what is allowed but worth saying.
    """

    findings: tuple[AssessedFinding, ...]
    counts: Counts
    over: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    indeterminate: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Returns whether nothing stands against the result; it may still be unproved."""
        return not self.over and not self.broken

    @property
    def verified(self) -> bool:
        """Returns whether the result is proved: nothing against it, and every check gave an answer."""
        return self.holds and not self.indeterminate and not self.unverified


def needs_base(head: CheckReport, thresholds: Thresholds, *, require_clean: bool) -> bool:
    """Returns whether the checks must also run on the base before `compare` can tell new from old."""
    if require_clean or thresholds.scope == "all" or not head.complete:
        return False
    told_apart = (CheckStatus.FAILED, CheckStatus.NO_TESTS)
    return any(outcome.findings or outcome.status in told_apart for outcome in head.outcomes)


def compare(
    head: CheckReport, base: CheckReport | None, thresholds: Thresholds, *, require_clean: bool = False
) -> Assessment:
    """Returns what the reports prove about the result that `head` is of.

    With scope `new` only findings that the base lacks count. `require_clean` counts every finding of any
    severity, allows none, and wants each check to have passed. A base report that is not complete is as
    good as none: everything is new then.
    """
    known = base if base is not None and base.complete else None
    pairs = [(outcome, known.outcome_of(outcome.check) if known else None) for outcome in head.outcomes]
    findings = tuple(found for outcome, before in pairs for found in _assess(outcome, before))
    everything = require_clean or thresholds.scope == "all"
    counts = _count([found.finding for found in findings if everything or found.is_new])
    over, warnings = _hold(counts, thresholds, require_clean=require_clean)
    over += tuple(_lost_tests(outcome) for outcome, before in pairs if _has_lost_tests(outcome, before))
    if require_clean:
        over += tuple(
            _unclean(outcome) for outcome in head.outcomes if outcome.status is not CheckStatus.PASSED
        )
    return Assessment(
        findings=findings,
        counts=counts,
        over=over,
        broken=_broken(head),
        indeterminate=tuple(
            f"{outcome.check.name} fails on the base in just the same way."
            for outcome, before in pairs
            if _fails_alike(outcome, before)
        ),
        unverified=_unproved(head),
        warnings=warnings,
    )


def over_thresholds(
    findings: list[Finding], thresholds: Thresholds, *, require_clean: bool = False
) -> tuple[str, ...]:
    """Returns a sentence for each threshold that these findings alone exceed, warnings left out."""
    return _hold(_count(findings), thresholds, require_clean=require_clean)[0]


def _assess(outcome: CheckOutcome, before: CheckOutcome | None) -> list[AssessedFinding]:
    # As many of one identity as the base has are old: the second copy of a known mistake is new.
    old = Counter(finding.identity for finding in before.findings) if before is not None else Counter[str]()
    assessed = []
    for finding in outcome.findings:
        known = old[finding.identity] > 0
        old[finding.identity] -= known
        assessed.append(AssessedFinding(finding, is_new=not known))
    return assessed


def _count(findings: list[Finding]) -> Counts:
    by_severity = Counter(finding.severity for finding in findings)
    return Counts(by_severity[Severity.MAJOR], by_severity[Severity.MEDIUM], by_severity[Severity.MINOR])


def _hold(
    counts: Counts, thresholds: Thresholds, *, require_clean: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    over: list[str] = []
    warnings: list[str] = []
    limits = (
        ("major", counts.major, thresholds.max_major, over),
        (
            "medium",
            counts.medium,
            thresholds.max_medium,
            over if thresholds.on_medium == "fail" else warnings,
        ),
        ("minor", counts.minor, thresholds.max_minor, over),
    )
    for name, count, limit, place in limits:
        allowed = 0 if require_clean else limit
        if allowed is not None and count > allowed:
            (over if require_clean else place).append(_sentence(count, name, allowed))
    return tuple(over), tuple(warnings)


def _sentence(count: int, severity: str, allowed: int) -> str:
    noun = "finding" if count == 1 else "findings"
    return f"{count} {severity} {noun}; {allowed} allowed."


def _fails_alike(outcome: CheckOutcome, before: CheckOutcome | None) -> bool:
    """Tells whether nothing can be learned from a failure because the base fails in just the same way.

    A linter that lists each complaint is no such case: what it does not list is known to be absent.
    """
    if before is None or not outcome.status is before.status is CheckStatus.FAILED:
        return False
    same = Counter(finding.identity for finding in outcome.findings) == Counter(
        finding.identity for finding in before.findings
    )
    grave = any(finding.severity is Severity.MAJOR for finding in outcome.findings)
    return same and (grave or not outcome.itemised)


def _has_lost_tests(outcome: CheckOutcome, before: CheckOutcome | None) -> bool:
    ran = before is not None and before.status in (CheckStatus.PASSED, CheckStatus.FAILED)
    return ran and outcome.status is CheckStatus.NO_TESTS


def _lost_tests(outcome: CheckOutcome) -> str:
    return f"{outcome.check.name} ran no test, while on the base it ran some."


def _broken(head: CheckReport) -> tuple[str, ...]:
    if head.setup_failure is not None:
        return (head.setup_failure,)
    return tuple(
        f"{outcome.check.name} gave no answer: {outcome.detail}."
        for outcome in head.outcomes
        if outcome.status is CheckStatus.BROKEN
    )


def _unclean(outcome: CheckOutcome) -> str:
    words = {
        CheckStatus.NO_TESTS: "ran no test",
        CheckStatus.BROKEN: f"gave no answer: {outcome.detail}",
    }
    return f"{outcome.check.name} {words.get(outcome.status, 'failed')}."


def _unproved(head: CheckReport) -> tuple[str, ...]:
    if head.setup_failure is not None:
        return ()
    if not head.complete:
        return ("The checks were stopped before all had run.",)
    if not head.outcomes:
        return ("No check is configured.",)
    return tuple(
        f"{outcome.check.name} ran no test."
        for outcome in head.outcomes
        if outcome.status is CheckStatus.NO_TESTS
    )
