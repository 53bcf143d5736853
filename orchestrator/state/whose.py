"""Tells which run a record belongs to, for finding the state that holds it among several."""

from __future__ import annotations

import sqlite3
from typing import Literal

from orchestrator.errors import OrchestratorError
from orchestrator.model.ids import RunId
from orchestrator.state.snapshot import open_to_read

_QUERIES = {
    "intervention": "SELECT run_id FROM manual_interventions WHERE id = ?",
    "operation": "SELECT run_id FROM operations WHERE id = ?",
}


def run_of(state_file: str, kind: Literal["intervention", "operation"], record_id: str) -> RunId | None:
    """Returns the run that a record belongs to; None where this state has none such or cannot be read."""
    try:
        connection, _ = open_to_read(state_file)
    except OrchestratorError:
        return None
    try:
        row = connection.execute(_QUERIES[kind], (record_id,)).fetchone()
    except sqlite3.Error:
        return None
    finally:
        connection.close()
    return RunId(row[0]) if row is not None and row[0] is not None else None


def count_runs(state_file: str) -> int:
    """Returns how many runs a state knows; 0 where there is none or it cannot be read."""
    try:
        connection, _ = open_to_read(state_file)
    except OrchestratorError:
        return 0
    try:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.Error:
        return 0
    finally:
        connection.close()
