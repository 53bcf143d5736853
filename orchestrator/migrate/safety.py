"""Tells whether a migration may be carried out without asking a person: `migration.auto: safe`."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.migrate.migration import Migration


def is_safe(migration: Migration, root: Path) -> bool:
    """Returns whether no conflict, link, tracked or secret file, crossing or living run speaks against it."""
    plan = migration.plan
    moving = [one for one in plan.actions if one.target is not None]
    doubtful = any(one.tracked or one.sensitive or _has_link(root / one.source) for one in moving)
    return not (
        migration.troubles
        or migration.interrupted is not None
        or plan.conflicts
        or plan.warnings
        or not plan.same_filesystem
        or doubtful
    )


def _has_link(path: Path) -> bool:
    if path.is_symlink():
        return True
    return path.is_dir() and any(
        os.path.islink(os.path.join(here, name))
        for here, directories, files in os.walk(path)
        for name in (*directories, *files)
    )
