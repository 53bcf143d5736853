from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model.finding import Category, Severity
from orchestrator.verify.junit import parse_junit
from orchestrator.verify.lines import parse_lines
from orchestrator.verify.output import Printed, last_lines, plain_text, read_regular
from orchestrator.verify.parsed import MAX_FINDINGS, Parsed
from orchestrator.verify.ruff_json import parse_ruff
from orchestrator.verify.sources import Sources


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    place = tmp_path / "tree"
    (place / "src").mkdir(parents=True)
    (place / "src" / "a.py").write_text("import os\n\n    x = 1   # here\n")
    (place / "link.py").symlink_to("/etc/passwd")
    return place


def lines(text: str, tree: Path, category: Category = Category.LINT) -> Parsed:
    return parse_lines(text, category=category, sources=Sources(tree))


def junit(text: str | bytes, tree: Path) -> Parsed:
    data = text.encode() if isinstance(text, str) else text
    return parse_junit(data, category=Category.TEST, sources=Sources(tree))


def ruff(text: str, tree: Path) -> Parsed:
    return parse_ruff(text, category=Category.LINT, sources=Sources(tree))


@pytest.mark.parametrize(
    ("line", "location", "rule", "message", "severity"),
    [
        ("src/a.py:3:5: E501 too long", "src/a.py:3", "E501", "E501 too long", Severity.MEDIUM),
        (
            "./src/a.py:3: error: No  [attr-defined]",
            "src/a.py:3",
            "attr-defined",
            "No [attr-defined]",
            "medium",
        ),
        ("src/a.py:1:1: warning: unused", "src/a.py:1", "", "unused", Severity.MEDIUM),
        ("src/a.py:1: note: see here", "src/a.py:1", "", "see here", Severity.MINOR),
        ("  src/a.py:99:1: fatal error: gone", "src/a.py:99", "", "gone", Severity.MEDIUM),
    ],
)
def test_lines_of_compilers_and_linters_are_findings(
    tree: Path, line: str, location: str, rule: str, message: str, severity: str
) -> None:
    (finding,) = lines(f"noise\n{line}\nFound 1 error\n", tree).findings

    assert (finding.location, finding.rule, finding.message) == (location, rule, message)
    assert finding.severity == severity


def test_the_context_is_the_text_of_the_line(tree: Path) -> None:
    (finding,) = lines("src/a.py:3:5: bad", tree).findings

    assert finding.context == "x = 1 # here"


def test_warnings_of_a_build_are_medium_and_errors_major(tree: Path) -> None:
    found = lines("src/a.py:1: warning: w\nsrc/a.py:2: error: e\n", tree, Category.BUILD).findings

    assert [finding.severity for finding in found] == [Severity.MEDIUM, Severity.MAJOR]


def test_absolute_names_inside_the_tree_become_relative(tree: Path) -> None:
    alias = tree.parent / "alias"
    alias.symlink_to(tree)
    text = f"{tree}/src/a.py:1: x\n{alias}/src/a.py:1: y\n"

    through_link = parse_lines(text, category=Category.LINT, sources=Sources(alias))

    assert [finding.location for finding in through_link.findings] == ["src/a.py:1", "src/a.py:1"]


@pytest.mark.parametrize(
    "line",
    [
        "http://localhost:8000: listening",
        "12:30:45: started",
        "missing.py:1:1: nothing there",
        "/etc/passwd:1: outside",
        "../tree-other/a.py:1: outside",
        "link.py:1: through a link",
        "src:1: a directory",
        "a\0b.py:1: nul",
        "",
    ],
)
def test_lines_that_name_no_file_of_the_tree_are_no_findings(tree: Path, line: str) -> None:
    assert lines(line, tree) == Parsed()


def test_a_million_lines_are_counted_and_a_thousand_kept(tree: Path) -> None:
    parsed = lines("src/a.py:1: again\n" * (MAX_FINDINGS + 500), tree)

    assert (len(parsed.findings), parsed.dropped) == (MAX_FINDINGS, 500)


def test_an_overlong_line_is_cut(tree: Path) -> None:
    (finding,) = lines("src/a.py:1: " + "x" * 1_000_000, tree).findings

    assert len(finding.message) == 300


