from __future__ import annotations

import os
import re
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import Refused
from orchestrator.model.ids import new_id, new_run_id, parse_run_id

HARMLESS = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=40)


@given(text=st.text(max_size=60) | HARMLESS | st.from_regex(r"[a-z0-9./\\-]{1,45}\n?", fullmatch=True))
def test_a_run_id_that_is_accepted_can_neither_leave_its_directory_nor_clash(text: str) -> None:
    try:
        run_id = parse_run_id(text)
    except Refused:
        return  # the examples below say what must be refused

    assert os.path.normpath(os.path.join("/place", run_id)) == f"/place/{text}"
    assert os.path.dirname(os.path.join("/place", run_id)) == "/place"
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}\Z", run_id)
    assert run_id.casefold() == run_id != "state"


@given(text=HARMLESS)
def test_every_harmless_run_id_is_accepted(text: str) -> None:
    if text[0] == "-" or text == "state":
        with pytest.raises(Refused):
            parse_run_id(text)
    else:
        assert parse_run_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "-x",
        "a/b",
        "a\\b",
        "a\n",
        "A",
        "a" * 41,
        "state",
        "a.lock",
        "a b",
        "é",
        "\u0661",
        "a\0",
        "--help",
    ],
)
def test_what_could_escape_or_clash_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_run_id(text)

    assert refused.value.exit_status == 2
    assert refused.value.hint


def test_fresh_run_ids_are_valid_distinct_and_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {new_run_id() for _ in range(200)}
    # The clock is put forward, because waiting a second proves nothing more.
    monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((2999, 1, 2, 3, 4, 5, 0, 2, 0)))
    later = new_run_id()

    assert len(ids) == 200
    assert all(parse_run_id(run_id) == run_id for run_id in ids)
    assert max(ids) < later
    assert later.startswith("29990102-030405-")


def test_fresh_ids_are_distinct_and_say_what_they_name() -> None:
    ids = {new_id("op") for _ in range(1000)}

    assert len(ids) == 1000
    assert all(re.fullmatch(r"op-[0-9a-z]{12}", one) for one in ids)
