from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from orchestrator.config.schema import Thresholds
from orchestrator.model.finding import Category, Finding, Severity
from orchestrator.verify.gate import Counts, compare, needs_base
from orchestrator.verify.outcome import Check, CheckOutcome, CheckReport, CheckStatus

TEST = Check(Category.TEST, ("pytest",))
LINT = Check(Category.LINT, ("ruff",))
DEFAULT = Thresholds()
Status = Literal["passed", "failed", "broken", "no-tests"]


def finding(message: str, severity: Severity = Severity.MAJOR, location: str = "a.py:1") -> Finding:
    return Finding(severity, Category.TEST, message, location)


def lint(message: str) -> Finding:
    return finding(message, Severity.MEDIUM)


def outcome(
    status: Status, findings: Sequence[Finding] = (), *, check: Check = TEST, itemised: bool = False
) -> CheckOutcome:
    return CheckOutcome(
        check=check,
        status=CheckStatus(status),
        exit_status=0 if status == "passed" else 1,
        findings=tuple(findings),
        duration_s=1.0,
        output_path="",
        detail="it is missing" if status == "broken" else "",
        itemised=itemised,
    )


def report(*outcomes: CheckOutcome, complete: bool = True, setup_failure: str | None = None) -> CheckReport:
    return CheckReport("tree", outcomes, complete=complete, setup_failure=setup_failure)


def test_checks_that_pass_prove_the_result() -> None:
    assessment = compare(report(outcome("passed"), outcome("passed", check=LINT)), None, DEFAULT)

    assert assessment.holds
    assert assessment.verified
    assert assessment.findings == ()


def test_without_a_check_nothing_stands_against_the_result_and_nothing_is_proved() -> None:
    assessment = compare(report(), None, DEFAULT)

    assert (assessment.holds, assessment.verified) == (True, False)
    assert assessment.unverified == ("No check is configured.",)


def test_only_findings_that_the_base_lacks_are_new_and_count() -> None:
    head = report(outcome("failed", [finding("old", location="a.py:90"), finding("new")], itemised=True))
    base = report(outcome("failed", [finding("old", location="a.py:7")], itemised=True))

    assessment = compare(head, base, DEFAULT)

    assert [found.is_new for found in assessment.findings] == [False, True]
    assert assessment.counts == Counts(major=1)
    assert assessment.over == ("1 major finding; 0 allowed.",)


def test_without_a_base_everything_is_new() -> None:
    head = report(outcome("failed", [finding("x")]))

    without = compare(head, None, DEFAULT)
    stopped = compare(head, report(outcome("failed", [finding("x")]), complete=False), DEFAULT)

    assert without.over == stopped.over == ("1 major finding; 0 allowed.",)


def test_a_second_copy_of_a_known_mistake_is_new() -> None:
    head = report(outcome("failed", [finding("x"), finding("x"), finding("x")]))
    base = report(outcome("failed", [finding("x")]))

    assessment = compare(head, base, DEFAULT)

    assert [found.is_new for found in assessment.findings] == [False, True, True]


def test_findings_of_one_check_are_not_excused_by_those_of_another() -> None:
    head = report(outcome("failed", [finding("x")]), outcome("passed", check=LINT))
    base = report(outcome("passed"), outcome("failed", [finding("x")], check=LINT))

    assert not compare(head, base, DEFAULT).holds


def test_a_failure_that_cannot_be_told_from_the_bases_is_indeterminate_and_no_pass() -> None:
    same = outcome("failed", [finding("test ended with status 2:\nsomething in 0.31 s", location="")])
    later = outcome("failed", [finding("test ended with status 2:\nsomething in 1.25 s", location="")])

    assessment = compare(report(same), report(later), DEFAULT)

    assert (assessment.holds, assessment.verified) == (True, False)
    assert assessment.indeterminate == ("test fails on the base in just the same way.",)


def test_with_cleanness_demanded_an_indeterminate_failure_does_not_hold() -> None:
    same = outcome("failed", [finding("x")])

    assessment = compare(report(same), report(same), DEFAULT, require_clean=True)

    assert not assessment.holds
    assert assessment.over == ("1 major finding; 0 allowed.", "test failed.")


def test_known_complaints_of_a_linter_that_lists_each_are_no_reason_for_doubt() -> None:
    old = outcome("failed", [lint("a"), lint("b")], check=LINT, itemised=True)

    assessment = compare(report(old), report(old), DEFAULT)

    assert assessment.verified
    assert assessment.counts == Counts()


def test_a_failure_repaired_in_part_can_be_told_apart() -> None:
    head = report(outcome("failed", [finding("a")], itemised=True))
    base = report(outcome("failed", [finding("a"), finding("b")], itemised=True))

    assessment = compare(head, base, DEFAULT)

    assert (assessment.holds, assessment.indeterminate) == (True, ())


