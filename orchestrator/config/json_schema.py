"""Generates the JSON schema with which editors check and complete `workflow.yaml`.

It accepts what the loader accepts, shorthands and empty sections included. Not expressed: whether an agent
named in a step, or a model, exists, whether somebody brings a kind, what belongs to a kind beyond commands
and ACP, and patterns that lead out of the tree. `python -m orchestrator.config.json_schema`
writes the file that is part of the package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from orchestrator.config.schema import UNLISTED, Config
from orchestrator.fs.disk import Disk

FILE = Path(__file__).with_name("workflow.schema.json")

Schema = dict[str, JsonValue]

_NULL: Schema = {"type": "null"}
_LATER = "Not available in this version: only the default is accepted."


def packaged() -> bytes:
    """Returns the schema that is part of the package."""
    return FILE.read_bytes()


def generate() -> str:
    """Returns the schema as indented JSON, the same for the same models."""
    schema: Schema = Config.model_json_schema(by_alias=True)
    definitions = _table(schema["$defs"])
    for section in (schema, *(_table(each) for each in definitions.values())):
        _open_up(section)
    _agents(schema, _table(definitions["Agent"]))
    _workflows(_table(_table(schema["properties"])["workflows"]))
    for category in ("build", "test", "lint", "security", "custom"):
        _checks(_table(_table(_table(definitions["Verify"])["properties"])[category]))
    _report(_table(definitions["Check"]))
    reachable = _reachable(schema, definitions)
    schema["$defs"] = {name: each for name, each in definitions.items() if name in reachable}
    return json.dumps(_with_heading(schema), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(target: Path = FILE) -> None:
    """Writes the schema into the package's directory.

    Raises:
        DiskFailed: the file is as it was.
    """
    Disk().write(target, generate().encode(), mode=0o644)


def _with_heading(schema: Schema) -> Schema:
    return {
        **schema,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "workflow.yaml",
        "description": "Configuration of orchestrator.",
        "type": ["object", "null"],
    }


def _open_up(section: Schema) -> None:
    """Pins keys of parts to come to their defaults, and lets sections, mappings and lists be empty."""
    section.pop("title", None)
    properties = section.get("properties")
    for key, declared in (properties or {}).items() if isinstance(properties, dict) else ():
        declared = _table(declared)
        declared.pop("title", None)
        if declared.pop("later", False):
            pinned = {"const": declared["default"], "description": f"{declared['description']} {_LATER}"}
            _table(properties)[key] = pinned
        elif "$ref" in declared or declared.get("type") in ("object", "array"):
            _name_rule(declared)
            _table(properties)[key] = _or_null(declared)


def _name_rule(declared: Schema) -> None:
    """Words the rule for names so that another name is wrong and not merely unknown."""
    if "patternProperties" in declared:
        ((pattern, value),) = _table(declared.pop("patternProperties")).items()
        declared["propertyNames"] = {"pattern": pattern}
        declared["additionalProperties"] = value


def _or_null(declared: Schema) -> Schema:
    said: Schema = {key: declared.pop(key) for key in ("description", "default") if key in declared}
    return {**said, "anyOf": [declared, dict(_NULL)]}


def _agents(schema: Schema, agent: Schema) -> None:
    """Asks for `kind` except where the agent is named like a preset; `command` belongs to kind command."""
    agent["required"] = []
    reference: Schema = {"$ref": "#/$defs/Agent"}
    agents = _inner(_table(_table(schema["properties"])["agents"]))
    agents["properties"] = {name: {"anyOf": [dict(reference), dict(_NULL)]} for name in UNLISTED}
    agents["additionalProperties"] = {"allOf": [reference, {"required": ["kind"]}]}
    is_command: Schema = {"properties": {"kind": {"const": "command"}}, "required": ["kind"]}
    only_acp: Schema = {"mode": dict(_NULL), "authenticate": dict(_NULL)}
    one_way: Schema = {"via": {"const": "auto"}}
    own: Schema = {"command": {"type": "array"}}
    agent["if"] = is_command
    agent["then"] = {
        "required": ["command"],
        "properties": {**own, "model": dict(_NULL), **only_acp, **one_way},
    }
    agent["else"] = {
        "if": {"properties": {"kind": {"const": "acp"}}, "required": ["kind"]},
        "then": {"required": ["command"], "properties": {**own, "stdin": {"const": "none"}, **one_way}},
        "else": {"properties": {"command": dict(_NULL), "stdin": {"const": "none"}, **only_acp}},
    }
    variables = _inner(_table(_table(agent["properties"])["env"]))
    names = _table(variables["propertyNames"])
    names["not"] = {"pattern": "^[Oo][Rr][Cc][Hh][Ee][Ss][Tt][Rr][Aa][Tt][Oo][Rr]_"}


def _workflows(declared: Schema) -> None:
    mapping = _inner(declared)
    steps: Schema = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Step"}}
    mapping["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/Workflow"}, steps]}


def _checks(declared: Schema) -> None:
    words: Schema = {"type": "array", "minItems": 1, "items": {"type": "string"}}
    words["prefixItems"] = [{"type": "string", "minLength": 1}]
    _inner(declared)["items"] = {"anyOf": [{"$ref": "#/$defs/Check"}, words]}


def _report(check: Schema) -> None:
    has_report: Schema = {"properties": {"report": {"const": "junit"}}, "required": ["report"]}
    check["if"] = has_report
    check["then"] = {"properties": {"run": {"contains": {"type": "string", "pattern": "\\{report\\}"}}}}
    inner = _inner(_table(_table(check["properties"])["run"]))
    inner["prefixItems"] = [{"type": "string", "minLength": 1}]


def _inner(declared: Schema) -> Schema:
    """Returns the schema of what stands there when it is not null."""
    choices = declared["anyOf"]
    assert isinstance(choices, list)  # made by _or_null
    return _table(choices[0])


def _reachable(schema: Schema, definitions: Schema) -> set[str]:
    found: set[str] = set()
    waiting = [name for key, each in schema.items() if key != "$defs" for name in _references(each)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(definitions[name])
    return found


def _references(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str):
            yield target.rpartition("/")[2]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _table(value: JsonValue) -> Schema:
    assert isinstance(value, dict)  # the shape that pydantic 2 generates; the test compares with the file
    return value


if __name__ == "__main__":
    write()
