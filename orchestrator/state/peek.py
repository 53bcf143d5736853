"""What `status` shows, read by the front door: standard library, no model, no JSON module, few queries.

The shapes are plain dictionaries and lists, ready for `json.dumps`.
"""

from __future__ import annotations

import sqlite3

from orchestrator.state.failure import translated
from orchestrator.state.snapshot import open_to_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    class Usage(TypedDict):
        """What the agents of a run consumed; None where nothing was metered."""

        input_tokens: int | None
        output_tokens: int | None
        cost_usd: float | None

    class StepUsage(TypedDict):
        """What one step of an attempt consumed, its turns together; None where its agent tells nothing."""

        phase: str
        attempt: int
        step: int
        round: int
        agent: str
        model: str | None
        turns: int | None
        input_tokens: int | None
        output_tokens: int | None
        cost_usd: float | None

    class PhaseGlance(TypedDict):
        """A phase of a run, and how many attempts it has had.

        `rounds` is the round of its latest attempt, `stopped` why there was no further one.
        """

        id: str
        name: str
        status: str
        attempts: int
        rounds: int
        stopped: str | None

    class RunGlance(TypedDict):
        """A run as `status` shows it; times are ISO 8601 UTC.

        `agent` took the last step, `verdict` is the last decision, `outcome` what was proved; `spent` is
        told of a run that was asked for by its id, step by step.
        """

        id: str
        task: str
        status: str
        created_at: str
        branch: str | None
        base: str
        phases: list[PhaseGlance]
        executions: int
        agent: str | None
        outcome: str | None
        verdict: str | None
        waiting_for: str | None
        wake_at: str | None
        cancel_requested: bool
        usage: Usage
        spent: list[StepUsage]
        last_event_at: str | None
        interventions: int

    class Glance(TypedDict):
        """Runs that have not ended first, each group newest first; `more` tells that others were left out."""

        snapshot: bool
        more: bool
        interventions: int
        runs: list[RunGlance]


SCHEMA_VERSION = 1
"""The schema that the queries here were written for; a test compares it with the newest migration."""

_RUN = (
    "SELECT id, task, status, created_at, json_extract(progress, '$.branch'), base,"
    " json_extract(progress, '$.waiting_for'), json_extract(progress, '$.wake_at'), cancel_requested,"
    " json_extract(progress, '$.outcome')"
    " FROM runs "
)
_OPEN = "WHERE status IN ('planning', 'executing', 'verifying', 'waiting') "
_NEWEST = "ORDER BY created_at DESC, id DESC LIMIT ?"
_PHASES = (
    "SELECT phases.id, name, phases.status, count(attempt_number),"
    " ifnull(json_extract(executions.progress, '$.rounds.iteration'), 1),"
    " json_extract(executions.progress, '$.rounds.stopped'), max(attempt_number)"
    " FROM phases LEFT JOIN executions ON executions.run_id = phases.run_id AND phase_id = phases.id"
    " WHERE phases.run_id = ? GROUP BY phases.id ORDER BY position"
)
"""The rounds are those of the latest attempt: SQLite takes them from the row of the maximum."""
_USAGE = (
    "SELECT count(*), sum(json_extract(progress, '$.usage.input_tokens')),"
    " sum(json_extract(progress, '$.usage.output_tokens')), sum(json_extract(progress, '$.usage.cost_usd'))"
    " FROM executions WHERE run_id = ?"
)
_PLANNING = (
    "SELECT json_extract(progress, '$.planning.input_tokens'),"
    " json_extract(progress, '$.planning.output_tokens'), json_extract(progress, '$.planning.cost_usd')"
    " FROM runs WHERE id = ?"
)
_SPENT = (
    "SELECT json_extract(data, '$.phase') AS phase, json_extract(data, '$.attempt') AS attempt,"
    " json_extract(data, '$.step') AS step, json_extract(data, '$.agent'), json_extract(data, '$.model'),"
    " json_extract(data, '$.turns'), json_extract(data, '$.input_tokens'),"
    " json_extract(data, '$.output_tokens'), json_extract(data, '$.cost_usd'), max(run_seq) AS last,"
    " json_extract(data, '$.round') AS round"
    " FROM events WHERE run_id = ? AND kind = 'agent.usage' AND json_extract(data, '$.agent') IS NOT NULL"
    " GROUP BY phase, attempt, round, step ORDER BY last"
)
"""Each turn tells all it has consumed so far: the last event of a step counts. SQLite takes the other columns
from the row of the maximum. Source: sqlite.org/lang_select.html, bare columns."""
_LAST_EVENT = "SELECT at FROM events WHERE run_id = ? ORDER BY run_seq DESC LIMIT 1"
_LATEST = (
    "SELECT json_extract(data, ?) FROM events WHERE run_id = ? AND kind = ? ORDER BY run_seq DESC LIMIT 1"
)
_INTERVENTIONS = "SELECT count(*) FROM manual_interventions WHERE status = 'open'"


