"""Refuses keys whose part does not exist yet, where they are given with anything but their default."""

from __future__ import annotations

from orchestrator.config import fields
from orchestrator.config.document import Entry, Items, Node, Table, plain
from orchestrator.config.origin import Origin, Problem, printable
from orchestrator.config.schema import Config


def without_later(root: Table) -> tuple[Table, list[Problem]]:
    """Returns the configuration without keys of parts to come, and a problem for each that matters."""
    problems: list[Problem] = []
    node = _walk(root, Config, "", problems)
    return (node if isinstance(node, Table) else root), problems


def _walk(node: Node, annotation: fields.Annotation, path: str, problems: list[Problem]) -> Node:
    item = fields.item_of(annotation)
    if isinstance(node, Items) and item is not None:
        walked = [_walk(each, item, f"{path}.{index}", problems) for index, each in enumerate(node.items)]
        return Items(tuple(walked), node.origin)
    if not isinstance(node, Table):
        return node
    section, member = fields.section_of(annotation), fields.member_of(annotation)
    known = fields.keys_of(section) if section is not None else {}
    entries: dict[str, Entry] = {}
    for key, entry in node.entries.items():
        here = f"{path}.{key}" if path else key
        if key in known and fields.is_later(known[key]):
            if not fields.same(plain(entry.node), fields.default_of(known[key])):
                problems.append(_not_available(f"`{here}`", entry.key))
        else:
            inner = fields.annotation_of(known[key]) if key in known else member
            walked_node = _walk(entry.node, inner, here, problems) if inner is not None else entry.node
            entries[key] = Entry(entry.key, walked_node)
    return Table(entries, node.origin)


def _not_available(what: str, origin: Origin) -> Problem:
    return Problem(origin, f"{printable(what)} is not available in this version")