@given(st.text())
def test_no_text_breaks_the_line_parser(text: str) -> None:
    parse_lines(text, category=Category.BUILD, sources=Sources(Path("/nonexistent")))


def test_ruff_entries_are_findings_whatever_is_printed_around_them(tree: Path) -> None:
    entry = f'{{"code": "F401", "filename": "{tree}/src/a.py", "location": {{"row": 1, "column": 8}}, ' \
        '"message": "`os` imported but unused", "fix": null}'  # fmt: skip

    parsed = ruff(f"warning: old option\n[note] x\n[\n{entry}\n]\nFound 1.", tree)

    (finding,) = parsed.findings
    assert (finding.rule, finding.location, finding.context) == ("F401", "src/a.py:1", "import os")


def test_a_syntax_error_has_no_code_and_is_a_finding_all_the_same(tree: Path) -> None:
    (finding,) = ruff(
        '[{"code": null, "filename": "src/a.py", "location": null, "message": "x"}]', tree
    ).findings

    assert (finding.rule, finding.location) == ("invalid-syntax", "src/a.py")


def test_an_empty_list_is_no_finding_and_no_problem(tree: Path) -> None:
    assert ruff("[]\n", tree) == Parsed()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "All checks passed!",
        "[1, 2]",
        "{}",
        '[{"message": "no file"}]',
        "[" * 200_000,
        "[{" + '"a":[' * 100_000,
        "\n[" * 100_000,
        '[{"filename": "a", "message": "b", "location": {"row": ' + "9" * 6000 + "}}]",
    ],
)
def test_output_that_is_not_ruffs_is_a_problem_and_never_a_crash(tree: Path, text: str) -> None:
    parsed = ruff(text, tree)

    assert parsed.problem
    assert parsed.findings == ()


@pytest.mark.parametrize("row", ["-1", "0", "true", '"3"', "1e400", "12345678901"])
def test_a_line_number_out_of_range_is_left_out(tree: Path, row: str) -> None:
    text = f'[{{"code": "E1", "filename": "src/a.py", "location": {{"row": {row}}}, "message": "x"}}]'

    (finding,) = ruff(text, tree).findings

    assert finding.location == "src/a.py"


def test_junit_failures_and_errors_are_findings_and_skipped_tests_were_not_run(tree: Path) -> None:
    text = """<?xml version="1.0" encoding="utf-8"?>
    <testsuites><testsuite name="s"><properties/>
      <testcase classname="m.T" name="ok" time="0.1"/>
      <testcase classname="m.T" name="skipped"><skipped message="no"/></testcase>
      <testcase classname="m.T" name="bad" file="src/a.py" line="3">
        <failure message="1 != 2">trace</failure></testcase>
      <testsuite><testcase name="worse"><error>File "src/a.py", line 1, in x
RuntimeError</error><system-out>out</system-out></testcase></testsuite>
    </testsuite></testsuites>"""

    parsed = junit(text, tree)

    assert parsed.tests_run == 3
    bad, worse = parsed.findings
    assert (bad.rule, bad.location, bad.context) == ("m.T::bad", "src/a.py:3", "x = 1 # here")
    assert bad.message == "m.T::bad failed: 1 != 2"
    assert (worse.rule, worse.location) == ("worse", "src/a.py:1")
    assert {bad.severity, worse.severity} == {Severity.MAJOR}


def test_the_last_place_inside_the_tree_is_where_a_test_failed(tree: Path) -> None:
    trace = f"src/a.py:1: in test\n/usr/lib/python3/x.py:9: in call\n{tree}/src/a.py:3: AssertionError"

    (finding,) = junit(
        f"<testsuite><testcase name='t'><failure>{trace}</failure></testcase></testsuite>", tree
    ).findings

    assert finding.location == "src/a.py:3"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><testsuite>&b;</testsuite>',
            "document type",
        ),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite/>', "document type"),
        ("<a>" * 100_000, "deep"),
        ("<testsuite>&undefined;</testsuite>", "undefined entity"),
        ("<testsuite><testcase>", "cannot be read"),
        ("", "cannot be read"),
        ("<html/>", "starts with <html>"),
        ("not xml", "cannot be read"),
        ('<testsuite xmlns:a="b"', "cannot be read"),
    ],
)
def test_hostile_or_broken_xml_is_a_problem_and_never_a_crash(tree: Path, text: str, reason: str) -> None:
    parsed = junit(text, tree)

    assert reason in parsed.problem
    assert (parsed.findings, parsed.tests_run) == ((), None)