@pytest.mark.parametrize(
    ("thresholds", "counts", "over", "warnings"),
    [
        ({}, (0, 5, 99), 0, 0),
        ({}, (0, 6, 0), 0, 1),
        ({"on_medium": "fail"}, (0, 6, 0), 1, 0),
        ({"on_medium": "fail", "max_medium": None}, (0, 600, 0), 0, 0),
        ({}, (1, 0, 0), 1, 0),
        ({"max_major": 1}, (1, 0, 0), 0, 0),
        ({"max_major": None}, (9, 0, 0), 0, 0),
        ({"max_minor": 2}, (0, 0, 3), 1, 0),
        ({"max_minor": 3}, (0, 0, 3), 0, 0),
    ],
)
def test_thresholds(
    thresholds: dict[str, object], counts: tuple[int, int, int], over: int, warnings: int
) -> None:
    severities = (Severity.MAJOR, Severity.MEDIUM, Severity.MINOR)
    pairs = zip(severities, counts, strict=True)
    findings = [finding(f"{s} {'x' * n}", s) for s, count in pairs for n in range(count)]

    assessment = compare(report(outcome("failed", findings)), None, Thresholds.model_validate(thresholds))

    assert (len(assessment.over), len(assessment.warnings)) == (over, warnings)
    assert assessment.counts == Counts(*counts)


def test_demanded_cleanness_counts_every_finding_of_every_severity() -> None:
    head = report(outcome("passed", [finding("note", Severity.MINOR)]))

    assessment = compare(head, head, DEFAULT, require_clean=True)

    assert assessment.over == ("1 minor finding; 0 allowed.",)


def test_demanded_cleanness_fails_on_medium_findings_that_would_only_warn() -> None:
    head = report(outcome("failed", [lint("x")], check=LINT, itemised=True))

    assessment = compare(head, None, DEFAULT, require_clean=True)

    assert assessment.over == ("1 medium finding; 0 allowed.", "lint failed.")


def test_scope_all_counts_old_findings_against_the_thresholds() -> None:
    same = report(outcome("failed", [finding("x")]))

    assessment = compare(same, same, Thresholds(scope="all"))

    assert assessment.over == ("1 major finding; 0 allowed.",)
    assert [found.is_new for found in assessment.findings] == [False]


def test_a_check_that_gave_no_answer_does_not_hold() -> None:
    assessment = compare(report(outcome("broken")), report(outcome("broken")), DEFAULT)

    assert not assessment.holds
    assert assessment.broken == ("test gave no answer: it is missing.",)
    assert assessment.indeterminate == ()


def test_a_failed_setup_does_not_hold_and_is_told_once() -> None:
    assessment = compare(report(setup_failure="Setup failed: `x`."), None, DEFAULT)

    assert assessment.broken == ("Setup failed: `x`.",)
    assert assessment.unverified == ()


def test_no_test_at_all_is_unverified_and_tests_that_got_lost_do_not_hold() -> None:
    none = report(outcome("no-tests"))

    never = compare(none, none, DEFAULT)
    unknown = compare(none, None, DEFAULT)
    lost = compare(none, report(outcome("passed")), DEFAULT)
    demanded = compare(none, None, DEFAULT, require_clean=True)

    assert (never.holds, never.verified, unknown.holds, unknown.verified) == (True, False, True, False)
    assert lost.over == ("test ran no test, while on the base it ran some.",)
    assert demanded.over == ("test ran no test.",)


def test_a_report_that_is_not_complete_proves_nothing() -> None:
    assessment = compare(report(outcome("passed"), complete=False), None, DEFAULT)

    assert not assessment.verified


def test_demanded_cleanness_names_a_check_that_gave_no_answer() -> None:
    assessment = compare(report(outcome("broken")), None, DEFAULT, require_clean=True)

    assert assessment.over == ("test gave no answer: it is missing.",)


@pytest.mark.parametrize(
    ("head", "options", "expected"),
    [
        (report(outcome("passed")), {}, False),
        (report(outcome("failed")), {}, True),
        (report(outcome("no-tests")), {}, True),
        (report(outcome("passed", [lint("x")])), {}, True),
        (report(outcome("broken")), {}, False),
        (report(outcome("failed"), complete=False), {}, False),
        (report(outcome("failed")), {"require_clean": True}, False),
    ],
)
def test_the_base_is_checked_only_where_new_and_old_must_be_told_apart(
    head: CheckReport, options: dict[str, bool], expected: bool
) -> None:
    assert needs_base(head, DEFAULT, require_clean=options.get("require_clean", False)) is expected
    assert not needs_base(head, Thresholds(scope="all"), require_clean=False)
