"""YAML 1.2, with lines, within bounds."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import document
from orchestrator.config.document import Leaf, Node, Table, parse, plain
from orchestrator.config.origin import Layer
from orchestrator.model.json import Json


def read(text: str | bytes) -> tuple[Node | None, list[str]]:
    data = text.encode() if isinstance(text, str) else text
    node, problems = parse(data, layer=Layer.REPOSITORY, file="f")
    return node, [str(problem) for problem in problems]


def value_of(text: str) -> Json:
    node, problems = read(text)
    assert problems == []
    assert node is not None
    return plain(node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("012", 12),
        ("0o14", 12),
        ("0xfF", 255),
        ("-7", -7),
        ("+7", 7),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-11-20", "2026-11-20"),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("Null", None),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1e3", -1000.0),
        ("1e3", 1000.0),
        (".", "."),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("!!int 12", 12),
        ("!!float 12", 12),
        ("!!bool true", True),
        ("!!null null", None),
        ("!!map {a: 1}", {"a": 1}),
        ("!!seq [1]", [1]),
        ("|\n  x\n", "x\n"),
        ("=", "="),
        ("{a: }", {"a": None}),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_scalars_have_the_types_of_yaml_1_2(text: str, value: Json) -> None:
    found = value_of(text)

    assert found == value
    assert type(found) is type(value)


def test_values_and_keys_know_their_line_and_column() -> None:
    node, _ = read("a: 1\nb:\n  - ü: [x,\n      y]\n")

    assert isinstance(node, Table)
    entry = node.entries["b"]
    assert (entry.key.line, entry.key.column) == (2, 1)
    items = entry.node
    assert isinstance(items, document.Items)
    assert (items.items[0].origin.line, items.items[0].origin.column) == (3, 5)


def test_aliases_are_expanded() -> None:
    assert value_of("a: &x [1, {b: 2}]\nc: *x\n") == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}


def test_empty_files_have_no_tree() -> None:
    assert read("") == (None, [])
    assert read("# nothing\n") == (None, [])
    assert read(b"\xef\xbb\xbf") == (None, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: `a` is given twice, first in line 1"),
        ("a: [", "f:2:1: is not YAML"),
        ("a: b: c", "f:1:5: is not YAML"),
        ("a: 1\n---\nb: 2\n", "f:2:1: starts a second document"),
        ("a: !!python/object:os.system x", "f:1:4: the tag tag:yaml.org,2002:python/object:os.system"),
        ("a: !mine {}", "f:1:4: the tag !mine is not allowed"),
        ("a: !!int x", "f:1:4: x is not what its tag says"),
        ("a: *b", "f:1:4: the alias *b refers to an anchor that is not defined before"),
        ("a: &b [*b]", "f:1:8: the alias *b refers to itself"),
        ("a: &b {c: *b}", "f:1:11: the alias *b refers to itself"),
        ("<<: {a: 1}", "f:1:1: `<<` is no key in YAML 1.2"),
        ("1: a", 'f:1:1: keys are text: write "1" in quotes'),
        ("~: a", 'f:1:1: keys are text: write "~" in quotes'),
        ("? [a]\n: b", "f:1:3: keys are text, not lists or mappings"),
        ("a: .inf", "f:1:4: .inf is not a finite number"),
        ("a: .NaN", "f:1:4: .NaN is not a finite number"),
        ("a: 1e999", "f:1:4: 1e999 is not a finite number"),
        ("a: 9223372036854775808", "f:1:4: 9223372036854775808 is too large a number"),
        ("a: " + "9" * 5000, "f:1:4: 9999999999999999999999999999999999999999… is too large"),
        ("a: x\n  \x1b[31m", "f:2:3: holds the character \\x1b"),
        ("a: \x00", "f:1:4: holds the character \\x00"),
        ("%FOO bar\n%YAML 3.0\n---\na", "f:1:5: is not YAML"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(text: str, problem: str) -> None:
    _, problems = read(text)

    assert problems[0].startswith(problem)


def test_all_duplicate_keys_are_named_at_once() -> None:
    _, problems = read("a: 1\na: 2\nb: {c: 1, c: 2}\n")

    assert [problem.split(" ")[0] for problem in problems] == ["f:2:1:", "f:3:11:"]


def test_bytes_that_are_not_utf_8_are_named_with_their_place() -> None:
    assert read(b"a: 1\nb: \xff")[1] == ["f:2:4: is not UTF-8 here"]
    assert read("a: 1".encode("utf-16"))[1] == ["f:1:1: is UTF-16: save it as UTF-8"]


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b"- " * 100_000,
        b"{a: " * 100_000,
        b"? " * 100_000,
        b"a: &a [" + b"[" * 20 + b"]" * 20 + b"]\nb: [" + b"[" * 20 + b"*a" + b"]" * 20 + b"]\n",
    ],
)
def test_nesting_is_bounded_however_it_is_written(text: bytes) -> None:
    assert "is nested more than 32 deep" in read(text)[1][0]


def test_alias_bombs_are_refused_before_they_are_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]

    _, problems = read("\n".join(lines))

    assert "grows too large" in problems[0]


def test_long_texts_count_each_time_they_are_referred_to() -> None:
    _, problems = read("a: &a " + "x" * 500_000 + "\nb: [" + ", ".join(["*a"] * 20) + "]\n")

    assert "grows too large" in problems[0]


def test_files_over_the_limit_are_refused() -> None:
    assert read(b"#" * (document.MAX_BYTES + 1))[1] == ["f:1:1: is larger than 1,048,576 bytes"]


def test_the_parser_in_python_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x [1, 'two', {b: ~}]\nc: *x\n"
    expected = value_of(text)

    monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)  # what a machine without libyaml uses

    assert value_of(text) == expected
    assert read('a: "\\xzz"')[1][0].startswith("f:1:7: is not YAML")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), inner)
    ),
    max_leaves=20,
)


@given(value=JSON)
@settings(max_examples=100, deadline=None)
def test_json_is_read_as_itself(value: Json) -> None:
    text = json.dumps(value).encode()  # surrogate pairs are the one difference between JSON and YAML
    if b"\\ud" in text or b"\\uf" in text:
        text = json.dumps(value, ensure_ascii=False).encode()
    node, problems = parse(b"key: " + text, layer=Layer.USER, file="f")

    if not problems:
        assert node is not None
        assert plain(node) == {"key": value}
    else:
        assert "holds the character" in str(problems[0])


@given(data=st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_a_tree_or_a_problem_and_never_an_error(data: bytes) -> None:
    node, problems = parse(data, layer=Layer.USER, file="f")

    assert node is not None or problems or not yaml_content(data)


def yaml_content(data: bytes) -> bool:
    lines = data.decode("utf-8-sig", "replace").split("\n")
    return any(line.strip() and not line.strip().startswith(("#", "---", "...", "%")) for line in lines)


def test_plain_keeps_written_text_for_later() -> None:
    node, _ = read("0x10")

    assert isinstance(node, Leaf)
    assert (node.value, node.text) == (16, "0x10")
