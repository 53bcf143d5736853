"""Which originals a recorded migration kept, and which migrations still wait for their takeover."""

from __future__ import annotations

from pathlib import Path

from orchestrator.migrate.catalogue import How, Kind
from orchestrator.migrate.plan import original
from orchestrator.migrate.record import Record, State, records
from orchestrator.takeover import journal
from orchestrator.takeover.original import Original


def originals_of(record: Record) -> tuple[Original, ...]:
    """Returns what a migration kept for the takeover, in the order of its plan.

    Configuration that stayed where it was, because git tracks it, is read there.
    """
    found = []
    for action in record.plan.actions:
        kept = original(record.plan.id, action.source)
        if action.action in ("move", "merge") and action.how in (How.IMPORT, How.SQLITE_BACKUP):
            found.append(Original(action.layout, action.kind, action.source, record.root / kept))
        elif action.action == "keep" and action.kind is Kind.CONFIG and action.how is How.IMPORT:
            found.append(Original(action.layout, action.kind, action.source, record.root / action.source))
    return tuple(found)


def journal_of(record: Record) -> Path:
    """Returns the path of the journal that the takeover of a migration keeps."""
    return record.directory / journal.NAME


def pending(root: Path) -> tuple[Record, ...]:
    """Returns the completed migrations whose takeover is not finished, oldest first; reads only.

    Raises:
        Failed: `record-damaged`. Refused: `takeover-journal-damaged`.
    """
    return tuple(
        record
        for record in records(root)
        if record.state is State.COMPLETED
        and record.plan.upgrade is None
        and originals_of(record)
        and not journal.is_finished(journal_of(record))
    )