def peek(state_file: str, run_id: str | None = None, limit: int = 20) -> Glance | None:
    """Returns what `status` shows of one run (an empty list when there is none of that id), or of all.

    Of all runs, the newest `limit` that have not ended and the newest `limit` of any kind are returned. None
    means that the full command must answer: the schema is older or newer than this version's.

    Raises:
        Refused: `state-missing` or `state-unsafe`.
        DiskFailed, StateDamaged, Locked: it cannot be read.
    """
    connection, is_snapshot = open_to_read(state_file)
    connection.text_factory = _readable
    try:
        connection.execute("BEGIN")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            return None
        return _glance(connection, is_snapshot, run_id, limit)
    except sqlite3.Error as error:
        raise translated(error, state_file) from error
    finally:
        connection.close()


def _glance(connection: sqlite3.Connection, is_snapshot: bool, run_id: str | None, limit: int) -> Glance:
    more, of_run, values = False, "", tuple[str, ...]()
    if run_id is not None:
        of_run, values = " AND run_id = ?", (run_id,)
        rows = connection.execute(_RUN + "WHERE id = ?", (run_id,)).fetchall()
    else:
        rows = connection.execute(_RUN + _OPEN + _NEWEST, (limit + 1,)).fetchall()
        shown = {row[0] for row in rows[:limit]}
        newest = connection.execute(_RUN + _NEWEST, (limit + 1,)).fetchall()
        more = len(rows) > limit or len(newest) > limit
        rows = rows[:limit] + [row for row in newest[:limit] if row[0] not in shown]
    return {
        "snapshot": is_snapshot,
        "more": more,
        "interventions": connection.execute(_INTERVENTIONS + of_run, values).fetchone()[0],
        "runs": [_run(connection, row, _spent(connection, run_id)) for row in rows],
    }


def _run(
    connection: sqlite3.Connection,
    row: tuple[str, str, str, str, str | None, str, str | None, str | None, int, str | None],
    spent: list[StepUsage],
) -> RunGlance:
    run_id = row[0]
    executions, *used = connection.execute(_USAGE, (run_id,)).fetchone()
    planning = connection.execute(_PLANNING, (run_id,)).fetchone()
    input_tokens, output_tokens, cost_usd = map(_together, used, planning)
    last = connection.execute(_LAST_EVENT, (run_id,)).fetchone()
    waiting = connection.execute(_INTERVENTIONS + " AND run_id = ?", (run_id,)).fetchone()
    return {
        "id": run_id,
        "task": row[1],
        "status": row[2],
        "created_at": row[3],
        "branch": row[4],
        "base": row[5],
        "phases": [
            {
                "id": phase[0],
                "name": phase[1],
                "status": phase[2],
                "attempts": phase[3],
                "rounds": phase[4],
                "stopped": phase[5],
            }
            for phase in connection.execute(_PHASES, (run_id,))
        ],
        "executions": executions,
        "agent": _latest(connection, run_id, "step.started", "$.agent"),
        "outcome": row[9],
        "verdict": _latest(connection, run_id, "verdict.reached", "$.decision"),
        "waiting_for": row[6],
        "wake_at": row[7],
        "cancel_requested": bool(row[8]),
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens, "cost_usd": cost_usd},
        "spent": spent,
        "last_event_at": None if last is None else last[0],
        "interventions": waiting[0],
    }


def _spent(connection: sqlite3.Connection, run_id: str | None) -> list[StepUsage]:
    if run_id is None:
        return []
    return [
        {
            "phase": row[0],
            "attempt": row[1],
            "step": row[2],
            "round": row[10] or 1,
            "agent": row[3],
            "model": row[4] or None,
            "turns": row[5],
            "input_tokens": row[6],
            "output_tokens": row[7],
            "cost_usd": row[8],
        }
        for row in connection.execute(_SPENT, (run_id,))
    ]


def _together(one: float | None, other: float | None) -> Any:
    return one if other is None else other if one is None else one + other


def _latest(connection: sqlite3.Connection, run_id: str, kind: str, path: str) -> str | None:
    found = connection.execute(_LATEST, (path, run_id, kind)).fetchone()
    return None if found is None else found[0]


def _readable(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
