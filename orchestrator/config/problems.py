"""Words what is wrong with a configuration, at its line, with the nearest thing that would be right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from orchestrator.config import fields
from orchestrator.config.document import Items, Leaf, Node, Table
from orchestrator.config.merge import at
from orchestrator.config.origin import Origin, Problem, printable
from orchestrator.config.schema import KINDS, SECRET_NAME, UNLISTED, Config

MAX_PROBLEMS = 100

Path = tuple[str | int, ...]

_EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text (in quotes where it looks like something else)",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


@dataclass(frozen=True, slots=True)
class _Complaint:
    """What pydantic says about one place; `facts` are the numbers and choices of its message."""

    path: Path
    kind: str
    message: str
    facts: Mapping[str, object]


def of_schema(error: ValidationError, root: Table) -> list[Problem]:
    """Returns the problems that pydantic found, each at the line of the value or key that causes it.

    At most 101 of them: wording a hundred thousand, as a hostile file can cause, would take minutes.
    """
    details = error.errors(include_url=False, include_input=False)
    complaints = [_Complaint(each["loc"], each["type"], each["msg"], each.get("ctx", {})) for each in details]
    own = [complaint for complaint in complaints if not _follows(complaint, root)]
    return [_problem(complaint, root) for complaint in own[: MAX_PROBLEMS + 1]]


def of_agents(root: Table) -> list[Problem]:
    """Returns a problem for each step and role whose agent does not exist, or cannot have its model."""
    agents = at(root, ("agents",))
    known = {*UNLISTED, *(agents.entries if isinstance(agents, Table) else ())}
    found: list[Problem] = []
    workflows = at(root, ("workflows",))
    for entry in workflows.entries.values() if isinstance(workflows, Table) else ():
        steps = at(entry.node, ("steps",))
        for step in steps.items if isinstance(steps, Items) else ():
            found += [*_of_name(at(step, ("agent",)), known), *_of_model(agents, step)]
    for role in ("planner", "reviewer"):
        found += _of_name(at(root, ("roles", role)), known)
    return found


def _of_name(agent: Node | None, known: set[str]) -> list[Problem]:
    if not isinstance(agent, Leaf) or not isinstance(agent.value, str) or agent.value in known:
        return []
    sentence = f"there is no agent `{printable(agent.value)}`"
    return [Problem(agent.origin, sentence + _meant(agent.value, known))]


def _of_model(agents: Node | None, step: Node) -> list[Problem]:
    agent, model = at(step, ("agent",)), at(step, ("model",))
    kind = at(agents, (str(_value(agent)), "kind"))
    if _value(kind) != "command" or model is None or _value(model) is None:
        return []
    sentence = f"`model` means nothing to agent `{printable(str(_value(agent)))}`, which is of kind command"
    return [Problem(model.origin, sentence)]


def listed(problems: list[Problem]) -> tuple[str, ...]:
    """Returns the problems as lines in the order of their places, at most 100 of them."""
    unique = sorted(
        {(each.origin.file, each.origin.line, each.origin.column, str(each)) for each in problems}
    )
    lines = tuple(line for _, _, _, line in unique[:MAX_PROBLEMS])
    return (*lines, "further problems are not shown") if len(unique) > len(lines) else lines


def _follows(complaint: _Complaint, root: Table) -> bool:
    """Returns whether a list counts as too short only because pydantic does not count its wrong items."""
    node = at(root, complaint.path)
    return complaint.kind == "too_short" and isinstance(node, Items) and bool(node.items)


def _problem(complaint: _Complaint, root: Table) -> Problem:
    path: Path = tuple(part for part in complaint.path if part != "[key]")
    kind = complaint.kind
    if kind == "extra_forbidden":
        return Problem(_key_origin(root, path), _unknown_key(path))
    if kind == "missing":
        return Problem(_origin(root, path), _missing(path))
    if "[key]" in complaint.path:
        name = printable(str(path[-1]))
        return Problem(_key_origin(root, path), f"`{name}` cannot be a name here: {_name_rule(path)}")
    return Problem(_origin(root, path), f"`{_shown(path)}` {_complaint(complaint, at(root, path))}")


def _unknown_key(path: Path) -> str:
    key = str(path[-1])
    siblings = _siblings(path)
    meant = fields.nearest(key, siblings)
    if meant is not None:
        return f"`{_shown(path)}` is not a key; did you mean `{meant}`?"
    elsewhere = [each.key for each in fields.declared() if each.path[-1] == key and "<" not in each.key]
    if elsewhere:
        return f"`{_shown(path)}` is not a key; did you mean `{elsewhere[0]}`?"
    return f"`{_shown(path)}` is not a key; here are possible: {', '.join(siblings)}"


def _siblings(path: Path) -> list[str]:
    parent = tuple(str(part) for part in path[:-1])
    declared = fields.find(parent) if parent else None
    section = fields.section_of(declared.annotation) if declared else Config
    return _usable(section) if section is not None else []


def _usable(section: type[BaseModel]) -> list[str]:
    return [key for key, info in fields.keys_of(section).items() if not fields.is_later(info)]


def _missing(path: Path) -> str:
    if path[-1] == "kind":
        kinds = ", ".join(KINDS)
        return f"`{_shown(path[:-1])}` needs `kind`, one of: {kinds}"
    return f"`{_shown(path[:-1])}` needs `{path[-1]}`"


def _name_rule(path: Path) -> str:
    if len(path) > 1 and path[-2] == "env":
        return "letters, digits and _, not starting with a digit"
    return "up to 64 letters, digits, _ and -, starting with a letter or digit"


def _complaint(complaint: _Complaint, node: Node | None) -> str:
    kind, context = complaint.kind, complaint.facts
    if kind == "literal_error":
        return _choices(complaint, node)
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}, not {_found(node)}"
    if kind in _BOUNDS:
        fact, words = _BOUNDS[kind]
        return f"must be {words} {fields.as_json(context[fact])}"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    if kind == "string_too_long":
        return f"must be at most {context['max_length']} characters long"
    if kind == "string_pattern_mismatch":
        return f"cannot be {printable(json.dumps(_value(node)))}: {_pattern_rule(str(context['pattern']))}"
    if kind == "value_error":
        return f"is not right: {printable(str(context['error']), 400)}"
    return f"is not right: {printable(complaint.message, 400)}"


def _choices(complaint: _Complaint, node: Node | None) -> str:
    declared = fields.find(tuple(str(part) for part in complaint.path))
    choices = fields.in_words(declared.annotation) if declared else str(complaint.facts["expected"])
    if complaint.path[-1] == "version":
        return f"must be 1, not {_found(node)}: this version of orchestrator reads no other format"
    known = choices.removesuffix(" or null").split(" | ")
    value = _value(node)
    meant = _meant(value, known) if isinstance(value, str) else ""
    return f"must be one of {', '.join(known)}, not {_found(node)}{meant}"


def _pattern_rule(pattern: str) -> str:
    if pattern == SECRET_NAME:
        return "use up to 64 of A-Z, 0-9 and _, starting with a letter"
    if "x00" in pattern:
        return "it holds a NUL character"
    return "use up to 64 letters, digits, _ and -, starting with a letter or digit"


def _found(node: Node | None) -> str:
    if isinstance(node, Table):
        return "a mapping"
    if isinstance(node, Items):
        return "a list"
    value = _value(node)
    if isinstance(value, str):
        return f'"{printable(value, 60)}"'
    return json.dumps(value) if value is not None else "nothing"


def _value(node: Node | None) -> bool | int | float | str | None:
    return node.value if isinstance(node, Leaf) else None


def _meant(word: str, known: set[str] | list[str]) -> str:
    meant = fields.nearest(word, sorted(known))
    return f"; did you mean `{meant}`?" if meant else ""


def _shown(path: Path) -> str:
    return printable(".".join(str(part) for part in path))


def _origin(root: Table, path: Path) -> Origin:
    """Returns the place of the value, or of the nearest value around it."""
    for length in range(len(path), 0, -1):
        node = at(root, path[:length])
        if node is not None:
            return node.origin
    return root.origin


def _key_origin(root: Table, path: Path) -> Origin:
    parent = at(root, path[:-1])
    if isinstance(parent, Table) and path[-1] in parent.entries:
        return parent.entries[str(path[-1])].key
    return _origin(root, path)
