"""All checks, in the order in which they are carried out and shown."""

from __future__ import annotations

from orchestrator.doctor.checks import (
    configuration,
    git,
    layout,
    legacy,
    permissions,
    processes,
    repository,
    secrets,
    state,
    storage,
    surroundings,
    tracked,
)
from orchestrator.doctor.diagnosis import Check
from orchestrator.doctor.quick.catalogue import QUICK

_GROUPS = (
    "repository",
    "layout",
    "git",
    "state",
    "processes",
    "locks",
    "permissions",
    "secrets",
    "disk",
    "file system",
    "environment",
    "agents",
    "configuration",
    "version pin",
    "trust",
)
_FULL: tuple[Check, ...] = (
    *repository.CHECKS,
    *tracked.CHECKS,
    *layout.CHECKS,
    *legacy.CHECKS,
    *git.CHECKS,
    *state.CHECKS,
    *processes.CHECKS,
    *permissions.CHECKS,
    *secrets.CHECKS,
    *storage.CHECKS,
    *surroundings.CHECKS,
    *configuration.CHECKS,
)

CHECKS: tuple[Check, ...] = tuple(sorted((*QUICK, *_FULL), key=lambda check: _GROUPS.index(check.group)))
"""Group by group, the quick ones of each first; ids are unique and stay the same from version to version."""
