"""Says which layouts of a catalogue are here, and by which files; reads names and what marks ask for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.migrate.catalogue import How, Layout, load_catalogue
from orchestrator.migrate.sniff import Places, fits, recognised
from orchestrator.paths import names


def present(
    root: Path, catalogue: Sequence[Layout], *, home: str | None = None, moving: bool = True
) -> list[tuple[Layout, list[str]]]:
    """Returns the layouts that are in `root`, each with what of it would move (or is only named).

    Sources are relative to `root`, or absolute below `home`, the user's, where that counts.
    """
    places = Places(os.fspath(root), home)
    found = [(one, _sources(one, places, moving)) for one in catalogue if recognised(one, places)]
    return [(layout, sources) for layout, sources in found if sources]


def layout_inside(root: Path) -> Layout | None:
    """Returns the layout of the package that recognises something in `.orchestrator/` it would move."""
    within = f"{names.DIRECTORY}/"
    found = present(root, load_catalogue())
    return next((one for one, sources in found if any(each.startswith(within) for each in sources)), None)


def _sources(layout: Layout, places: Places, moving: bool) -> list[str]:
    return [
        path if entry.at_home else places.relative(path)
        for entry in layout.entries
        if (entry.action is not How.REPORT) is moving
        for path in places.find(entry.source)
        if fits(entry.when, path, places)
    ]
