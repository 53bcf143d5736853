"""Parses JUnit XML reports, written by programs that nobody vouches for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.parsers import expat

from junitparser import Error, Failure, Skipped, TestCase

from orchestrator.model.finding import DEFAULT_SEVERITY, Category, Finding
from orchestrator.verify.output import one_line, plain_text
from orchestrator.verify.parsed import MAX_FINDINGS, Parsed, keep
from orchestrator.verify.sources import Sources

_MAX_DEPTH = 64
_MAX_ELEMENTS = 1_000_000
_MAX_TEXT = 20_000
_PLACE = re.compile(r"^\s*(?:File \"?)?([^\s:\"][^:\"\n]{0,300})(?:\"?, line |:)(\d{1,9})\b", re.MULTILINE)
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class _Unreadable(Exception):
    """The report is no XML that we accept; the text says why."""


def parse_junit(data: bytes, *, category: Category, sources: Sources) -> Parsed:
    """Returns a finding for each failed test and how many tests were run (skipped ones were not).

    A document type, and with it every kind of entity, is refused; control characters, which many tools
    let through from what a test printed, are dropped.
    """
    try:
        root = _tree(data)
    except (_Unreadable, expat.ExpatError) as error:
        return Parsed(problem=f"its JUnit report cannot be read: {error}")
    if root.tag not in ("testsuites", "testsuite"):
        return Parsed(problem=f"its JUnit report starts with <{root.tag[:40]}>")
    findings: list[Finding] = []
    run = failed = 0
    for element in root.iter("testcase"):
        case: TestCase = TestCase.fromelem(element)  # type: ignore[no-untyped-call]
        result = list(case.result)
        run += not any(isinstance(each, Skipped) for each in result)
        complaint = next((each for each in result if isinstance(each, Failure | Error)), None)
        if complaint is not None:
            failed += 1
            if failed <= MAX_FINDINGS:
                findings.append(_finding(case, element, complaint, category, sources))
    return keep(findings, tests_run=run, seen=failed)


def _tree(data: bytes) -> ElementTree.Element:
    builder = ElementTree.TreeBuilder()
    depth = elements = 0

    def start(tag: str, attributes: Mapping[str, str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > _MAX_DEPTH or elements > _MAX_ELEMENTS:
            raise _Unreadable("it is nested too deeply or too large")
        builder.start(tag.rpartition(":")[2], dict(attributes))

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag.rpartition(":")[2])

    def refuse(*_: object) -> None:
        raise _Unreadable("it declares a document type or entities")

    # UTF-8 whatever the declaration says: other encodings have no place in a report made a moment ago.
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    parser.Parse(_FORBIDDEN.sub(b"", data).decode("utf-8", "replace").encode(), True)
    return builder.close()


def _finding(
    case: TestCase,
    element: ElementTree.Element,
    complaint: Failure | Error,
    category: Category,
    sources: Sources,
) -> Finding:
    text = _clean(complaint.text or "")[:_MAX_TEXT]
    message = one_line(_clean(complaint.message or "")) or one_line(text.strip().partition("\n")[0])
    name = "::".join(_clean(part) for part in (case.classname, case.name) if part) or "a test"
    file, line = _place(element.attrib, text, sources)
    return Finding(
        severity=DEFAULT_SEVERITY[category],
        category=category,
        message=f"{one_line(name)} failed: {message}" if message else f"{one_line(name)} failed",
        location=sources.location(file, line),
        rule=one_line(name),
        context=sources.context(file, line),
    )


def _place(attributes: Mapping[str, str], text: str, sources: Sources) -> tuple[str, int | None]:
    # The last place inside the tree is where the assertion stands; frames of libraries lie outside.
    for file, line in reversed(_PLACE.findall(text)):
        relative = sources.relative(file)
        if relative is not None and sources.has(relative):
            return file, int(line)
    file, line = attributes.get("file", ""), attributes.get("line", "")
    return file, int(line) if line.isdecimal() and len(line) < 10 else None


def _clean(text: str) -> str:
    return plain_text(text.encode("utf-8", "replace"))
