"""Keeps a plan in a file, so that exactly what was shown is applied later, or nothing."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.fs.failure import printable
from orchestrator.migrate.actions import Plan
from orchestrator.migrate.sniff import read_head

_LIMIT_BYTES = 64 * 1024 * 1024


def plan_to_file(plan: Plan, path: Path, disk: Disk) -> None:
    """Writes a plan as JSON, readable for its owner alone; names that are no UTF-8 survive.

    Raises:
        DiskFailed: it cannot be written.
    """
    disk.write(path, plan.model_dump_json(indent=1).encode() + b"\n")


def plan_from_file(path: Path) -> Plan:
    """Returns the plan that `plan_to_file` wrote.

    Raises:
        Refused: `plan-unreadable`, it is no plan of this version.
    """
    try:
        return Plan.model_validate_json(read_head(str(path), _LIMIT_BYTES))
    except ValidationError as error:
        raise Refused(
            f"{printable(path)} holds no migration plan of this version.",
            code="plan-unreadable",
            hint="Make one with: orchestrator migrate --dry-run --plan-out FILE",
        ) from error


def insist_unchanged(shown: Plan, now: Plan) -> None:
    """Returns if a plan made now, with the same options, is the one that was shown.

    Raises:
        Refused: `tree-changed`, something it would move is not as it was.
    """
    if shown == now:
        return
    changed = sorted({a.source for a in shown.actions} ^ {a.source for a in now.actions})
    what = f": {', '.join(printable(name) for name in changed[:5])}" if changed else ""
    raise Refused(
        f"What the plan was made for has changed since{what}.",
        code="tree-changed",
        hint="Look at it again, and write a new one: orchestrator migrate --dry-run --plan-out FILE",
    )
