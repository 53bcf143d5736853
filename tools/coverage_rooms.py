"""Demands full-strength coverage of the rooms whose mistakes would lose somebody's work.

Usage: coverage_rooms.py REPORT, where REPORT was written by `coverage json` at the root of the repository.
Exits 1 if a room is below the floor; a room that was not measured at all is below it.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

FLOOR_PERCENT = 95.0
ROOMS = ("fs", "state", "repo", "model")


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of what could run and what did, in one room."""

    statements: int
    statements_run: int
    branches: int
    branches_taken: int

    @property
    def line_percent(self) -> float:
        """Statements that ran; 0 when the room has none, because then nothing was measured."""
        return 100 * self.statements_run / self.statements if self.statements else 0.0

    @property
    def branch_percent(self) -> float:
        """Branches that were taken; 100 when a measured room has none."""
        if self.branches:
            return 100 * self.branches_taken / self.branches
        return 100.0 if self.statements else 0.0

    @property
    def is_enough(self) -> bool:
        """True when neither lines nor branches are below the floor."""
        return min(self.line_percent, self.branch_percent) >= FLOOR_PERCENT


def is_in_room(file: str, room: str) -> bool:
    """Tells whether a measured file belongs to a room, be that a package or a single module."""
    return PurePath(file).with_suffix("").parts[:2] == ("orchestrator", room)


def tally(summaries: Iterable[dict[str, Any]]) -> Tally:
    """Adds up the `summary` objects of a coverage report."""
    rows = list(summaries)
    return Tally(
        statements=sum(row["num_statements"] for row in rows),
        statements_run=sum(row["covered_lines"] for row in rows),
        branches=sum(row["num_branches"] for row in rows),
        branches_taken=sum(row["covered_branches"] for row in rows),
    )


def main(argv: list[str]) -> int:
    """Prints one line per room and returns 1 if any is below the floor."""
    files: dict[str, dict[str, Any]] = json.loads(Path(argv[1]).read_text(encoding="utf-8"))["files"]
    enough = True
    for room in ROOMS:
        room_tally = tally(entry["summary"] for file, entry in files.items() if is_in_room(file, room))
        enough = enough and room_tally.is_enough
        print(
            f"{room:<8} lines {room_tally.line_percent:6.2f} %  branches {room_tally.branch_percent:6.2f} %"
            f"  {'ok' if room_tally.is_enough else f'below {FLOOR_PERCENT:g} %'}"
        )
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
