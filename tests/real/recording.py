"""Writes down what each case came to; loaded by `python -m tests.real` as a plugin of pytest."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from tests.real.places import OUTCOMES, RECORD

_rows: list[dict[str, object]] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keeps the call of every case, and the set-up of those that were skipped."""
    if report.when == "call" or (report.when == "setup" and not report.passed):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        told = {**_case(report.nodeid), **{name: value for name, value in report.user_properties}}
        told.update(status=report.outcome, reason=reason.removeprefix("Skipped: "))
        _rows.append({**told, "seconds": round(report.duration, 1)})


def _case(test: str) -> dict[str, object]:
    found = re.search(r"::test_(\w+)\[(\w+)-(\w+)\]$", test)
    return (
        dict(zip(("case", "agent", "via"), found.groups(), strict=True))
        if found
        else {"case": test.rpartition("::test_")[2]}
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes all of it, in the process that hears of every case."""
    if hasattr(session.config, "workerinput"):
        return
    installed = json.loads(RECORD.read_text())
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: row["version"] for name, row in installed.items()},
        "cases": sorted(_rows, key=lambda row: [str(row.get(name)) for name in ("agent", "via", "case")]),
    }
    OUTCOMES.parent.mkdir(parents=True, exist_ok=True)
    OUTCOMES.write_text(json.dumps(result, indent=1) + "\n")
