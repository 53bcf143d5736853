"""Lays one layer over another: mappings are merged, everything else is replaced, enforced keys stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.config import fields
from orchestrator.config.document import Entry, Items, Leaf, Node, Table, plain
from orchestrator.config.origin import Layer, Origin
from orchestrator.model.json import Json

ENFORCING = (Layer.SYSTEM, Layer.USER)

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A value that a layer gave to a key which an earlier layer enforces; the enforced value stays."""

    key: str
    given: Origin
    enforced: Origin


def merged(lower: Node | None, upper: Node) -> Node:
    """Returns `upper` laid over `lower`."""
    if not isinstance(lower, Table) or not isinstance(upper, Table):
        return upper
    entries = dict(lower.entries)
    for key, entry in upper.entries.items():
        below = lower.entries.get(key)
        entries[key] = Entry(entry.key, merged(below.node if below else None, entry.node))
    return Table(entries, upper.origin)


def without_enforced(
    upper: Table, current: Node | None, enforced: Mapping[Key, Origin]
) -> tuple[Table, list[Refusal]]:
    """Returns the layer without the keys that earlier layers enforce, and the attempts to change them."""
    refusals: list[Refusal] = []
    for key, origin in enforced.items():
        node = at(upper, key)
        if node is None:
            continue
        before = at(current, key) if current is not None else None
        declared = fields.find(key)
        standing: Json = plain(before) if before else (declared.default if declared else None)
        if not fields.same(plain(merged(before, node)), standing):
            refusals.append(Refusal(".".join(key), node.origin, origin))
        upper = _without(upper, key)
    return upper, refusals


def at(node: Node | None, path: tuple[str | int, ...]) -> Node | None:
    """Returns the node at a path, or None."""
    for part in path:
        if isinstance(node, Table) and part in node.entries:
            node = node.entries[str(part)].node
        elif isinstance(node, Items) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        else:
            return None
    return node


def from_json(value: Json, origin: Origin) -> Node:
    """Returns a tree whose every part has the same origin."""
    if value is None or isinstance(value, bool | int | float | str):
        return Leaf(value, origin, str(value))
    if isinstance(value, Mapping):
        return Table({key: Entry(origin, from_json(item, origin)) for key, item in value.items()}, origin)
    return Items(tuple(from_json(item, origin) for item in value), origin)


def nested(path: Key, node: Node) -> Node:
    """Returns the node under the keys of a path."""
    for part in reversed(path):
        node = Table({part: Entry(node.origin, node)}, node.origin)
    return node


def origins(node: Node, path: str = "") -> Iterator[tuple[str, Origin]]:
    """Yields the key path and origin of every value, of lists and mappings as well."""
    if path:
        yield path, node.origin
    prefix = f"{path}." if path else ""
    if isinstance(node, Table):
        for key, entry in node.entries.items():
            yield from origins(entry.node, prefix + key)
    elif isinstance(node, Items):
        for index, item in enumerate(node.items):
            yield from origins(item, f"{prefix}{index}")


def _without(table: Table, key: Key) -> Table:
    entries = dict(table.entries)
    if len(key) == 1:
        entries.pop(key[0])
    else:
        inner = entries[key[0]]
        if isinstance(inner.node, Table):
            entries[key[0]] = Entry(inner.key, _without(inner.node, key[1:]))
    return Table(entries, table.origin)
