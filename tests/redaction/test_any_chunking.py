"""Whatever form a secret takes, and however a stream is cut, nothing of it comes through."""

from __future__ import annotations

import base64
import json
import random
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.json import Json
from orchestrator.redaction.forms import forms_of
from orchestrator.redaction.redactor import Redactor
from orchestrator.redaction.stream import RedactedStream

_CHARACTERS = string.ascii_letters + string.digits + "+/=%&<>\"'\\ \t\n-_.~é€\U0001f511"
_VALUES = st.text(alphabet=_CHARACTERS, min_size=8, max_size=40).filter(lambda value: len(value.strip()) >= 8)
_AROUND = st.binary(max_size=30) | st.sampled_from([b"", b" ", b"ab", b"token=", b'{"a": "', b"\\n", b"sk-"])


def _chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def _streamed(stream: RedactedStream, chunks: list[bytes]) -> bytes:
    return b"".join([*map(stream.feed, chunks), stream.flush()])


@given(
    value=_VALUES,
    pick=st.integers(min_value=0),
    before=_AROUND,
    after=_AROUND,
    cuts=st.lists(st.integers(0, 500)),
)
@settings(max_examples=400, deadline=None)
def test_every_form_is_taken_out_however_the_stream_is_cut(
    value: str, pick: int, before: bytes, after: bytes, cuts: list[int]
) -> None:
    redactor = Redactor()
    redactor.add("CANARY", value)
    forms = sorted(forms_of(value))
    data = before + forms[pick % len(forms)] + after

    whole = redactor.data(data)
    pieces = _streamed(redactor.stream(), _chunks(data, cuts))
    one_by_one = _streamed(redactor.stream(), [bytes([byte]) for byte in data])

    assert whole == pieces == one_by_one
    assert not any(form in whole for form in forms)
    assert redactor.data(whole) == whole


@given(value=_VALUES, before=st.binary(max_size=7), after=st.binary(max_size=7))
@settings(max_examples=200, deadline=None)
def test_a_value_is_found_in_what_the_usual_encoders_make_of_it(
    value: str, before: bytes, after: bytes
) -> None:
    redactor = Redactor()
    redactor.add("CANARY", value)
    raw = value.encode()
    text = f"x{value}y"
    encoded = (
        json.dumps(text),
        json.dumps(text, ensure_ascii=False),
        json.dumps(json.dumps(text)),
        json.dumps(text).replace("/", "\\/"),
        "".join(f"\\u{unit:04x}" for unit in _units(value)),
        "".join(f"\\u{unit:04X}" for unit in _units(value)),
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        quote(value, safe="").lower() if value.islower() else quote(value, safe=""),
        base64.b64encode(before + raw + after).decode(),
        base64.urlsafe_b64encode(before + raw + after).decode(),
        raw.hex(),
        raw.hex().upper(),
    )

    assert {redactor.names_in(each.encode()) for each in encoded} == {frozenset({"CANARY"})}


def _units(value: str) -> list[int]:
    data = value.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


@given(
    values=st.lists(st.text(alphabet="abAB12", min_size=8, max_size=14), min_size=2, max_size=4, unique=True),
    text=st.text(alphabet="abAB12", max_size=60),
    cuts=st.lists(st.integers(0, 100)),
)
@settings(max_examples=400, deadline=None)
def test_values_that_overlap_and_contain_each_other_leave_nothing(
    values: list[str], text: str, cuts: list[int]
) -> None:
    redactor = Redactor()
    for number, value in enumerate(values):
        redactor.add(f"N{number}", value)
    data = (text + values[0] + text).encode()

    whole = redactor.data(data)

    assert not any(value.encode() in whole for value in values)
    assert whole == _streamed(redactor.stream(), _chunks(data, cuts))
    assert whole == _streamed(redactor.stream(), [bytes([byte]) for byte in data])
    assert redactor.data(whole) == whole


