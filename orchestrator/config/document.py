"""Reads YAML 1.2 into a tree that knows every line, within bounds that no file can exceed.

Built from the parser's events (libyaml where present) instead of its own node tree, so that depth, size and
alias expansion are checked while reading and nothing recurses on what a stranger wrote.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from orchestrator.config.origin import Layer, Origin, Problem, printable
from orchestrator.model.json import Json

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_WEIGHT = 4 * 1024 * 1024
"""Characters of all scalars plus 16 for each value, after aliases are expanded."""

_NODE_WEIGHT = 16
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS = "tag:yaml.org,2002:"
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Scalar = None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar. `text` is what was written, before YAML gave it a type."""

    value: Scalar
    origin: Origin
    text: str = ""
    weight: int = _NODE_WEIGHT


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence."""

    items: tuple[Node, ...]
    origin: Origin
    weight: int = _NODE_WEIGHT
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A value under a key, with the place of the key."""

    key: Origin
    node: Node


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; keys are text, each once."""

    entries: Mapping[str, Entry]
    origin: Origin
    weight: int = _NODE_WEIGHT
    depth: int = 1


Node = Leaf | Items | Table


class _Stop(Exception):
    """Reading ends here; the problem is already recorded."""


@dataclass(slots=True)
class _Open:
    """A collection still being read."""

    origin: Origin
    is_table: bool
    anchor: str | None
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    key: tuple[str | None, Origin] | None = None
    weight: int = _NODE_WEIGHT
    depth: int = 1


def plain(node: Node) -> Json:
    """Returns the value without its places."""
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return {key: plain(entry.node) for key, entry in node.entries.items()}


def parse(data: bytes, *, layer: Layer, file: str) -> tuple[Node | None, list[Problem]]:
    """Returns the tree of one document and what is wrong with it; no tree for an empty or unreadable one."""
    return _Reader(layer, file).read(data)


class _Reader:
    def __init__(self, layer: Layer, file: str) -> None:
        self._layer = layer
        self._file = file
        self._problems: list[Problem] = []
        self._anchors: dict[str, Node] = {}
        self._stack: list[_Open] = []
        self._root: Node | None = None
        self._weight = 0
        self._documents = 0

    def read(self, data: bytes) -> tuple[Node | None, list[Problem]]:
        try:
            for event in self._events(self._decode(data)):
                self._take(event)
        except _Stop:
            return None, self._problems
        except RecursionError:  # the pure parser of PyYAML, used where libyaml is missing
            self._problems.append(Problem(self._at(1, 1), "is nested too deeply"))
            return None, self._problems
        return self._root, self._problems

    def _decode(self, data: bytes) -> str:
        if len(data) > MAX_BYTES:
            raise self._stop(self._at(1, 1), f"is larger than {MAX_BYTES:,} bytes")
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise self._stop(self._at(1, 1), "is UTF-16: save it as UTF-8")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8-sig", "replace")
            raise self._stop(self._place_after(before), "is not UTF-8 here") from error
        found = _UNPRINTABLE.search(text)
        if found:
            character = ascii(found.group())[1:-1]
            raise self._stop(
                self._place_after(text[: found.start()]),
                f"holds the character {character}, which YAML forbids",
            )
        return text

    def _events(self, text: str) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = self._at(mark.line + 1, mark.column + 1) if mark else self._at(1, 1)
            said = " ".join(part for part in (error.problem, error.context) if part)
            raise self._stop(place, f"is not YAML: {printable(said)}") from error
        except yaml.YAMLError as error:
            raise self._stop(self._at(1, 1), f"is not YAML: {printable(str(error))}") from error

    def _take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        origin = self._at(mark.line + 1, mark.column + 1) if mark else self._at(1, 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._stop(origin, "starts a second document: one is allowed")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor, origin)
        elif isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event, origin), event.anchor)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event, origin)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()

    def _alias(self, anchor: str | None, origin: Origin) -> None:
        node = self._anchors.get(anchor or "")
        if node is None:
            inside = any(place.anchor == anchor for place in self._stack)
            reason = "refers to itself" if inside else "refers to an anchor that is not defined before"
            raise self._stop(origin, f"the alias *{printable(anchor or '')} {reason}")
        self._add(node, None)

    def _open(self, event: yaml.CollectionStartEvent, origin: Origin) -> None:
        is_table = isinstance(event, yaml.MappingStartEvent)
        expected = _TAGS + ("map" if is_table else "seq")
        if event.tag not in (None, "!", expected):
            raise self._unknown_tag(event.tag, origin)
        if len(self._stack) >= MAX_DEPTH:
            raise self._stop(origin, f"is nested more than {MAX_DEPTH} deep")
        self._stack.append(_Open(origin, is_table, event.anchor))

    def _close(self) -> None:
        done = self._stack.pop()
        node: Node
        if done.is_table:
            node = Table(done.entries, done.origin, done.weight, done.depth)
        else:
            node = Items(tuple(done.items), done.origin, done.weight, done.depth)
        self._weight -= done.weight - _NODE_WEIGHT
        self._add(node, done.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        self._weight += node.weight
        if self._weight > MAX_WEIGHT:
            raise self._stop(node.origin, "grows too large: too many values, aliases counted each time")
        depth = 0 if isinstance(node, Leaf) else node.depth
        if len(self._stack) + depth > MAX_DEPTH:
            raise self._stop(node.origin, f"is nested more than {MAX_DEPTH} deep")
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self._root = node
            return
        place = self._stack[-1]
        place.weight += node.weight
        place.depth = max(place.depth, depth + 1)
        if not place.is_table:
            place.items.append(node)
        elif place.key is None:
            place.key = (self._key(node), node.origin)
        else:
            self._enter(place, *place.key, node)
            place.key = None

    def _key(self, node: Node) -> str | None:
        if isinstance(node, Leaf) and isinstance(node.value, str):
            if node.value != "<<":
                return node.value
            reason = "`<<` is no key in YAML 1.2: write the keys out"
        elif isinstance(node, Leaf):
            reason = f'keys are text: write "{printable(node.text or "null")}" in quotes'
        else:
            reason = "keys are text, not lists or mappings"
        self._problems.append(Problem(node.origin, reason))
        return None

    def _enter(self, place: _Open, key: str | None, origin: Origin, node: Node) -> None:
        if key is None:
            return
        earlier = place.entries.get(key)
        if earlier is not None:
            sentence = f"`{printable(key)}` is given twice, first in line {earlier.key.line}"
            self._problems.append(Problem(origin, sentence))
            return
        place.entries[key] = Entry(origin, node)

    def _scalar(self, event: yaml.ScalarEvent, origin: Origin) -> Leaf:
        text: str = event.value
        weight = _NODE_WEIGHT + len(text)
        if event.tag in ("!", _TAGS + "str") or (event.tag is None and not event.implicit[0]):
            return Leaf(text, origin, text, weight)
        if event.tag is not None and event.tag not in _EXPLICIT:
            raise self._unknown_tag(event.tag, origin)
        value = self._resolve(text, origin)
        if event.tag is not None and not isinstance(value, _EXPLICIT[event.tag]):
            self._problems.append(Problem(origin, f"{printable(text)} is not what its tag says"))
        return Leaf(value, origin, text, weight)

    def _resolve(self, text: str, origin: Origin) -> Scalar:
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if _INT.fullmatch(text):
            return self._whole(text, origin)
        if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
            self._problems.append(Problem(origin, f"{printable(text)} is not a finite number"))
            return 0
        return float(text) if _FLOAT.fullmatch(text) else text

    def _whole(self, text: str, origin: Origin) -> int:
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        if len(text) > 40 or abs(number := int(text, base)) >= 2**63:
            self._problems.append(Problem(origin, f"{printable(text, 40)} is too large a number"))
            return 0
        return number

    def _unknown_tag(self, tag: str, origin: Origin) -> _Stop:
        return self._stop(origin, f"the tag {printable(tag)} is not allowed: configuration is plain data")

    def _place_after(self, text: str) -> Origin:
        lines = re.split("\r\n|\r|\n", text)
        return self._at(len(lines), len(lines[-1]) + 1)

    def _at(self, line: int, column: int) -> Origin:
        return Origin(self._layer, self._file, line, column)

    def _stop(self, origin: Origin, sentence: str) -> _Stop:
        self._problems.append(Problem(origin, sentence))
        return _Stop()


_EXPLICIT: dict[str, type | tuple[type, ...]] = {
    _TAGS + "null": type(None),
    _TAGS + "bool": bool,
    _TAGS + "int": int,
    _TAGS + "float": (int, float),
}
