"""What of earlier orchestrators and other tools lies in a checkout, by the catalogue of layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.discovery import Located
from orchestrator.doctor.surface import EarlierState
from orchestrator.errors import OrchestratorError
from orchestrator.migrate.catalogue import Layout, load_catalogue
from orchestrator.migrate.migration import Migration
from orchestrator.migrate.present import layout_inside
from orchestrator.migrate.present import present as find_layouts
from orchestrator.migrate.safety import is_safe
from orchestrator.migrate.supplied import supplied_files
from orchestrator.takeover.moving import mover


def state(located: Located, environment: Mapping[str, str]) -> EarlierState:
    """Returns what would move into `.orchestrator/`, and whether nothing speaks against that."""
    found = present(located, environment, ours_to_move=True)
    lines = tuple(f"{source} ({layout.name})" for layout, sources in found for source in sources)
    return EarlierState(lines, is_safe=bool(lines) and safe_migration(located, environment) is not None)


def safe_migration(located: Located, environment: Mapping[str, str]) -> Migration | None:
    """Returns the migration that may be carried out unasked, None where there is no such.

    Layouts that the repository itself describes do not count: a person has to agree to those.
    """
    found = mover(located, environment, load_catalogue())
    try:
        migration = found.migrator.preview()
    except (OrchestratorError, OSError):
        return None
    safe = migration.plan.pending and is_safe(migration, found.paths.base_dir)
    return migration if safe else None


def catalogue(located: Located) -> tuple[Layout, ...]:
    """Returns the layouts of the package and those that this repository describes.

    Raises:
        Refused: one of them cannot be read.
    """
    supplied = supplied_files(Path(located.orchestrator_dir))
    return load_catalogue(supplied=[one.layout() for one in supplied])


def present(
    located: Located, environment: Mapping[str, str], *, ours_to_move: bool
) -> list[tuple[Layout, list[str]]]:
    """Returns the layouts that are here with the sources that would move (or that are only named)."""
    known, home = catalogue(located), environment.get("HOME")
    return find_layouts(Path(located.home), known, home=home, moving=ours_to_move)


def is_inside(located: Located) -> bool:
    """Returns whether `.orchestrator/` holds what an earlier orchestrator left and `migrate` would move."""
    return layout_inside(Path(located.home)) is not None