@given(
    parts=st.lists(
        st.sampled_from(
            [
                "ghp_" + "a1B2" * 9,
                "sk-ant-" + "x-9_" * 6,
                "AKIA" + "ABCDEFGH23456723",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
                "postgres://user:pa55word@host/db",
                "-----BEGIN PRIVATE KEY-----\n" + "QUJD" * 16 + "\n-----END PRIVATE KEY-----",
                "-----BEGIN CERTIFICATE-----\nQUJDREVG\n",
                "https://example.com/path",
                "0123456789abcdef0123456789abcdef01234567",
                "\\n",
                "%3D",
                " ",
                "x",
                "sk-",
                "eyJ",
                "-----BEGIN ",
                "SG." + "a" * 22 + "." + "b" * 43,
                "://u:",
                "@",
                "correct-horse",
                "horse-battery",
                "[redacted:K0]",
                "[redacted",
            ]
        ),
        max_size=8,
    ),
    values=st.lists(
        st.sampled_from(["correct-horse", "horse-battery", "pa55word", "sk-ant-x", "QUJDQUJDQUJD"]),
        unique=True,
    ),
    cuts=st.lists(st.integers(0, 400)),
)
@settings(max_examples=600, deadline=None)
def test_keys_by_shape_among_values_do_not_depend_on_the_cuts(
    parts: list[str], values: list[str], cuts: list[int]
) -> None:
    redactor = Redactor()
    for number, value in enumerate(values):
        redactor.add(f"K{number}", value)
    data = "".join(parts).encode()

    whole = redactor.data(data)

    assert whole == _streamed(redactor.stream(), _chunks(data, cuts))
    assert whole == _streamed(redactor.stream(), [bytes([byte]) for byte in data])
    assert redactor.data(whole) == whole


def test_a_value_of_a_megabyte_comes_through_neither_at_once_nor_byte_by_byte() -> None:
    value = "".join(random.Random(4).choices(string.ascii_letters + string.digits, k=1 << 20))
    redactor = Redactor()
    redactor.add("BIG", value)
    data = f"<{value}>".encode()

    at_once = redactor.data(data)
    one_by_one = _streamed(redactor.stream(), [data[at : at + 1] for at in range(len(data))])

    assert at_once == one_by_one == b"<[redacted:BIG]>"


def test_only_what_could_become_a_secret_is_held_back() -> None:
    redactor = Redactor()
    redactor.add("KEY", "correct-horse")
    stream = redactor.stream()

    shown = [
        stream.feed(b"step 1\n"),
        stream.feed(b"now cor"),
        stream.feed(b"n!"),
        stream.feed(b" correct-hors"),
    ]

    assert shown == [b"step 1\n", b"now ", b"corn!", b" "]
    assert stream.flush() == b"correct-hors"


@pytest.mark.parametrize(
    ("values", "text", "shown"),
    [
        (
            ("correct-horse", "sk-ant-" + "x" * 30 + "END"),
            "correct-horsesk-ant-" + "x" * 30 + "!",
            "[redacted:K0][redacted:anthropic-key]!",
        ),
        (
            ("user:pa55word@host/database",),
            "postgres://user:pa55word@other/",
            "postgres://user:[redacted:url-password]@other/",
        ),
        (("aaaaaaaa", "aaaaaaaaaaab"), "aaaaaaaaaaaa", "[redacted:K0]"),
    ],
)
def test_what_a_cut_could_hide_is_found(values: tuple[str, ...], text: str, shown: str) -> None:
    redactor = Redactor()
    for number, value in enumerate(values):
        redactor.add(f"K{number}", value)
    data = text.encode()

    found = {_streamed(redactor.stream(), [data[:cut], data[cut:]]) for cut in range(len(data))}

    assert found == {shown.encode()}
    assert _streamed(redactor.stream(), [data[at : at + 1] for at in range(len(data))]) == shown.encode()


_PIECES = ["", "a", "hunter22", "xhunter22x", "hunt", "er22", "sk-", "ghp_", "z" * 40]
_NAMES = ["k", "hunter22", "ghp_" + "z" * 40]
JSONS: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.integers() | st.sampled_from(_PIECES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3),
    max_leaves=12,
)


@given(value=JSONS)
def test_json_is_redacted_string_by_string_whatever_stands_beside(value: Json) -> None:
    redactor = Redactor()
    redactor.add("PIN", "hunter22")

    def one_by_one(value: Json) -> Json:
        if isinstance(value, str):
            return redactor.text(value)
        if isinstance(value, list):
            return [one_by_one(each) for each in value]
        if isinstance(value, dict):
            return {redactor.text(name): one_by_one(each) for name, each in value.items()}
        return value

    assert redactor.json(value) == one_by_one(value)
