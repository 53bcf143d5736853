"""`status` from the front door: reads the database beside a live run, writes nothing, takes no git lock."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.cli.flags import Flags


def answer(flags: Flags, run_id: str | None) -> int | None:
    """Returns the exit status, or None when the full command must look: nothing was printed then."""
    return None
