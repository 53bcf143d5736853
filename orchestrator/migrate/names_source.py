"""Writes `known_names.py`: run `python -m orchestrator.migrate.names_source` after changing the catalogue."""

from __future__ import annotations

from pathlib import Path

from orchestrator.migrate.catalogue import HOME, How, Mark, load_catalogue
from orchestrator.paths import names

TARGET = Path(__file__).with_name("known_names.py")
_HEAD = '''"""Names that earlier layouts have, for a quick look. Made by `names_source`; a test compares.

A name found here says only that the catalogue should be asked; content decides.
"""

import os

'''
_TAIL = '''
READ_IN_PLACE = frozenset({{{read}}})
"""The layouts whose state commands that read find in its old place."""


def any_found(root: str, *, read_in_place: bool = False) -> bool:
    """Returns whether any of the names stands in `root`; of those layouts alone whose state is read there."""
    return any(
        os.path.lexists(os.path.join(root, name))
        for layout, known in NAMES.items()
        if not read_in_place or layout in READ_IN_PLACE
        for name in known
    )
'''
_READ_IN_PLACE = ("w", "w-inside")


def source() -> str:
    """Returns the module's text, the same for the same catalogue."""
    lines = ""
    for layout in load_catalogue():
        if layout.recognise is None or all(entry.action is How.REPORT for entry in layout.entries):
            continue
        found = sorted(
            {name for mark in (*layout.recognise.any, *layout.recognise.all) if (name := _cheap(mark))}
        )
        inner = "".join(f'        "{name}",\n' for name in found)
        lines += f'    "{layout.name}": [\n{inner}    ],\n'
    read = ", ".join(f'"{name}"' for name in _READ_IN_PLACE)
    return f"{_HEAD}NAMES = {{\n{lines}}}\n{_TAIL.format(read=read)}"


def _cheap(mark: Mark) -> str:
    """Returns the part of a mark's path to look for without listing; empty where ours has it too."""
    path = mark.path.partition("*")[0].rstrip("/")
    if path.startswith(HOME) or path.removeprefix(f"{names.DIRECTORY}/") in names.KNOWN:
        return ""
    return path


if __name__ == "__main__":
    TARGET.write_text(source(), encoding="utf-8")
