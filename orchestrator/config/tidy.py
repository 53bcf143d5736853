"""Brings a layer into the form in which layers are merged: shorthands written out, empty sections dropped."""

from __future__ import annotations

from orchestrator.config import fields
from orchestrator.config.document import Entry, Items, Leaf, Node, Table
from orchestrator.config.schema import UNLISTED, Agent, Check, Config, Workflow


def tidied(root: Node) -> Node:
    """Returns the layer with `workflows: {x: [step]}` and `test: [[word]]` written out.

    A section, mapping or list without any value (everything below it is commented out) says nothing.
    """
    return _tidy(root, Config)


def with_kinds(root: Table) -> Table:
    """Returns the merged configuration in which agents named like a preset are of that kind."""
    agents = root.entries.get("agents")
    if agents is None or not isinstance(agents.node, Table):
        return root
    entries = {name: _with_kind(name, entry) for name, entry in agents.node.entries.items()}
    table = Table(entries, agents.node.origin)
    return Table({**root.entries, "agents": Entry(agents.key, table)}, root.origin)


def _with_kind(name: str, entry: Entry) -> Entry:
    node = entry.node
    if name not in UNLISTED or not isinstance(node, Table) or "kind" in node.entries:
        return entry
    kind = Entry(entry.key, Leaf(name, entry.key, name))
    return Entry(entry.key, Table({"kind": kind, **node.entries}, node.origin))


def _tidy(node: Node, annotation: fields.Annotation) -> Node:
    section = fields.section_of(annotation)
    if isinstance(node, Items):
        if section is Workflow:
            return _tidy(_wrapped("steps", node), annotation)
        if section is Check:
            return _wrapped("run", node)
        item = fields.item_of(annotation)
        return Items(tuple(_tidy(each, item) for each in node.items), node.origin) if item else node
    if isinstance(node, Leaf):
        return Table({}, node.origin) if section is Agent and node.value is None else node
    return Table(_tidy_entries(node, annotation), node.origin)


def _tidy_entries(node: Table, annotation: fields.Annotation) -> dict[str, Entry]:
    section, member = fields.section_of(annotation), fields.member_of(annotation)
    known = fields.keys_of(section) if section is not None else {}
    entries: dict[str, Entry] = {}
    for key, entry in node.entries.items():
        inner = fields.annotation_of(known[key]) if key in known else member
        if inner is None:
            entries[key] = entry
        elif not (key in known and _says_nothing(entry.node, inner)):
            entries[key] = Entry(entry.key, _tidy(entry.node, inner))
    return entries


def _says_nothing(node: Node, annotation: fields.Annotation) -> bool:
    if not isinstance(node, Leaf) or node.value is not None or fields.is_nullable(annotation):
        return False
    shapes = (fields.section_of(annotation), fields.member_of(annotation), fields.item_of(annotation))
    return any(shape is not None for shape in shapes)


def _wrapped(key: str, node: Node) -> Table:
    return Table({key: Entry(node.origin, node)}, node.origin)
