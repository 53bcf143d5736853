"""What a parser makes of a check's output."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model.finding import Finding

MAX_FINDINGS = 1000
"""More findings of one check than this are counted, not kept: a hostile check prints millions."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """Findings of one output. `problem` tells why it could not be understood; then there are none."""

    findings: tuple[Finding, ...] = ()
    tests_run: int | None = None
    dropped: int = 0
    problem: str = ""


def keep(findings: list[Finding], *, tests_run: int | None = None, seen: int | None = None) -> Parsed:
    """Returns at most MAX_FINDINGS of the findings; `seen` is how many there were if fewer were collected."""
    kept = tuple(findings[:MAX_FINDINGS])
    return Parsed(kept, tests_run, (seen if seen is not None else len(findings)) - len(kept))
