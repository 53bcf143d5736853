"""Says which earlier layout a directory `.orchestrator/` that is not ours belongs to."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.migrate.catalogue import How, Layout, load_catalogue
from orchestrator.migrate.sniff import Places, fits, recognised
from orchestrator.paths import names


def layout_inside(root: str) -> Layout | None:
    """Returns the layout of the package that recognises something in `.orchestrator/` it would move.

    None where nothing does. Reads names and the content that marks ask for; follows no link.
    """
    places = Places(root, None)
    found = (one for one in load_catalogue() if recognised(one.recognise, places))
    return next((one for one in found if any(_moving(one, places))), None)


def _moving(layout: Layout, places: Places) -> Iterator[bool]:
    for entry in layout.entries:
        if entry.action is not How.REPORT and entry.source.startswith(f"{names.DIRECTORY}/"):
            yield from (True for path in places.find(entry.source) if fits(entry.when, path, places))
