"""Puts the outcomes of a run into docs/agents.md: `python -m tests.real.page`; `--take` takes the last run's.

What stands between the two marks is made from results.json, by nobody's hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.real.agents import REAL
from tests.real.expected import RUNS, SHOWN, UNUSUAL, VIAS
from tests.real.places import OUTCOMES, PAGE, RESULTS

BEGIN = "<!-- Between these marks: made by `python -m tests.real.page` from tests/real/results.json. -->"
END = "<!-- end of the outcomes -->"
_KEPT = ("agent", "via", "case", "ending", "cause", "status", "reason")
_HEADINGS = {"headless": "Headless, by their own command lines", "acp": "Over ACP"}
Results = Mapping[str, Any]
Row = Mapping[str, str]


def section(results: Results) -> str:
    """Returns the part of the page that shows the outcomes of a run."""
    rows = {(row["agent"], row["via"], row["case"]): row for row in results["cases"] if row.get("agent")}
    lines = [BEGIN, "", f"Run on {results['date']} with {', '.join(_versions(results))}.", ""]
    for via in VIAS:
        lines += [f"### {_HEADINGS[via]}", "", *_table(via, rows), ""]
    return "\n".join([*lines, *_reasons(rows), *_runs(results), END])


def _versions(results: Results) -> Iterator[str]:
    return (f"{name} {version}" for name, version in results["versions"].items())


def _table(via: str, rows: Mapping[tuple[str, str, str], Row]) -> Iterator[str]:
    names = [agent.name for agent in REAL]
    yield _line(("case", *names))
    yield _line(["---"] * (len(names) + 1))
    for case, shown in SHOWN.items():
        yield _line((shown, *(_cell(rows.get((name, via, case)), (name, via, case)) for name in names)))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(row: Row | None, key: tuple[str, str, str]) -> str:
    if row is None or row["status"] == "skipped":
        return "not run"
    cause = "" if row["cause"] == "other" else f": {row['cause']}"
    note = f" ({_number(key)})" if key in UNUSUAL else ""
    wrong = "" if row["status"] == "passed" else " **(not as it must be)**"
    return f"{row['ending']}{cause}{note}{wrong}"


def _number(key: tuple[str, str, str]) -> int:
    return list(dict.fromkeys(end.why for end in UNUSUAL.values())).index(UNUSUAL[key].why) + 1


def _reasons(rows: Mapping[tuple[str, str, str], Row]) -> Iterator[str]:
    for number, why in enumerate(dict.fromkeys(end.why for end in UNUSUAL.values()), 1):
        yield f"{number}. {why}"
    yield from [""] if UNUSUAL else []
    for reason in dict.fromkeys(row["reason"] for row in rows.values() if row["status"] == "skipped"):
        yield f"Not run: {reason}.\n"


def _runs(results: Results) -> Iterator[str]:
    rows = {row["case"]: row for row in results["cases"]}
    yield "### Whole runs"
    yield ""
    for case, shown in RUNS.items():
        row = rows.get(case, {"status": "not run", "reason": ""})
        came = row["ending"] if row["status"] == "passed" else f"{row['status']} {row['reason']}".strip()
        yield f"- {shown}: {came}."
    yield ""


def replaced(page: str, results: Results) -> str:
    """Returns the page with the outcomes of these results."""
    before, _, rest = page.partition(BEGIN)
    return before + section(results) + rest.partition(END)[2]


def taken(outcomes: Results) -> Results:
    """Returns of a run's outcomes what is kept: nothing that is different in every run."""
    rows = [{name: row[name] for name in _KEPT if name in row} for row in outcomes["cases"]]
    return {**outcomes, "cases": rows}


def main(words: list[str]) -> None:
    """Makes the page anew, with `--take` from the last run on this machine."""
    if "--take" in words:
        kept = taken(json.loads(OUTCOMES.read_text()))
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    PAGE.write_text(replaced(PAGE.read_text(), json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main(sys.argv[1:])
