from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.finding_formats import Format, Listed, in_order, render
from orchestrator.model.finding import Category, Finding, Severity

LINT = Listed(
    Finding(Severity.MEDIUM, Category.LINT, "unused import,\nos | <b>", "src/a b.py:3", "F401"), is_new=True
)
TEST = Listed(Finding(Severity.MAJOR, Category.TEST, "it failed: 100%", "tests/t.py"), is_new=False)
NOTE = Listed(Finding(Severity.MINOR, Category.CUSTOM, "a note"), resolved=True)
ALL = [NOTE, LINT, TEST]

findings = st.builds(
    Listed,
    st.builds(
        Finding,
        st.sampled_from(Severity),
        st.sampled_from(Category),
        st.text(),
        st.text(),
        st.text(),
    ),
    st.booleans(),
    st.booleans(),
)


def test_the_worst_comes_first_and_what_is_resolved_last() -> None:
    assert in_order(ALL) == (TEST, LINT, NOTE)


def test_text_is_one_line_each() -> None:
    assert render(ALL, Format.TEXT) == (
        "major  test     tests/t.py: it failed: 100% (in the base too)\n"
        "medium lint     src/a b.py:3: unused import, os | <b> [F401]\n"
        "minor  custom   a note (resolved)\n"
    )


def test_json_tells_file_and_line_apart() -> None:
    first, second, third = json.loads(render(ALL, Format.JSON))["findings"]

    assert (first["file"], first["line"], first["new"]) == ("tests/t.py", None, False)
    assert (second["file"], second["line"], second["rule"]) == ("src/a b.py", 3, "F401")
    assert (third["file"], third["resolved"]) == (None, True)


def test_sarif_has_rules_levels_places_and_fingerprints() -> None:
    document = json.loads(render(ALL, Format.SARIF))

    [run] = document["runs"]
    major, medium, minor = run["results"]
    assert document["version"] == "2.1.0"
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"lint/F401", "test", "custom"}
    assert (major["level"], major["baselineState"]) == ("error", "unchanged")
    place = medium["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "src/a%20b.py"}, "region": {"startLine": 3}}
    assert medium["partialFingerprints"]["orchestratorIdentity/v1"] == LINT.finding.identity
    assert (minor["level"], minor["baselineState"], "locations" in minor) == ("note", "absent", False)


def test_junit_counts_what_is_still_open() -> None:
    suites = ElementTree.fromstring(render(ALL, Format.JUNIT))

    assert (suites.get("tests"), suites.get("failures")) == ("2", "2")
    assert [suite.get("name") for suite in suites] == ["test", "lint"]
    case = suites[1][0]
    assert (case.get("file"), case.get("line"), case.get("name")) == ("src/a b.py", "3", "F401")
    assert case[0].get("message") == "unused import, os | <b>"


def test_github_annotations_are_percent_encoded() -> None:
    assert render(ALL, Format.GITHUB) == (
        "::error file=tests/t.py,title=test::it failed: 100%25\n"
        "::warning file=src/a b.py,line=3,title=lint%3A F401::unused import,%0Aos | <b>\n"
    )


def test_markdown_is_a_table_in_which_nothing_breaks_out() -> None:
    assert render(ALL, Format.MARKDOWN).splitlines()[3] == (
        "| medium | lint | src/a b.py:3 | F401 unused import, os \\| &lt;b> | new |"
    )
    assert render([], Format.MARKDOWN) == "No findings.\n"


@pytest.mark.parametrize("form", [Format.TEXT, Format.GITHUB])
def test_no_findings_are_no_lines(form: Format) -> None:
    assert render([], form) == ""


@given(st.lists(findings, max_size=4))
def test_hostile_findings_break_no_format(listed: list[Listed]) -> None:
    still = [each for each in listed if not each.resolved]

    assert len(json.loads(render(listed, Format.JSON))["findings"]) == len(listed)
    assert len(json.loads(render(listed, Format.SARIF))["runs"][0]["results"]) == len(listed)
    assert ElementTree.fromstring(render(listed, Format.JUNIT)).get("tests") == str(len(still))
    assert render(listed, Format.GITHUB).count("\n") == len(still)
    assert render(listed, Format.MARKDOWN).count("\n") == (len(listed) + 2 if listed else 1)
