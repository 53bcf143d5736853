"""Reads variables as a layer: `ORCHESTRATOR_EXECUTION__TIMEOUT_S` is `execution.timeout_s`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.config import document, fields
from orchestrator.config.document import Leaf, Node, Table
from orchestrator.config.merge import Key, at, from_json, merged, nested
from orchestrator.config.origin import Layer, Origin, Problem, printable
from orchestrator.config.schema import Config

PREFIX = "ORCHESTRATOR_"
OURS = frozenset(
    {"ORCHESTRATOR_DIR", "ORCHESTRATOR_EXECUTION", "ORCHESTRATOR_RUN", "ORCHESTRATOR_PAGER"}
    | {"ORCHESTRATOR_AGE_KEY", "ORCHESTRATOR_AGE_IDENTITY"}
)
"""Variables with a meaning of their own, apart from the configuration."""
SECRET = "ORCHESTRATOR_SECRET_"
"""What variables that hold a secret begin with."""


@dataclass(frozen=True, slots=True)
class Variables:
    """The layer of the environment, and what was wrong or unknown."""

    root: Table
    problems: tuple[Problem, ...]
    hints: tuple[str, ...]


def read(environment: Mapping[str, str], below: Node | None) -> Variables:
    """Returns the layer; names of agents and workflows are matched with those that `below` already has.

    An empty variable counts as not set.
    """
    root: Node = Table({}, Origin(Layer.ENVIRONMENT))
    problems: list[Problem] = []
    hints: list[str] = []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in OURS or name.startswith(SECRET) or not environment[name]:
            continue
        key = key_of(name, below)
        if key is None:
            hints.append(_unknown(name))
            continue
        node, found = _value(name, key, environment[name])
        problems += found
        if node is not None:
            root = merged(root, nested(key, node))
    assert isinstance(root, Table)  # a table merged with tables
    return Variables(root, tuple(problems), tuple(hints))


def key_of(variable: str, below: Node | None) -> Key | None:
    """Returns the key that a variable sets, or None."""
    key: Key = ()
    annotation: fields.Annotation = Config
    for part in variable.removeprefix(PREFIX).lower().split("__"):
        section, member = fields.section_of(annotation), fields.member_of(annotation)
        if section is not None:
            found = {_plain(name): name for name in fields.keys_of(section)}.get(part)
            if found is None:
                return None
            annotation = fields.annotation_of(fields.keys_of(section)[found])
        elif member is not None and part:
            node = at(below, key)
            names = node.entries if isinstance(node, Table) else {}
            found = {_plain(name): name for name in names}.get(part, part)
            annotation = member
        else:
            return None
        key = (*key, found)
    return key


def variable_of(key: Key) -> str:
    """Returns the name of the variable that sets a key."""
    return PREFIX + "__".join(part.upper().replace("-", "_") for part in key)


def _value(name: str, key: Key, text: str) -> tuple[Node | None, list[Problem]]:
    origin = Origin(Layer.ENVIRONMENT, name)
    declared = fields.find(key)
    if declared is not None and fields.is_text(declared.annotation):
        is_null = text in ("null", "~") and fields.is_nullable(declared.annotation)
        return Leaf(None if is_null else text, origin, text), []
    data = text.encode("utf-8", "surrogateescape")
    node, problems = document.parse(data, layer=Layer.ENVIRONMENT, file=name)
    here = [Problem(origin, problem.sentence) for problem in problems]
    return (from_json(document.plain(node), origin) if node is not None else None), here


def _unknown(name: str) -> str:
    known = [*OURS, *(variable_of(each.path) for each in fields.declared() if "<" not in each.key)]
    meant = fields.nearest(name, known)
    said = f"The variable {printable(name)} is not known and has no effect"
    return f"{said}; did you mean {meant}?" if meant else f"{said}."


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
