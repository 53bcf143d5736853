"""What of earlier orchestrators and other tools lies in a checkout, by the catalogue of layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.discovery import Located
from orchestrator.doctor.surface import EarlierState
from orchestrator.errors import OrchestratorError
from orchestrator.migrate.catalogue import How, Layout, load_catalogue
from orchestrator.migrate.migration import Migration
from orchestrator.migrate.safety import is_safe
from orchestrator.migrate.sniff import Places, fits, recognised
from orchestrator.paths import names
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
    own = Path(located.orchestrator_dir, names.LAYOUTS)
    return load_catalogue(directories=[] if own.parent.is_symlink() else [own])


def present(
    located: Located, environment: Mapping[str, str], *, ours_to_move: bool
) -> list[tuple[Layout, list[str]]]:
    """Returns the layouts that are here with the sources that would move (or that are only named)."""
    places = Places(located.home, environment.get("HOME"))
    found = []
    for layout in catalogue(located):
        if recognised(layout.recognise, places):
            sources = _sources(layout, places, ours_to_move=ours_to_move)
            if sources:
                found.append((layout, sources))
    return found


def _sources(layout: Layout, places: Places, *, ours_to_move: bool) -> list[str]:
    return [
        path if entry.at_home else places.relative(path)
        for entry in layout.entries
        if (entry.action is not How.REPORT) is ours_to_move
        for path in places.find(entry.source)
        if fits(entry.when, path, places)
    ]
