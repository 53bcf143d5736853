from __future__ import annotations

import json

from tests.real.agents import REAL
from tests.real.expected import RUNS, SHOWN, UNUSUAL, USUAL, VIAS
from tests.real.page import replaced, taken
from tests.real.places import PAGE, PINNED, RESULTS


def test_the_page_shows_the_outcomes_that_were_recorded() -> None:
    page = PAGE.read_text()

    assert replaced(page, json.loads(RESULTS.read_text())) == page, "run: make agents-page"


def test_every_case_of_every_agent_was_run_with_the_versions_that_are_pinned() -> None:
    results = json.loads(RESULTS.read_text())
    packages = {place.name: json.loads((place / "package.json").read_text()) for place in PINNED.iterdir()}
    pinned = {name: next(iter(package["dependencies"].values())) for name, package in packages.items()}

    passed = {
        (row.get("agent"), row.get("via"), row["case"])
        for row in results["cases"]
        if row["status"] == "passed"
    }
    wanted = {(agent.name, via, case) for agent in REAL for via in VIAS for case in SHOWN}

    assert results["versions"] == pinned
    assert passed == wanted | {(None, None, case) for case in RUNS}


def test_lock_files_hold_hashes_and_no_address() -> None:
    for lock in PINNED.glob("*/package-lock.json"):
        text = lock.read_text()

        assert "://" not in text
        packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}
        assert [name for name, entry in packages.items() if "integrity" not in entry] == []


def test_only_what_is_asked_of_agents_is_shown_and_only_cases_have_exceptions() -> None:
    assert USUAL.keys() == SHOWN.keys()
    assert {case for _, _, case in UNUSUAL} <= USUAL.keys()


def test_a_case_that_was_skipped_or_failed_is_not_shown_as_passed() -> None:
    told = {"agent": "codex", "via": "acp", "case": "write", "ending": "finished", "cause": "other"}
    rows = [
        {**told, "status": "failed", "seconds": 1.0, "detail": "kept out"},
        {"agent": "claude", "via": "acp", "case": "write", "status": "skipped", "reason": "no npm"},
    ]

    shown = replaced(PAGE.read_text(), taken({"date": "2026-11-26", "versions": {}, "cases": rows}))

    assert "finished **(not as it must be)**" in shown
    assert "Not run: no npm." in shown
    assert "kept out" not in shown
