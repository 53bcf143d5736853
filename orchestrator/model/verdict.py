"""Verdicts: what follows from the findings of an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """What happens next with a phase."""

    PROCEED = "proceed"
    RETRY = "retry"
    ASK = "ask"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and the reasons a person can check it by."""

    decision: Decision
    reasons: tuple[str, ...]
