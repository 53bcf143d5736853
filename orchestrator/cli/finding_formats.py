"""Findings as text, JSON, SARIF 2.1.0, JUnit XML, GitHub annotations and Markdown; pure functions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.sax.saxutils import escape as escape_xml
from xml.sax.saxutils import quoteattr

from orchestrator import __version__
from orchestrator.model.finding import Category, Finding, Severity
from orchestrator.model.json import Json


class Format(StrEnum):
    """Every form findings can be asked for."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"
    MARKDOWN = "markdown"


@dataclass(frozen=True, slots=True)
class Listed:
    """A finding as it is shown: whether the base lacks it, and whether a later attempt no longer had it."""

    finding: Finding
    is_new: bool = True
    resolved: bool = False


_ORDER = {Severity.MAJOR: 0, Severity.MEDIUM: 1, Severity.MINOR: 2}
_SARIF_LEVEL = {Severity.MAJOR: "error", Severity.MEDIUM: "warning", Severity.MINOR: "note"}
_GITHUB_LEVEL = {Severity.MAJOR: "error", Severity.MEDIUM: "warning", Severity.MINOR: "notice"}


def in_order(findings: Sequence[Listed]) -> tuple[Listed, ...]:
    """Returns open findings before resolved ones, the worst first, then by place."""
    return tuple(
        sorted(
            findings,
            key=lambda item: (item.resolved, _ORDER[item.finding.severity], *_place(item.finding)),
        )
    )


def render(findings: Sequence[Listed], form: Format) -> str:
    """Returns the findings in a form, worst first, ending in a newline unless there is nothing to say."""
    listed = in_order(findings)
    match form:
        case Format.TEXT:
            return "".join(_text_line(item) + "\n" for item in listed)
        case Format.JSON:
            return _dump({"schema_version": 1, "findings": [as_json(item) for item in listed]})
        case Format.SARIF:
            return _sarif(listed)
        case Format.JUNIT:
            return _junit(listed)
        case Format.GITHUB:
            return "".join(_annotation(item.finding) + "\n" for item in listed if not item.resolved)
        case Format.MARKDOWN:
            return _markdown(listed)


def as_json(item: Listed) -> dict[str, Json]:
    """Returns one finding as the object of `findings --json`."""
    finding = item.finding
    file, line = _place(finding)
    return {
        "severity": finding.severity,
        "category": finding.category,
        "message": finding.message,
        "location": finding.location,
        "file": file or None,
        "line": line or None,
        "rule": finding.rule or None,
        "sources": list(finding.sources),
        "identity": finding.identity,
        "new": item.is_new,
        "resolved": item.resolved,
    }


def _place(finding: Finding) -> tuple[str, int]:
    head, _, tail = finding.location.rpartition(":")
    return (head, int(tail)) if head and tail.isdigit() else (finding.location, 0)


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=True, indent=None, separators=(",", ":")) + "\n"


def _text_line(item: Listed) -> str:
    finding = item.finding
    marks = ("" if item.is_new else " (in the base too)") + (" (resolved)" if item.resolved else "")
    place = f"{finding.location}: " if finding.location else ""
    rule = f" [{_told_rule(finding)}]" if _told_rule(finding) else ""
    message = " ".join(finding.message.split())
    return f"{finding.severity:<6} {finding.category:<8} {place}{message}{rule}{marks}"


def _sarif(listed: Sequence[Listed]) -> str:
    """Source: SARIF 2.1.0 (OASIS, 2020)."""
    rules = sorted({_rule_id(item.finding) for item in listed})
    driver: dict[str, Json] = {
        "name": "orchestrator",
        "version": __version__,
        "rules": [{"id": rule} for rule in rules],
    }
    return _dump(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": [_sarif_result(item) for item in listed]}],
        }
    )


