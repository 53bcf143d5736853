"""Concludes from a check's end and its output whether it passed and what it complains about."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.model.finding import DEFAULT_SEVERITY, Category, Finding, Severity
from orchestrator.process.command import Ended
from orchestrator.verify.junit import parse_junit
from orchestrator.verify.lines import parse_lines
from orchestrator.verify.outcome import Check, CheckStatus
from orchestrator.verify.output import Printed, last_lines, plain_text, read_regular
from orchestrator.verify.parsed import Parsed
from orchestrator.verify.ruff_json import parse_ruff
from orchestrator.verify.sources import Sources

MAX_REPORT_BYTES = 32 << 20
MAX_OUTPUT_BYTES = 16 << 20

_NO_TESTS_STATUS = 5
_NO_TESTS_SAID = re.compile(r"^(?:=*\s*no tests ran in |Ran 0 tests in |(?:#|\u2139) tests 0$)", re.MULTILINE)
_GO_PACKAGE = re.compile(r"^(?:ok|FAIL|---|\?)\s+\S+", re.MULTILINE)
_GO_NO_TESTS = re.compile(r"^(?:\?\s+\S+\s+\[no test files\]|ok\s+\S+\s.*\[no tests to run\])$", re.MULTILINE)
_GRAVITY = {Severity.MINOR: 0, Severity.MEDIUM: 1, Severity.MAJOR: 2}


@dataclass(frozen=True, slots=True)
class Judged:
    """The conclusion about one end of one check."""

    status: CheckStatus
    findings: tuple[Finding, ...] = ()
    detail: str = ""
    itemised: bool = False
    tests_run: int | None = None


def judge(
    check: Check, ended: Ended, *, tree: Path, output: Path, report: Path, stdout: Printed, stderr: Printed
) -> Judged:
    """Returns what follows from how the check ended and what it left in `output` and `report`.

    `output` holds both streams mixed as they came. The exit status can only make it worse:
    status 0 with failures in the report has failed, and a test command is no pass unless some test was run,
    or nobody could count.
    """
    if ended.cause != "exited" or ended.exit_status is None:
        return Judged(CheckStatus.BROKEN, detail=_why_broken(ended))
    text = _without_paths(_text_of(output), tree, report)
    parsed = _parse(check, ended.exit_status, text, report, bytes(stdout.head), Sources(tree))
    if check.category is Category.TEST and _ran_no_test(check, ended.exit_status, text, parsed):
        return Judged(CheckStatus.NO_TESTS, detail="no test was run", tests_run=0)
    if check.report is not None and parsed.problem and ended.exit_status == 0:
        return Judged(CheckStatus.BROKEN, detail=f"it ended well, but {parsed.problem}")
    end = _without_paths(_end_of(stdout, stderr), tree, report)
    return _concluded(check, ended.exit_status, end, parsed)


def _concluded(check: Check, exit_status: int, end: str, parsed: Parsed) -> Judged:
    complaints = [found for found in parsed.findings if found.severity is not Severity.MINOR]
    detail = f"{parsed.dropped} more findings were not kept" if parsed.dropped else parsed.problem
    itemised = _is_itemised(check, parsed)
    passed = exit_status == 0 and not complaints
    judged = Judged(
        CheckStatus.PASSED if passed else CheckStatus.FAILED,
        parsed.findings,
        detail,
        itemised,
        parsed.tests_run,
    )
    if exit_status == 0 or _explained(check, parsed):
        return judged
    return replace(judged, findings=(*parsed.findings, _failure(check, exit_status, end)), itemised=False)


def _why_broken(ended: Ended) -> str:
    if ended.cause == "deadline":
        return f"it did not end in {ended.wall_s:.0f} s and was stopped"
    if ended.cause == "idle":
        return f"it was silent for too long and was stopped after {ended.wall_s:.0f} s"
    if ended.signal is not None:
        return f"it was killed by signal {ended.signal}"
    return ended.detail or "it could not be started"


def _text_of(output: Path) -> str:
    content = read_regular(output, limit_bytes=MAX_OUTPUT_BYTES)
    return plain_text(content.data) if content is not None else ""


def _end_of(stdout: Printed, stderr: Printed) -> str:
    # One after the other: how the two mix differs from run to run, and with it the finding would.
    ends = (last_lines(plain_text(stream.tail), lines=12, characters=1200) for stream in (stdout, stderr))
    return "\n".join(end for end in ends if end)


def _without_paths(text: str, tree: Path, report: Path) -> str:
    # The same failure in the trees of head and base must read the same.
    text = text.replace(str(report), "{report}")
    for place in {str(tree.resolve()), str(tree)}:
        text = text.replace(place + "/", "")
    return text


def _parse(
    check: Check, exit_status: int, text: str, report: Path, stdout: bytes, sources: Sources
) -> Parsed:
    if check.report == "junit":
        return _parse_report(check, report, sources)
    if check.parse == "ruff":
        return parse_ruff(plain_text(stdout), category=check.category, sources=sources)
    # Unasked, lines are looked at only after a failure: a passing pytest prints warnings in the same form.
    if check.parse == "lines" or (exit_status != 0 and check.category is not Category.TEST):
        return parse_lines(text, category=check.category, sources=sources)
    return Parsed()


def _parse_report(check: Check, report: Path, sources: Sources) -> Parsed:
    content = read_regular(report, limit_bytes=MAX_REPORT_BYTES)
    if content is None:
        return Parsed(problem="it wrote no report")
    if content.cut:
        return Parsed(problem=f"its report is larger than {MAX_REPORT_BYTES >> 20} MiB")
    return parse_junit(content.data, category=check.category, sources=sources)


def _is_itemised(check: Check, parsed: Parsed) -> bool:
    asked = check.report is not None or check.parse is not None or check.category is Category.LINT
    return asked and not parsed.problem and not parsed.dropped


def _explained(check: Check, parsed: Parsed) -> bool:
    least = _GRAVITY[DEFAULT_SEVERITY[check.category]]
    return any(_GRAVITY[finding.severity] >= least for finding in parsed.findings)


def _ran_no_test(check: Check, exit_status: int, text: str, parsed: Parsed) -> bool:
    if parsed.tests_run is not None:
        return parsed.tests_run == 0 and not parsed.findings
    runner = any(re.search(r"(?:^|/)(?:pytest|py\.test|unittest)\b", word) for word in check.argv)
    if exit_status == _NO_TESTS_STATUS and runner:
        return True
    packages = _GO_PACKAGE.findall(text)
    return bool(_NO_TESTS_SAID.search(text)) or (
        bool(packages) and len(packages) == len(_GO_NO_TESTS.findall(text))
    )


def _failure(check: Check, exit_status: int, end: str) -> Finding:
    sentence = f"{check.name} ended with status {exit_status}"
    return Finding(Severity.MAJOR, check.category, f"{sentence}:\n{end}" if end else f"{sentence}.")
