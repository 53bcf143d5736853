"""An old configuration file as a tree whose keys are taken one by one; what nobody takes is unknown."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.config.document import Items, Leaf, Node, Table, parse
from orchestrator.config.merge import at
from orchestrator.config.origin import Layer, Origin, printable
from orchestrator.model.json import Json
from orchestrator.takeover.original import Problem, UnknownKey
from orchestrator.takeover.reading import Unusable

NO_COUNTERPART = "has no counterpart"
NOT_YET = "is not available in this version"

_SHELL = frozenset("|&;<>()$`*?[]#~!{}\n")
_YEAR_S = 366 * 24 * 3600

Path = tuple[str | int, ...]


@dataclass(slots=True)
class OldKeys:
    """The keys of one file; each `take_…` returns None for a key that is absent or no value of that sort."""

    root: Table
    file: str
    _taken: set[Path] = field(default_factory=set)
    _reasons: dict[Path, str] = field(default_factory=dict)

    def take_text(self, *path: str | int) -> str | None:
        """Returns text that is not empty."""
        node = at(self.root, path)
        if not isinstance(node, Leaf) or not isinstance(node.value, str) or not node.value.strip():
            return None
        self._taken.add(path)
        return node.value.strip()

    def take_flag(self, *path: str | int) -> bool | None:
        """Returns a truth value."""
        node = at(self.root, path)
        if not isinstance(node, Leaf) or not isinstance(node.value, bool):
            return None
        self._taken.add(path)
        return node.value

    def take_count(self, most: int, *path: str | int, least: int = 0) -> int | None:
        """Returns a whole number between `least` and `most`."""
        node = at(self.root, path)
        value = node.value if isinstance(node, Leaf) else None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            return None
        self._taken.add(path)
        return value

    def take_seconds(self, *path: str | int) -> float | int | None:
        """Returns a number of seconds above zero and below a year."""
        node = at(self.root, path)
        value = node.value if isinstance(node, Leaf) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _YEAR_S:
            return None
        self._taken.add(path)
        return value

    def take_command(self, *path: str | int) -> list[str] | None:
        """Returns a command line as words; one that needs a shell gets one."""
        text = self.take_text(*path)
        return None if text is None else words(text)

    def take(self, *path: str | int) -> None:
        """Counts a key and all below it as understood."""
        self._taken.add(path)

    def refuse(self, reason: str, *path: str | int) -> None:
        """Says why a key and all below it are not translated, where they are there."""
        self._reasons[path] = reason

    def names(self, *path: str | int) -> tuple[str, ...]:
        """Returns the keys below a mapping in their order."""
        node = at(self.root, path)
        return tuple(node.entries) if isinstance(node, Table) else ()

    def length(self, *path: str | int) -> int:
        """Returns how many items a list has."""
        node = at(self.root, path)
        return len(node.items) if isinstance(node, Items) else 0

    def unknown(self) -> Iterator[UnknownKey]:
        """Yields the keys that nobody took, each with its line; a part of which nothing was taken as one."""
        yield from self._unknown(self.root, ())

    def _unknown(self, node: Node, path: Path) -> Iterator[UnknownKey]:
        for key, origin, inner in _parts(node):
            here = (*path, key)
            if here in self._taken:
                continue
            if here not in self._reasons and self._knows_below(here) and not isinstance(inner, Leaf):
                yield from self._unknown(inner, here)
                continue
            name = printable(".".join(map(str, here)))
            yield UnknownKey(self.file, origin.line, name, self._reasons.get(here, NO_COUNTERPART))

    def _knows_below(self, path: Path) -> bool:
        return any(known[: len(path)] == path for known in (*self._taken, *self._reasons))


def _parts(node: Node) -> Iterator[tuple[str | int, Origin, Node]]:
    if isinstance(node, Table):
        yield from ((key, entry.key, entry.node) for key, entry in node.entries.items())
    elif isinstance(node, Items):
        yield from ((index, item.origin, item) for index, item in enumerate(node.items))


def open_keys(data: bytes, file: str) -> tuple[OldKeys, tuple[Problem, ...]]:
    """Returns the keys of a YAML file and what is odd about it.

    Raises:
        Unusable: it is not YAML, too large, or no mapping.
    """
    root, found = parse(data, layer=Layer.REPOSITORY, file=file)
    if root is None and found:
        raise Unusable(f"line {found[0].origin.line}: {found[0].sentence}")
    if not isinstance(root, Table):
        raise Unusable("is no mapping of keys to values")
    return OldKeys(root, file), tuple(
        Problem(file, f"line {each.origin.line}: {each.sentence}") for each in found
    )


def words(command: str) -> list[str]:
    """Returns a command line as words; what only a shell understands is given to one."""
    if not _SHELL & set(command):
        try:
            found = shlex.split(command)
        except ValueError:
            found = []
        if found and "=" not in found[0]:
            return found
    return ["sh", "-c", command]


def merged(one: dict[str, Json], other: dict[str, Json]) -> dict[str, Json]:
    """Returns both settings as one; where both say something, `other` wins."""
    result = dict(one)
    for key, value in other.items():
        before = result.get(key)
        result[key] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result