def _sarif_result(item: Listed) -> dict[str, Json]:
    finding = item.finding
    result: dict[str, Json] = {
        "ruleId": _rule_id(finding),
        "level": _SARIF_LEVEL[finding.severity],
        "message": {"text": finding.message or "(no message)"},
        "partialFingerprints": {"orchestratorIdentity/v1": finding.identity},
        "baselineState": "absent" if item.resolved else "new" if item.is_new else "unchanged",
    }
    if finding.sources:
        result["properties"] = {"sources": list(finding.sources)}
    file, line = _place(finding)
    if file:
        region: dict[str, Json] = {"region": {"startLine": line}} if line else {}
        location: dict[str, Json] = {"artifactLocation": {"uri": _uri(file)}, **region}
        result["locations"] = [{"physicalLocation": location}]
    return result


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path.encode("utf-8", "surrogateescape"), safe="/")


def _told_rule(finding: Finding) -> str:
    """Returns the rule unless the message begins with it, as that of a test does with the test's name."""
    if finding.sources:
        return ", ".join(finding.sources)
    return "" if finding.message.startswith(finding.rule) else finding.rule


def _rule_id(finding: Finding) -> str:
    if finding.sources:
        return f"{finding.category}/review"
    return f"{finding.category}/{finding.rule}" if finding.rule else str(finding.category)


def _junit(listed: Sequence[Listed]) -> str:
    still = [item.finding for item in listed if not item.resolved]
    suites = [(category, [f for f in still if f.category is category]) for category in Category]
    body = "".join(_junit_suite(category, found) for category, found in suites if found)
    counts = f'tests="{len(still)}" failures="{len(still)}" errors="0"'
    return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites {counts}>\n{body}</testsuites>\n'


def _junit_suite(category: Category, findings: Sequence[Finding]) -> str:
    counts = f'tests="{len(findings)}" failures="{len(findings)}" errors="0"'
    cases = "".join(_junit_case(finding) for finding in findings)
    return f'  <testsuite name="{category}" {counts}>\n{cases}  </testsuite>\n'


def _junit_case(finding: Finding) -> str:
    file, line = _place(finding)
    name = quoteattr(_xml(finding.rule or " ".join(finding.message.split())[:80] or "finding"))
    place = f" file={quoteattr(_xml(file))}" if file else ""
    number = f' line="{line}"' if line else ""
    message = quoteattr(_xml(" ".join(finding.message.split())))
    detail = escape_xml(_xml(f"{finding.location}: {finding.message}" if file else finding.message))
    return (
        f"    <testcase classname={quoteattr(_xml(file or finding.category))} name={name}{place}{number}>\n"
        f'      <failure type="{finding.severity}" message={message}>{detail}</failure>\n'
        "    </testcase>\n"
    )


def _xml(text: str) -> str:
    """Returns the text without what XML 1.0 cannot carry, not even escaped."""
    return "".join(
        c
        if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
        else f"\\x{ord(c):02x}"
        for c in text
    )


def _annotation(finding: Finding) -> str:
    """Source: GitHub workflow commands: data is percent-encoded, in properties `:` and `,` too."""
    file, line = _place(finding)
    properties = {
        "file": file,
        "line": str(line) if line else "",
        "title": f"{finding.category}: {_told_rule(finding)}" if finding.rule else str(finding.category),
    }
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{_GITHUB_LEVEL[finding.severity]} {told}::{_data(finding.message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _markdown(listed: Sequence[Listed]) -> str:
    if not listed:
        return "No findings.\n"
    head = "| severity | category | place | message | state |\n| --- | --- | --- | --- | --- |\n"
    return head + "".join(_markdown_row(item) for item in listed)


def _markdown_row(item: Listed) -> str:
    finding = item.finding
    state = "resolved" if item.resolved else "new" if item.is_new else "in the base too"
    rule = f"{_told_rule(finding)}:" if finding.sources else _told_rule(finding)
    message = f"{rule} {finding.message}".strip()
    cells = (finding.severity, finding.category, finding.location, message, state)
    return "| " + " | ".join(_markdown_cell(cell) for cell in cells) + " |\n"


def _markdown_cell(text: str) -> str:
    quoted = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return quoted.replace("<", "&lt;").replace("`", "\\`")
