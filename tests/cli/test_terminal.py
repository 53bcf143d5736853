from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.screen import Screen
from orchestrator.cli.table import columns, screen_width
from orchestrator.cli.terminal import Styled, escape, is_terminal, paint, silence, wants_colour, write
from orchestrator.cli.words import age, counted, duration, epoch, size


@given(st.text())
def test_escaped_text_holds_nothing_that_drives_a_terminal(text: str) -> None:
    shown = escape(text)

    assert not [c for c in shown if c not in "\n\t" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0)]
    assert not set(shown) & set("\u202e\u2066\u2028\u200f")


@given(st.text(st.characters(categories=["L", "N", "P"])))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert escape(text) == text


def test_an_escape_sequence_is_written_out() -> None:
    assert escape("a\x1b[31mb\r\u202e") == r"a\x1b[31mb\x0d\u202e"


def test_styles_are_only_sent_where_colour_is_wanted() -> None:
    parts = ("plain ", Styled("re\x1bd", "red"), Styled("", "red"))

    assert paint(parts, colour=False) == r"plain re\x1bd"
    assert paint(parts, colour=True) == "plain \x1b[31mre\\x1bd\x1b[0m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_on_a_terminal_follows_the_variables(
    home: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert wants_colour(Terminal()) is expected


def test_force_color_wins_where_there_is_no_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wants_colour(io.StringIO()) is False

    monkeypatch.setenv("FORCE_COLOR", "1")

    assert wants_colour(io.StringIO()) is True


def test_closed_and_absent_streams_are_no_terminals() -> None:
    closed = io.StringIO()
    closed.close()

    assert not is_terminal(closed)
    assert not is_terminal(None)
    write(None, "nobody hears it")
    silence(None)


def test_a_stream_that_cannot_say_a_character_gets_it_written_out() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    write(stream, "é \udcff")

    assert raw.getvalue() == b"\\xe9 \\udcff"


def test_a_silenced_stream_takes_everything(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    silence(stream)

    write(stream, "gone")

    stream.close()


def test_columns_align_and_the_last_one_is_cut_to_the_width() -> None:
    rows = [("RUN", "TASK"), ("a-long-id", "a task\nthat is longer than there is room")]

    lines = ["".join(str(part) for part in line) for line in columns(rows, width=24)]

    assert lines == ["RUN        TASK", "a-long-id  a task that …"]


def test_columns_leave_no_blanks_at_the_end_of_a_line() -> None:
    rows = [("a", "b", ""), ("cc", "", "")]

    assert ["".join(map(str, line)) for line in columns(rows)] == ["a   b", "cc"]


def test_columns_keep_styles_while_cutting() -> None:
    [line] = columns([("x", Styled("very long words", "red"))], width=13)

    assert isinstance(line[-1], Styled)
    assert (line[-1].text, line[-1].style) == ("very long…", "red")


def test_no_rows_make_no_lines() -> None:
    assert columns([]) == []


def test_the_width_of_what_is_no_terminal_is_unlimited() -> None:
    assert screen_width(io.StringIO()) == 0
    assert screen_width(None) == 0
    assert screen_width(Terminal()) == 80


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (59, "59 s"), (61, "1 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_durations_are_told_in_their_largest_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@given(st.integers(0, 4_000_000_000))
def test_our_timestamps_are_read_to_the_second(second: int) -> None:
    from datetime import UTC, datetime

    text = datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", ".123456Z")

    assert epoch(text) == second
    assert age(text, now=second + 61.0) == "1 min"


def test_what_is_no_timestamp_has_no_age() -> None:
    assert age("yesterday") == ""
    assert epoch("2026-11-xxT00:00:00Z") is None


def test_sizes_and_counts_in_words() -> None:
    assert [size(n) for n in (812, 4200, 3 << 20, 5 << 40)] == ["812 B", "4.1 KiB", "3.0 MiB", "5120.0 GiB"]
    assert [counted(n, "run") for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]


def test_quiet_hides_notes_but_neither_results_nor_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(quiet=True, verbose=1)

    screen.note("note")
    screen.detail("detail")
    screen.warn("warned")
    screen.out("result")

    assert capsys.readouterr() == ("result\n", "warning: warned\n")


def test_json_silences_prose_and_puts_the_version_first(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=True)

    screen.out("prose")
    screen.json({"name": "a\udcffé"})

    assert capsys.readouterr().out == '{"schema_version":1,"name":"a\\udcff\\u00e9"}\n'


def test_raw_bytes_pass_unchanged_where_no_terminal_is(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Screen().raw(b"\x1b\xff\n")

    assert capfdbinary.readouterr().out == b"\x1b\xff\n"


def test_raw_bytes_are_escaped_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    Screen().raw(b"\x1b\xff\n")

    assert terminal.getvalue() == "\\x1b\\xff\n"
