"""Known values: which are looked for, what is written instead, and what stays."""

from __future__ import annotations

from enum import StrEnum

import pytest

from orchestrator.model.json import Json
from orchestrator.redaction.redactor import Redactor


def _knowing(**values: str) -> Redactor:
    redactor = Redactor()
    for name, value in values.items():
        redactor.add(name, value)
    return redactor


def test_a_value_is_replaced_by_its_name() -> None:
    assert _knowing(TOKEN="correct-horse").text("it is correct-horse!") == "it is [redacted:TOKEN]!"


def test_a_short_value_is_not_looked_for() -> None:
    redactor = Redactor()

    known = redactor.add("PIN", "1234567")

    assert not known
    assert redactor.text("1234567") == "1234567"


def test_each_line_of_a_value_counts() -> None:
    redactor = _knowing(CERT="first line of it\n  second line of it\nshort\n")

    assert redactor.text("> second line of it <") == "> [redacted:CERT] <"
    assert redactor.text("short") == "short"


def test_the_longest_value_wins_where_several_stand() -> None:
    redactor = _knowing(PART="correct-horse", WHOLE="correct-horse-battery")

    assert redactor.text("correct-horse-battery correct-horse") == "[redacted:WHOLE] [redacted:PART]"


def test_nothing_is_left_of_values_that_overlap() -> None:
    redactor = _knowing(ONE="abcdefgh-middle", TWO="middle-stuvwxyz")

    assert redactor.text("<abcdefgh-middle-stuvwxyz>") == "<[redacted:ONE][redacted:TWO]>"


def test_a_known_key_is_called_by_its_name() -> None:
    key = "ghp_" + "a1B2" * 9

    assert _knowing(GH=key).text(key) == "[redacted:GH]"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("hunter2hunter2", "hunter2hunter2", "[redacted]"),
        ("TOKEN", "redacted", "[***]"),
        ("a b/c", "correct-horse", "[redacted:a_b_c]"),
    ],
)
def test_what_stands_for_a_value_never_shows_it(name: str, value: str, shown: str) -> None:
    redactor = _knowing(**{name: value})

    assert redactor.text(f"<{value}>") == f"<{shown}>"
    assert redactor.text(redactor.text(f"<{value}>")) == f"<{shown}>"


def test_what_looks_like_a_mark_hides_nothing() -> None:
    assert _knowing(TOKEN="correct-horse").text("[redacted:correct-horse]") == "[redacted:[redacted:TOKEN]]"


class _Colour(StrEnum):
    RED = "a-red-thing"


def test_json_is_redacted_in_values_and_keys_and_loses_no_entry() -> None:
    value: Json = {
        "correct-horse": 1,
        "x": ["correct-horse", {"correct-horse-2": None}],
        "correct-horse!": 2.5,
    }

    assert _knowing(K="correct-horse").json(value) == {
        "[redacted:K]": 1,
        "x": ["[redacted:K]", {"[redacted:K]-2": None}],
        "[redacted:K]!": 2.5,
    }


def test_two_keys_that_become_the_same_are_both_kept() -> None:
    redactor = _knowing(K="correct-horse", L="horse-correct")
    redactor.add("K", "another-value")

    assert redactor.json({"correct-horse": 1, "another-value": 2}) == {"[redacted:K]": 1, "[redacted:K] 2": 2}


def test_a_word_of_our_own_stays_as_it_is() -> None:
    assert _knowing(K="a-red-thing").json({"colour": _Colour.RED}) == {"colour": _Colour.RED}


def test_json_nested_without_end_is_cut() -> None:
    value: Json = "correct-horse"
    for _ in range(5000):
        value = [value]

    assert "correct-horse" not in repr(_knowing(K="correct-horse").json(value))


@pytest.mark.parametrize("text", ["\udcff correct-horse \udcfe", "\ud800 correct-horse"])
def test_bytes_that_are_no_text_survive_around_a_value(text: str) -> None:
    assert _knowing(K="correct-horse").text(text) == text.replace("correct-horse", "[redacted:K]")


def test_text_without_a_secret_is_the_same_object() -> None:
    text = "nothing in here"

    assert _knowing(K="correct-horse").text(text) is text


def test_a_value_added_later_is_found_from_then_on() -> None:
    redactor = _knowing(K="correct-horse")
    redactor.text("build the tables")

    redactor.add("L", "battery-staple")

    assert redactor.text("battery-staple") == "[redacted:L]"


def test_a_long_value_is_found_as_base64_and_xxd_print_it() -> None:
    value = "".join(f"{number:x}" for number in range(300))
    redactor = _knowing(LONG=value)
    import base64

    encoded = base64.encodebytes(value.encode()).decode()

    assert redactor.text(encoded).startswith("[redacted:LONG]")
    assert len(redactor.text(encoded)) < 20


def test_the_names_of_what_was_found_are_told() -> None:
    redactor = _knowing(K="correct-horse", L="battery-staple")

    assert redactor.names_in(b"636f72726563742d686f727365") == {"K"}
    assert redactor.names_in(b"ghp_" + b"a1B2" * 9) == frozenset()
