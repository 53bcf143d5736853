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
)
from orchestrator.doctor.diagnosis import Check

CHECKS: tuple[Check, ...] = (
    *repository.CHECKS,
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
"""Their ids are unique and stay the same from version to version."""
