from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.model.finding import DEFAULT_SEVERITY, Category, Finding, Severity

FINDING = Finding(
    Severity.MEDIUM, Category.LINT, "Line 12 has 120 > 100 characters", "src/app.py:12", "E501", "  x = 1"
)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(line=st.integers(1, 10**6), numbers=st.lists(st.integers(0, 999), min_size=3, max_size=3))
def test_identity_stays_while_lines_and_counts_change(line: int, numbers: list[int]) -> None:
    message = "line  {} has {} > {} Characters".format(*numbers)

    moved = replace(FINDING, message=message, location=f"src/app.py:{line}", severity=Severity.MAJOR)

    assert moved.identity == FINDING.identity


@pytest.mark.parametrize(
    "change",
    [
        {"category": Category.TEST},
        {"rule": "F401"},
        {"location": "src/other.py:12"},
        {"location": ""},
        {"message": "something else"},
        {"context": "y = 2"},
    ],
)
def test_identity_differs_where_the_complaint_differs(change: dict[str, str]) -> None:
    assert replace(FINDING, **change).identity != FINDING.identity  # type: ignore[arg-type]


@given(one=st.tuples(TEXT, TEXT), other=st.tuples(TEXT, TEXT))
def test_parts_of_the_identity_never_run_into_each_other(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assume(one != other)
    first, second = (
        Finding(Severity.MINOR, Category.CUSTOM, "m", location=file, rule=rule) for rule, file in (one, other)
    )
    assume([_file(one[1]), one[0]] != [_file(other[1]), other[0]])

    assert first.identity != second.identity


def _file(location: str) -> str:
    head, _, tail = location.rpartition(":")
    return head if head and tail.isdigit() else location


@given(text=st.text(st.characters(categories=["Cs", "L", "P"]), max_size=10))
def test_any_text_has_an_identity(text: str) -> None:
    finding = Finding(Severity.MINOR, Category.CUSTOM, text, text, text, text)

    assert len(finding.identity) == 32
    assert finding.identity == replace(finding).identity


@pytest.mark.parametrize(
    ("location", "same_as"),
    [("a.py:1", "a.py"), ("a.py:1", "a.py:99"), ("C:/a.py:3", "C:/a.py:4"), ("a:b.py", "a:b.py:2")],
)
def test_the_line_is_no_part_of_the_identity_but_the_file_is(location: str, same_as: str) -> None:
    assert replace(FINDING, location=location).identity == replace(FINDING, location=same_as).identity
    assert replace(FINDING, location=location).identity != replace(FINDING, location="other").identity


def test_every_category_has_a_severity_of_its_own() -> None:
    assert set(DEFAULT_SEVERITY) == set(Category)
    assert DEFAULT_SEVERITY[Category.LINT] is Severity.MEDIUM
