"""What was seen of agents last: when they were checked, how their last step ended. Standard library only."""

from __future__ import annotations

import os
import sqlite3

from orchestrator.state.failure import translated
from orchestrator.state.snapshot import open_to_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypedDict

    Row = tuple[Any, ...]

    class Seen(TypedDict):
        """How an agent was seen; `what` is `checked` or `worked`, `how` its health or how its step ended."""

        what: str
        how: str
        at: str
        ok: bool


LAST = (
    "SELECT json_extract(data, '$.agent') AS agent, kind, at, json_extract(data, '$.health'),"
    " json_extract(data, '$.ending'), max(seq) FROM events"
    " WHERE kind IN ('agent.checked', 'step.finished') AND json_extract(data, '$.agent') IS NOT NULL"
    " GROUP BY agent"
)
"""SQLite takes the other columns from the row of the maximum. Source: sqlite.org/lang_select.html."""


def last_seen(state_file: str) -> dict[str, Seen]:
    """Returns how each agent was seen last, by name; nothing where there is no state yet.

    Raises:
        Refused: `state-unsafe`.
        DiskFailed, StateDamaged, Locked: it cannot be read.
    """
    if not os.path.lexists(state_file):
        return {}
    connection, _ = open_to_read(state_file)
    try:
        rows = connection.execute(LAST).fetchall()
    except sqlite3.Error as error:
        raise translated(error, state_file) from error
    finally:
        connection.close()
    return seen(rows)


def seen(rows: Sequence[Row]) -> dict[str, Seen]:
    """Returns what the rows that `LAST` finds tell, by the name of the agent."""
    return {str(row[0]): _seen(row[1], row[2], str(row[3] or ""), str(row[4] or "")) for row in rows}


def _seen(kind: str, at: str, health: str, ending: str) -> Seen:
    if kind == "agent.checked":
        return {"what": "checked", "how": health, "at": at, "ok": health in ("ready", "finished")}
    return {"what": "worked", "how": ending, "at": at, "ok": ending == "finished"}
