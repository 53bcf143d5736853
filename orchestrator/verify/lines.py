"""Parses `file:line:col: message` lines, as compilers, mypy, `go vet` and most linters print them."""

from __future__ import annotations

import re

from orchestrator.model.finding import DEFAULT_SEVERITY, Category, Finding, Severity
from orchestrator.verify.output import one_line
from orchestrator.verify.parsed import MAX_FINDINGS, Parsed, keep
from orchestrator.verify.sources import Sources

_MAX_LINE = 2000
_LINE = re.compile(
    r"(?P<file>(?:[A-Za-z]:[\\/])?[^\s:][^:]{0,400}):(?P<line>\d{1,9})(?::\d{1,9})?:\s+(?P<message>\S.*)"
)
_LEVEL = re.compile(r"(?:fatal )?(error|warning|note|info|help)\b[:\s]\s*", re.IGNORECASE)
_LAST_RULE = re.compile(r"\s\[([A-Za-z][\w./-]{1,60})\]$")
_FIRST_RULE = re.compile(r"\[?([A-Z]{1,5}\d{2,5})\]?[:\s]")


def parse_lines(text: str, *, category: Category, sources: Sources) -> Parsed:
    """Returns a finding for each line that names a file which exists in the tree.

    Notes are minor, warnings at most medium, everything else has the severity of its category.
    """
    findings: list[Finding] = []
    seen = 0
    for line in text.splitlines():
        found = _LINE.match(line[:_MAX_LINE].strip())
        if found is None:
            continue
        relative = sources.relative(found["file"])
        if relative is None or not sources.has(relative):
            continue
        seen += 1
        if seen <= MAX_FINDINGS:
            findings.append(_finding(found, category, sources))
    return keep(findings, seen=seen)


def _finding(found: re.Match[str], category: Category, sources: Sources) -> Finding:
    message, number = found["message"], int(found["line"])
    level = _LEVEL.match(message)
    if level is not None:
        message = message[level.end() :]
    return Finding(
        severity=_severity(level[1].lower() if level is not None else "", category),
        category=category,
        message=one_line(message) or found["message"],
        location=sources.location(found["file"], number),
        rule=_rule(message),
        context=sources.context(found["file"], number),
    )


def _severity(level: str, category: Category) -> Severity:
    if level in ("note", "info", "help"):
        return Severity.MINOR
    default = DEFAULT_SEVERITY[category]
    return Severity.MEDIUM if level == "warning" and default is Severity.MAJOR else default


def _rule(message: str) -> str:
    found = _LAST_RULE.search(message) or _FIRST_RULE.match(message)
    return found[1] if found is not None else ""
