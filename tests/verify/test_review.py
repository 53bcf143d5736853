from __future__ import annotations

import json

import pytest

from orchestrator.model.finding import Category, Finding, Severity
from orchestrator.verify.review import ANSWER_FORMAT, Review, read_review

ONE = {"severity": "major", "category": "security", "location": "a.py:3", "message": "It is wrong."}


def read(answer: str) -> Review:
    return read_review(answer, reviewer="gemini", worktree="/trees/main", usual=Severity.MEDIUM)


def only(answer: str) -> Finding:
    [found] = read(answer).findings
    return found


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps({"findings": [ONE]}),
        json.dumps([ONE]),
        json.dumps(ONE),
        f"Here:\n```json\n{json.dumps({'findings': [ONE]}, indent=1)}\n```\nBye.",
        f"~~~\n{json.dumps([ONE])}\n~~~",
        f"I think {json.dumps({'findings': [ONE]})} is all.",
        f'{{"findings": [{json.dumps(ONE)},],}}',
        f'{{"review": {{"issues": [{json.dumps(ONE)}]}}}}',
        f"```json\n{json.dumps({'findings': []})}\n```\nNo, rather:\n```json\n{json.dumps([ONE])}\n```",
    ],
)
def test_findings_are_read_in_every_form_in_which_models_write_them(answer: str) -> None:
    found = only(answer)

    assert (found.severity, found.category) == (Severity.MAJOR, Category.SECURITY)
    assert (found.location, found.message, found.sources) == ("a.py:3", "It is wrong.", ("gemini",))


@pytest.mark.parametrize("answer", ['{"findings": []}', "[]", 'All is well.\n```\n{"findings": [],}\n```\n'])
def test_an_empty_list_is_a_clean_review(answer: str) -> None:
    assert read(answer) == Review()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n",
        "No findings.",
        "The list [] is empty.",
        "{}",
        "null",
        "[1, 2]",
        '{"findings": null}',
        '{"findings": [{"severity": "major"}]}',
        '{"findings": [null]}',
        '{"findings": [',
        "[" * 100_000,
        '{"name": "package", "description": "no finding"}',
    ],
)
def test_what_holds_no_findings_is_a_problem_and_never_a_clean_review(answer: str) -> None:
    review = read(answer)

    assert review.problem
    assert review.findings == ()


def test_two_findings_told_one_by_one_belong_together() -> None:
    answer = f"First {json.dumps(ONE)} and then {json.dumps({**ONE, 'message': 'Another.'})}."

    assert [found.message for found in read(answer).findings] == ["It is wrong.", "Another."]


def test_names_of_others_for_the_same_things_are_understood() -> None:
    odd = {"priority": "Critical", "file": "/trees/main/b.py", "line": 7, "description": "Bad.", "fix": "Do."}

    found = only(json.dumps({"comments": [odd]}))

    assert (found.severity, found.location, found.message) == (Severity.MAJOR, "b.py:7", "Bad. Do.")


def test_a_finding_that_says_no_severity_has_the_usual_one_and_a_text_alone_is_one() -> None:
    found = only('{"suggestions": ["Use a set."]}')

    assert (found.severity, found.category, found.message) == (Severity.MEDIUM, Category.CUSTOM, "Use a set.")


def test_what_a_reviewer_says_twice_is_one_finding() -> None:
    assert len(read(json.dumps([ONE, {**ONE, "message": "it  is wrong"}])).findings) == 1


def test_the_form_that_reviewers_are_shown_can_be_read() -> None:
    assert only(ANSWER_FORMAT.rpartition("```")[0] + "```").location == "path/to/file.py:12"


def test_a_megabyte_of_brackets_is_given_up_soon() -> None:
    assert read("{[" * 500_000).problem
