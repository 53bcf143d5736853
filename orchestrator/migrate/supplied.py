"""Reads the layouts that a repository itself supplies, once: what is trusted is what is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.paths import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.migrate.catalogue import Layout


@dataclass(frozen=True, slots=True)
class SuppliedFile:
    """A file of `.orchestrator/layouts/` as it was read; `refusal` where it could not be."""

    name: str
    data: bytes = b""
    refusal: Refused | None = None

    @property
    def sha256(self) -> str:
        """Returns the hash of what was read, or of why nothing was."""
        told = self.data if self.refusal is None else b"\0" + self.refusal.message.encode()
        return hashlib.sha256(told).hexdigest()

    def layout(self) -> Layout:
        """Returns the layout that it describes.

        Raises:
            Refused: `layout-invalid`, naming every problem; `layout-unreadable`.
        """
        from orchestrator.migrate.catalogue import parse_layout

        if self.refusal is not None:
            raise self.refusal
        return parse_layout(self.data, self.name)

    def told(self) -> tuple[str, ...]:
        """Returns what it would do, in words, its hash first; never raises for what it holds."""
        try:
            layout = self.layout()
        except Refused as refusal:
            return (f"sha256 {self.sha256[:16]}", refusal.message)
        moves = (f"{one.action} {one.source} -> {one.target or 'original'}" for one in layout.entries)
        return (f"sha256 {self.sha256[:16]}", f"layout {layout.name}", *moves)


def supplied_files(orchestrator_dir: Path) -> tuple[SuppliedFile, ...]:
    """Returns the files `layouts/*.yaml` of an `.orchestrator/`, sorted; none through a link."""
    directory = orchestrator_dir / names.LAYOUTS
    if orchestrator_dir.is_symlink() or directory.is_symlink() or not directory.is_dir():
        return ()
    return tuple(_read(path) for path in sorted(directory.glob("*.yaml")))


def hashes(files: Iterable[SuppliedFile]) -> tuple[tuple[str, str], ...]:
    """Returns name and hash of each file: what an approval is bound to."""
    return tuple((one.name, one.sha256) for one in files)


def _read(path: Path) -> SuppliedFile:
    from orchestrator.migrate.catalogue import layout_bytes

    name = f"{names.DIRECTORY}/{names.LAYOUTS}/{path.name}"
    try:
        return SuppliedFile(name, layout_bytes(path))
    except Refused as refusal:
        return SuppliedFile(name, refusal=refusal)
