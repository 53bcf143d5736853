"""Files of earlier tools may hold anything: what cannot be used is told, and only whole runs are written."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.fs.disk import Disk
from orchestrator.takeover import naming, reading
from orchestrator.takeover.approvals import read_approvals
from orchestrator.takeover.legacy import legacy_status
from orchestrator.takeover.reading import Unusable
from tests.takeover import w_files
from tests.takeover.conftest import Taker, new_taker

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        ["active", "completed", "PLAN", "2026-01-07T04:27:48Z", "0001-01-01", "\x00\x1b[31m", "\ud800"]
    ),
)
KEYS = st.one_of(
    st.sampled_from(
        sorted({*w_files.a_state(), *w_files.an_item("x", "completed"), *w_files.PHASES, "tasks"})
    ),
    st.text(max_size=8),
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=25,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taker]:
    taker = new_taker(tmp_path_factory.mktemp("hostile") / "checkout")
    yield taker
    taker.known().close()


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@settings(max_examples=70, deadline=None)
@given(document=ANY_JSON)
def test_any_json_as_state_is_taken_over_whole_or_told(shared: Taker, document: object) -> None:
    take_and_check(shared, document)


@settings(max_examples=70, deadline=None)
@given(
    replaced=st.dictionaries(st.sampled_from(sorted(w_files.a_state())), ANY_JSON, min_size=1, max_size=4),
    phase=ANY_JSON,
    item=ANY_JSON,
)
def test_a_state_with_any_part_replaced_is_taken_over_whole_or_told(
    shared: Taker, replaced: dict[str, object], phase: object, item: object
) -> None:
    document = w_files.a_state()
    phases = document["phases"]
    assert isinstance(phases, dict)
    phases["REVIEW"] = phase
    phases["EXECUTE"]["items"]["execute_work"] = item

    take_and_check(shared, {**document, **replaced})


@settings(max_examples=50, deadline=None)
@given(
    lines=st.lists(
        st.one_of(ANY_JSON, st.dictionaries(st.sampled_from(sorted(w_files.an_event("a", "b"))), SCALARS))
    )
)
def test_any_lines_as_log_are_taken_over_or_told(shared: Taker, lines: list[object]) -> None:
    path = shared.place / ".workflow_log.jsonl"
    path.write_text("".join(dumped(line) + "\n" for line in lines))

    shared.journal.unlink(missing_ok=True)
    shared.take_over(w_files.originals(shared.place, {".workflow_log.jsonl": "log"}))

    assert shared.known().verify_chain() is None


@given(text=st.text(max_size=80))
def test_a_run_id_derives_from_any_workflow_id_and_is_valid(text: str) -> None:
    assert naming.run_id(text) == naming.run_id(text)
    assert naming.run_id(text) != naming.run_id(text + "_")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "is nested too deeply"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"1" * 5_000, "is not JSON"),
        (b"[]", "holds no JSON object"),
        (b"", "is not JSON"),
    ],
)
def test_a_state_that_is_no_object_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / ".workflow_state.json"
    path.write_bytes(content)

    with pytest.raises(Unusable, match=said):
        reading.read_object(path)


def test_links_pipes_directories_and_large_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    with open(tmp_path / "large", "wb") as file:
        file.truncate(reading.MAX_OBJECT_BYTES + 1)

    for name in ("link", "pipe", "directory", "large", "missing", "nul\0"):
        with pytest.raises(Unusable):
            reading.read_object(tmp_path / name)


def test_of_a_log_that_is_too_long_the_newest_lines_are_read(tmp_path: Path) -> None:
    path = w_files.write_lines(tmp_path / "log.jsonl", [{"n": n} for n in range(1_000)])

    lines = reading.read_lines(path, 100)

    assert lines.objects[-1] == {"n": 999}
    assert not lines.is_whole
    assert lines.broken == 0


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE other (x)",
        "CREATE TABLE approvals (id)",
        "CREATE VIEW approvals AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)"
        " SELECT id, id agent_id, id phase, id operation, id risk_level, id status, id created_at,"
        " id decided_at, id decision_reason FROM n WHERE id < 0",
    ],
)
def test_a_database_of_another_shape_or_without_end_is_given_up(
    tmp_path: Path, scratch: Path, script: str
) -> None:
    path = tmp_path / "approvals.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)

    with pytest.raises(Unusable):
        read_approvals(path, Disk(), scratch)


def test_a_damaged_database_is_given_up(tmp_path: Path, scratch: Path) -> None:
    path = w_files.write_approvals(tmp_path / "approvals.db")
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))

    with pytest.raises(Unusable):
        read_approvals(path, Disk(), scratch)


def test_reading_approvals_leaves_database_and_directory_as_they_were(tmp_path: Path, scratch: Path) -> None:
    path = w_files.write_approvals(tmp_path / "approvals.db")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}

    found = read_approvals(path, Disk(), scratch)

    assert len(found) == 3
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_rows_of_any_type_are_read(tmp_path: Path, scratch: Path) -> None:
    row = (b"\xff\x00", 1, 2.5, "x" * 5_000, "\x1b[2J", None, b"pending", "never", None, b"", "")
    path = w_files.write_approvals(tmp_path / "approvals.db", [row])

    [found] = read_approvals(path, Disk(), scratch)

    assert "\x1b" not in found.risk
    assert len(found.operation) <= 1_000


def take_and_check(taker: Taker, document: object) -> None:
    """Takes a document over and checks that every run that is there is whole."""
    path = taker.place / ".workflow_state.json"
    path.write_text(dumped(document))
    taker.journal.unlink(missing_ok=True)

    report = taker.take_over(w_files.originals(taker.place, {".workflow_state.json": "state"}))

    for run_id in report.imported:
        summary = taker.known().export_run_summary(run_id)
        assert json.dumps(summary)
        assert taker.known().get_run(run_id).task
        assert taker.known().events(run_id)[-1].kind == "run.imported"
    assert report.imported or report.known or report.problems or report.skipped
    in_old_place = taker.root / ".workflow_state.json"
    in_old_place.write_bytes(path.read_bytes())
    legacy_status(taker.root)


def dumped(document: object) -> str:
    """Returns a document as Python writes it, infinities and lone surrogates included."""
    return json.dumps(document)
