"""Turns a reviewer's answer into findings: JSON as it was asked for, read with tolerance for its form."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.finding import Category, Finding, Severity, review_rule
from orchestrator.model.json import Json
from orchestrator.model.loose_json import found_in

ANSWER_FORMAT = """\
Answer with your findings as JSON in one block like this one, and say nothing after it:

```json
{"findings": [
  {"severity": "major", "category": "custom", "location": "path/to/file.py:12",
   "message": "What is wrong, why, and what would be better."}
]}
```

severity: major (it must not stay so), medium or minor. category: build, test, lint, security or custom.
location: the file in this directory, with the line where there is one; "" where there is none. Say again what
was found before and still holds: what you leave out counts as done. When there is nothing to say, answer with
{"findings": []}"""
"""What reviewers are told about the form of their answer."""

MAX_FINDINGS = 500
_MAX_MESSAGE = 4000
_LISTS = ("findings", "suggestions", "issues", "comments", "problems", "review")
_MESSAGES = ("message", "description", "issue", "problem", "comment", "text", "title", "suggestion")
_FILES = ("location", "file", "path", "filename", "place")
_LINES = ("line", "line_number", "start_line")
_MARKS = ("severity", "category", *_FILES)
_BETTER = ("suggestion", "fix", "recommendation")
_SEVERITIES = {
    **dict.fromkeys(("critical", "blocker", "severe", "error", "high", "major"), Severity.MAJOR),
    **dict.fromkeys(("medium", "moderate", "warning", "warn", "normal"), Severity.MEDIUM),
    **dict.fromkeys(("low", "minor", "info", "note", "nit", "trivial", "style"), Severity.MINOR),
}


@dataclass(frozen=True, slots=True)
class Review:
    """What a reviewer found; `problem` tells why its answer cannot be read; then there are none."""

    findings: tuple[Finding, ...] = ()
    problem: str = ""


def read_review(answer: str, *, reviewer: str, worktree: str, usual: Severity) -> Review:
    """Returns the findings in an answer, each once; `usual` is the severity of those that name none.

    `worktree` is taken off places that begin with it. An empty list is a clean review; an answer without any
    list of findings, or with one that says nothing, has a problem.
    """
    if not answer.strip():
        return Review(problem="there is no answer")
    lists = found_in(answer, _items, alone=lambda value: isinstance(value, list) and not value)
    if not lists:
        return Review(problem="it holds no JSON list of findings")
    whole = [each for each in lists if each.is_list]
    items = whole[-1].items if whole else tuple(item for each in lists for item in each.items)
    findings: dict[tuple[str, str], Finding] = {}
    for number, item in enumerate(items[:MAX_FINDINGS], 1):
        finding = _finding(item, reviewer, worktree, usual)
        if finding is None:
            return Review(problem=f"its finding {number} has no message")
        findings.setdefault(finding.claim, finding)
    return Review(tuple(findings.values()))


@dataclass(frozen=True, slots=True)
class _Items:
    """The findings of one JSON value; several values that are a finding each belong together."""

    items: tuple[Json, ...]
    is_list: bool = True


def _items(value: Json) -> _Items | None:
    if isinstance(value, list | tuple):
        fit = all(isinstance(item, Mapping) and _first(item, _MESSAGES) is not None for item in value)
        return _Items(tuple(value)) if fit else None
    if not isinstance(value, Mapping):
        return None
    for name in _LISTS:
        inner = value.get(name)
        if isinstance(inner, list | tuple):
            return _Items(tuple(inner))
        if isinstance(inner, Mapping) and _first(inner, _MESSAGES) is None:
            return _items(inner)
    is_finding = isinstance(_first(value, _MESSAGES), str) and _first(value, _MARKS) is not None
    return _Items((value,), is_list=False) if is_finding else None


def _finding(item: Json, reviewer: str, worktree: str, usual: Severity) -> Finding | None:
    if isinstance(item, str):
        item = {"message": item}
    if not isinstance(item, Mapping):
        return None
    message = _message(item)
    if not message:
        return None
    severity = _SEVERITIES.get(_word(item.get("severity")) or _word(item.get("priority")), usual)
    named = _word(item.get("category"))
    category = Category(named) if named in tuple(Category) else Category.CUSTOM
    return Finding(severity, category, message, _location(item, worktree), review_rule((reviewer,)))


def _message(item: Mapping[str, Json]) -> str:
    said = _first(item, _MESSAGES)
    better = _first(item, _BETTER)
    parts = [part.strip() for part in (said, better if better != said else None) if isinstance(part, str)]
    return " ".join(part for part in parts if part)[:_MAX_MESSAGE]


def _location(item: Mapping[str, Json], worktree: str) -> str:
    place = _first(item, _FILES)
    if isinstance(place, Mapping):
        return _location(place, worktree)
    file = place.strip() if isinstance(place, str) else ""
    inside = worktree.rstrip(os.sep) + os.sep
    file = file.removeprefix(inside).removeprefix("./")
    line = _first(item, _LINES)
    has_line = file.rpartition(":")[2].isdigit()
    return f"{file}:{line}" if file and not has_line and isinstance(line, int) and line > 0 else file


def _first(item: Mapping[str, Json], names: tuple[str, ...]) -> Json:
    return next((item[name] for name in names if item.get(name) not in (None, "")), None)


def _word(value: Json) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
