"""Layouts that a repository supplies move nothing before a person has approved them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Call, process
from tests.cli.test_on_a_terminal import on_terminal
from tests.migrate.building import snapshot
from tests.takeover import w_files

MINE = ".orchestrator/layouts/mine.yaml"
LAYOUT = """\
schema_version: 1
name: mine
title: My own
deprecated_since: {version: "0.2", date: 2026-11-20}
read_until: {version: "1.0", date: 2027-11-30}
recognise: {any: [{path: mine.log, type: file}]}
entries:
  - {source: mine.log, kind: log, action: move, target: logs/mine.log}
"""


@pytest.fixture
def supplied(repository: Path) -> Path:
    """Returns a clone, never initialised, with a layout of its own and a file that it is about."""
    (repository / MINE).parent.mkdir(parents=True)
    (repository / MINE).write_text(LAYOUT)
    (repository / "mine.log").write_text("mine\n")
    return repository


def test_without_trust_and_without_a_terminal_nothing_moves(supplied: Path, call: Call) -> None:
    before = snapshot(supplied)

    refused = [call("migrate", *words, cwd=supplied) for words in ((), ("--yes",))]

    assert [one.status for one in refused] == [2, 2]
    assert refused[0].err == (
        f"error[not-trusted]: Files would move as {MINE} of this repository says, which you have not "
        "approved.\nhint: Look at it and approve it with: orchestrator trust\n"
    )
    assert snapshot(supplied) == before


def test_trust_shows_what_a_layout_does_and_makes_migrate_use_it(supplied: Path, call: Call) -> None:
    shown = call("trust", "--show", cwd=supplied)
    told = call("trust", "--show", "--json", cwd=supplied).json
    given = call("trust", "--yes", cwd=supplied)

    moved = call("migrate", cwd=supplied)

    assert shown.out.startswith("not trusted\n")
    assert f"{MINE}: sha256 " in shown.out
    assert "layout mine, move mine.log -> logs/mine.log" in shown.out
    assert (told["trusted"], [one["file"] for one in told["layouts"]]) == (False, [MINE])
    assert (given.status, moved.status) == (0, 0), given.err + moved.err
    assert (supplied / ".orchestrator/logs/mine.log").read_text() == "mine\n"


def test_a_changed_layout_is_asked_about_again(supplied: Path, call: Call) -> None:
    assert call("trust", "--yes", cwd=supplied).status == 0
    (supplied / MINE).write_text(LAYOUT.replace("logs/mine.log", "logs/other.log"))

    refused = call("migrate", cwd=supplied)
    shown = call("trust", "--show", cwd=supplied).out

    assert (refused.status, (supplied / "mine.log").exists()) == (2, True)
    assert "Since you last approved, this has changed:" in shown
    assert [line.strip()[0] for line in shown.splitlines()[2:]] == ["-", "+"]


def test_trust_on_the_command_line_holds_for_that_call(supplied: Path, call: Call) -> None:
    moved = call("migrate", "--trust", cwd=supplied)
    (supplied / "mine.log").write_text("again\n")

    later = call("migrate", cwd=supplied)

    assert (moved.status, later.status) == (0, 2), moved.err
    assert call("trust", "--show", "--json", cwd=supplied).json["trusted"] is False


def test_init_with_trust_covers_layouts_and_without_it_says_so(supplied: Path, call: Call) -> None:
    before = call("init", cwd=supplied)
    after = call("init", "--trust", "--json", cwd=supplied)

    moved = call("migrate", "--json", cwd=supplied)

    assert "Not trusted yet" in before.err
    assert after.json["trusted"] is True
    assert moved.json["did"] == "migrated"


def test_a_dry_run_shows_what_an_untrusted_layout_would_do_with_a_warning(supplied: Path, call: Call) -> None:
    before = snapshot(supplied)
    warning = f"{MINE} is not trusted yet; approve it with: orchestrator trust"

    shown = call("migrate", "--dry-run", cwd=supplied)
    told = call("migrate", "--dry-run", "--json", cwd=supplied).json

    assert (shown.status, "mine.log" in shown.out) == (0, True)
    assert f"warning: {warning}\n" in shown.err
    assert told["warnings"] == [warning]
    assert snapshot(supplied) == before


def test_layouts_that_find_nothing_need_no_trust(supplied: Path, call: Call) -> None:
    (supplied / "mine.log").unlink()
    w_files.write_json(supplied / ".workflow_state.json", w_files.a_state())

    moved = call("migrate", "--json", cwd=supplied)

    assert (moved.status, moved.json["did"], moved.json["warnings"]) == (0, "migrated", []), moved.err


def test_while_the_configuration_cannot_be_read_layouts_are_left_out_and_named(
    supplied: Path, call: Call
) -> None:
    assert call("trust", "--yes", cwd=supplied).status == 0
    (supplied / ".orchestrator/workflow.yaml").write_text("nonsense: [\n")
    w_files.write_json(supplied / ".workflow_state.json", w_files.a_state())

    moved = call("migrate", "--json", cwd=supplied)

    assert (moved.status, moved.json["did"]) == (0, "migrated"), moved.err
    assert moved.json["warnings"] == [f"The configuration cannot be read, so {MINE} is not used."]
    assert (supplied / "mine.log").exists()
    assert not (supplied / ".workflow_state.json").exists()


def test_a_broken_layout_stops_a_migration_but_no_rollback(supplied: Path, call: Call) -> None:
    before = (supplied / "mine.log").read_text()
    assert call("migrate", "--trust", cwd=supplied).status == 0
    (supplied / MINE).write_text("name: [\n")

    refused = call("migrate", "--trust", cwd=supplied)
    back = call("migrate", "--rollback", "--yes", cwd=supplied)

    assert (refused.status, "layout-invalid" in refused.err) == (2, True)
    assert back.status == 0, back.err
    assert (supplied / "mine.log").read_text() == before


def test_a_run_asks_for_no_trust_in_layouts_alone(supplied: Path, call: Call) -> None:
    (supplied / ".orchestrator/workflow.yaml").write_text("version: 1\n")
    assert call("init", cwd=supplied).status == 0

    done = call("run", "x", "--command", "true", cwd=supplied)

    assert done.status == 0, done.err


def test_a_changed_layout_costs_a_run_its_trust_as_a_changed_configuration_does(
    supplied: Path, call: Call
) -> None:
    (supplied / ".orchestrator/workflow.yaml").write_text('version: 1\nverify:\n  lint: [["true"]]\n')
    assert call("init", "--trust", cwd=supplied).status == 0
    trusted = call("run", "x", "--command", "true", cwd=supplied)
    (supplied / MINE).write_text(LAYOUT + "# changed\n")

    refused = call("run", "x", "--command", "true", cwd=supplied)

    assert (trusted.status, refused.status) == (0, 2), trusted.err
    assert "error[not-trusted]" in refused.err


def test_doctor_says_that_a_layout_is_not_approved_and_when_it_is(supplied: Path, call: Call) -> None:
    def standing() -> tuple[str, list[str]]:
        checks = call("doctor", "--only", "trust-repository", "--json", cwd=supplied).json["checks"]
        return next((one["status"], one["evidence"]) for one in checks if one["id"] == "trust-repository")

    before = standing()
    assert call("trust", "--yes", cwd=supplied).status == 0

    assert before == ("warn", [MINE])
    assert standing()[0] == "ok"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")
def test_on_a_terminal_a_person_is_asked_and_a_yes_is_kept(supplied: Path, home: Path) -> None:
    declined = on_terminal("migrate", cwd=supplied, answers="n\n")
    still = (supplied / "mine.log").exists()
    agreed = on_terminal("migrate", cwd=supplied, answers="y\n")
    (supplied / "mine.log").write_text("mine\n")

    later = process("migrate", cwd=supplied)

    assert "move mine.log -> logs/mine.log" in declined.out
    assert "[y/N]" in declined.out
    assert (declined.status, still) == (2, True)
    assert agreed.status == 0, agreed.out
    assert later.status == 0, later.err
