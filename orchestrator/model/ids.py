"""Names of runs, phases, executions and their kin: checked once, then trusted."""

from __future__ import annotations

import os
import re
import time
from typing import NewType

from orchestrator.errors import Refused

RunId = NewType("RunId", str)
PhaseId = NewType("PhaseId", str)
ExecutionId = NewType("ExecutionId", str)
FindingId = NewType("FindingId", str)
InterventionId = NewType("InterventionId", str)
OperationId = NewType("OperationId", str)
ObjectId = NewType("ObjectId", str)
"""A full git object id: 40 hexadecimal digits, or 64 in a SHA-256 repository."""

RESERVED_RUN_IDS = frozenset({"state"})
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


def parse_run_id(text: str) -> RunId:
    """Returns `text` as a run id.

    Raises:
        Refused: not `[a-z0-9][a-z0-9-]{0,39}`, or reserved: it could escape a directory or clash.
    """
    if not is_run_id(text):
        raise Refused(
            f"{text!r} cannot be a run id.",
            code="run-id-invalid",
            hint="Use up to 40 of a-z, 0-9 and -, starting with a letter or digit; `state` is reserved.",
        )
    return RunId(text)


def is_run_id(text: str) -> bool:
    """Returns whether `parse_run_id` takes it."""
    return bool(_RUN_ID.fullmatch(text)) and text not in RESERVED_RUN_IDS


def new_run_id() -> RunId:
    """Returns a fresh id: UTC time to the second, then 30 random bits, so that ids sort by time of making."""
    return RunId(time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + _random_text(6))


def new_id(prefix: str) -> str:
    """Returns `prefix-` and 60 random bits; unique in one repository for all practical purposes."""
    return f"{prefix}-{_random_text(12)}"


def _random_text(length: int) -> str:
    return "".join(_BASE32[byte & 31] for byte in os.urandom(length))