def test_control_characters_and_bytes_that_are_no_utf8_do_not_hide_a_report(tree: Path) -> None:
    data = b"\xef\xbb\xbf<testsuite><testcase name='a\x00\x1b[31m\xff'><failure message='\x07no'/>"

    (finding,) = junit(data + b"</testcase></testsuite>", tree).findings

    assert "no" in finding.message
    assert "\x1b" not in finding.message
    finding.message.encode("utf-8")


def test_a_report_with_namespaces_is_read(tree: Path) -> None:
    text = "<j:testsuite xmlns:j='x'><j:testcase name='a'><j:failure message='m'/></j:testcase></j:testsuite>"

    assert [finding.rule for finding in junit(text, tree).findings] == ["a"]


def test_thousands_of_failures_are_counted_and_a_thousand_kept(tree: Path) -> None:
    one = "<testcase name='t'><failure/></testcase>"

    parsed = junit(f"<testsuite>{one * (MAX_FINDINGS + 7)}</testsuite>", tree)

    assert (len(parsed.findings), parsed.dropped, parsed.tests_run) == (MAX_FINDINGS, 7, MAX_FINDINGS + 7)


@given(st.binary())
def test_no_bytes_break_the_report_parser(data: bytes) -> None:
    parse_junit(data, category=Category.TEST, sources=Sources(Path("/nonexistent")))
    parse_junit(b"<testsuite>" + data + b"</testsuite>", category=Category.TEST, sources=Sources(Path("/x")))


@given(st.binary())
def test_plain_text_holds_nothing_a_terminal_would_obey(data: bytes) -> None:
    text = plain_text(data)

    assert not [sign for sign in text if ord(sign) < 32 and sign not in "\n\t"]
    text.encode("utf-8")


def test_escapes_are_removed_with_what_they_carry() -> None:
    assert plain_text(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07ok\r50%\r\nend\x1bM") == "red ok\n50%\nend"


@pytest.mark.parametrize(
    "evil", [b"\x1b[" + b"0" * 3_000_000, b"\x1b]" * 1_500_000, b"\x1b]" + b"a" * 3_000_000]
)
def test_endless_escapes_are_dealt_with(evil: bytes) -> None:
    assert "\x1b" not in plain_text(evil)


def test_only_regular_files_are_read_and_not_more_than_allowed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")

    whole = read_regular(file, limit_bytes=100)
    part = read_regular(file, limit_bytes=10)
    others = [
        read_regular(tmp_path / name, limit_bytes=10) for name in ("link", "pipe", "missing", "a\0b", ".")
    ]

    assert whole is not None
    assert part is not None
    assert (len(whole.data), whole.cut, len(part.data), part.cut) == (100, False, 10, True)
    assert others == [None] * 5


def test_the_end_of_a_text_is_whole_lines_without_blank_ones() -> None:
    assert last_lines("a\n\nb  \n\n\nc\n", lines=2) == "b\nc"


def test_a_stream_keeps_its_head_and_its_tail() -> None:
    printed = Printed(head_bytes=3, tail_bytes=4)

    for piece in (b"ab", b"cdef", b"gh"):
        printed.take(piece)

    assert (bytes(printed.head), printed.tail) == (b"abc", b"efgh")


def test_context_is_not_read_through_a_link_or_from_a_huge_file(tree: Path) -> None:
    big = tree / "big.py"
    big.write_bytes(b"first\n" + b"x" * (5 << 20))
    sources = Sources(tree)

    assert sources.context("link.py", 1) == ""
    assert sources.context("big.py", 1) == "first"
    assert len(sources.context("big.py", 2)) <= 200
    assert sources.context("src/a.py", 4_000) == ""
    assert sources.location("link/../../x", 1) == ""
    assert sources.location("src/a\x1bb.py", 3) == "src/ab.py:3"


def test_only_a_few_files_are_held_in_memory(tree: Path) -> None:
    for number in range(20):
        (tree / f"f{number}.py").write_text(f"line of {number}\n")
    sources = Sources(tree)

    contexts = [sources.context(f"f{number}.py", 1) for number in range(20)]

    assert contexts == [f"line of {number}" for number in range(20)]
