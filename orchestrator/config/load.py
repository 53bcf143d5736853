"""Loads the configuration from all its layers and says everything that is wrong with it at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
from pydantic import ValidationError

from orchestrator.config import (
    available,
    belonging,
    document,
    environment,
    fields,
    files,
    problems,
    tidy,
    version_pin,
)
from orchestrator.config.document import Items, Leaf, Node, Table, plain
from orchestrator.config.frozen import freeze
from orchestrator.config.merge import (
    ENFORCING,
    Key,
    at,
    from_json,
    merged,
    nested,
    origins,
    without_enforced,
)
from orchestrator.config.origin import DEFAULT, SUPPLIED_BY_REPOSITORY, Layer, Origin, Problem, printable
from orchestrator.config.schema import Config
from orchestrator.errors import ConfigInvalid
from orchestrator.model.json import Json
from orchestrator.paths import names

NOT_RUNNING = frozenset(
    {"version", "required-version", "thresholds", "logging", "enforced", "web_mode", "web"}
)
"""Keys that decide nothing about what runs, so that changing them does not ask for trust again."""

COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The configuration with its origins.

    `workflow_yaml` holds the bytes of the repository's file as it was read; `supplied` what repository and
    `workflow.local.yaml` say about what runs, as canonical JSON; `digest` is a hash of all effective values.
    """

    config: Config
    origins: Mapping[str, Origin]
    workflow_yaml: bytes | None
    hints: tuple[str, ...]
    digest: str
    supplied: str

    def origin(self, key: str) -> Origin:
        """Returns where the value of a key comes from; the default's origin where no layer says anything."""
        return self.origins.get(key, DEFAULT)


@dataclass(slots=True)
class _Reading:
    """What has been gathered while the layers are read one after another."""

    root: Node | None = None
    enforced: dict[Key, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    supplied: Node | None = None
    workflow_yaml: bytes | None = None
    reads_root_file: bool = False


def system_config_file() -> Path:
    """Returns the file of the machine's administrator."""
    return platformdirs.site_config_path("orchestrator", appauthor=False) / names.CONFIG


def user_config_file() -> Path:
    """Returns the user's own file."""
    return platformdirs.user_config_path("orchestrator", appauthor=False) / names.CONFIG


def load(
    *,
    repository: Path | None,
    state_root: Path,
    environment: Mapping[str, str],
    flags: Mapping[str, Json] | None = None,
    system_file: Path | None = None,
    user_file: Path | None = None,
) -> LoadedConfig:
    """Returns the configuration that applies in a checkout.

    `repository` is the root of the checkout called from (None: its layers are left out), `state_root` the
    root of the checkout that holds `.orchestrator/`, whose files count where the checkout has none.
    `flags` maps keys such as `git.integrate` to values. Writes nothing, starts nothing.

    Raises:
        Refused: `required-version`: a file is written for another version.
        ConfigInvalid: with every problem of every layer.
    """
    reading = _Reading()
    _take_file(reading, Layer.SYSTEM, system_file or system_config_file(), None)
    _take_file(reading, Layer.USER, user_file or user_config_file(), None)
    if repository is not None:
        _take_repository(reading, repository, state_root)
    _take_environment(reading, environment)
    for key, value in (flags or {}).items():
        node = from_json(value, Origin(Layer.FLAG, COMMAND_LINE))
        _take(reading, Layer.FLAG, nested(tuple(key.split(".")), node))
    return _finished(reading)


def _take_repository(reading: _Reading, repository: Path, state_root: Path) -> None:
    own = repository / names.DIRECTORY / names.CONFIG
    shared = state_root / names.DIRECTORY / names.CONFIG
    candidates = [(own, repository), (shared, state_root), (repository / names.CONFIG, repository)]
    path, root = next((each for each in candidates if os.path.lexists(each[0])), candidates[0])
    if _take_file(reading, Layer.REPOSITORY, path, root) and path.parent == repository:
        reading.reads_root_file = True
        reading.hints.append(
            f"{names.CONFIG} in the repository's root is read because {names.DIRECTORY}/{names.CONFIG}"
            f" is absent; put it there with: git mv {names.CONFIG} {names.DIRECTORY}/{names.CONFIG}"
        )
    local = repository / names.DIRECTORY / names.LOCAL_CONFIG
    if os.path.lexists(local):
        _take_file(reading, Layer.LOCAL, local, repository)
    else:
        _take_file(reading, Layer.LOCAL, state_root / names.DIRECTORY / names.LOCAL_CONFIG, state_root)


def _take_file(reading: _Reading, layer: Layer, path: Path, inside: Path | None) -> bool:
    file = path.relative_to(inside).as_posix() if inside is not None else str(path)
    origin = Origin(layer, printable(file, 4096), 1, 1)
    try:
        data = files.read(path, inside=inside)
    except files.Unreadable as reason:
        reading.problems.append(Problem(origin, str(reason)))
        return False
    if data is None:
        return False
    root, found = document.parse(data, layer=layer, file=origin.file)
    pin_problem = version_pin.check(root, data, origin)
    reading.problems += [*found, *([pin_problem] if pin_problem else [])]
    if layer is Layer.REPOSITORY:
        reading.workflow_yaml = data
    if root is not None:
        _take(reading, layer, root)
    return True


def _take_environment(reading: _Reading, variables: Mapping[str, str]) -> None:
    read = environment.read(variables, reading.root)
    reading.problems += read.problems
    reading.hints += read.hints
    if read.root.entries:
        _take(reading, Layer.ENVIRONMENT, read.root)


def _take(reading: _Reading, layer: Layer, root: Node) -> None:
    if isinstance(root, Leaf) and root.value is None:
        return
    if not isinstance(root, Table):
        reading.problems.append(Problem(root.origin, "the file must be a mapping of keys to values"))
        return
    layered = tidy.tidied(root)
    assert isinstance(layered, Table)  # tidying keeps a mapping a mapping
    if layer in SUPPLIED_BY_REPOSITORY:
        reading.supplied = merged(reading.supplied, layered)
    layered, refusals = without_enforced(layered, reading.root, reading.enforced)
    for refusal in refusals:
        sentence = f"`{refusal.key}` is enforced by {refusal.enforced.place}"
        if layer in (Layer.ENVIRONMENT, Layer.FLAG):
            reading.problems.append(Problem(refusal.given, sentence))
        else:
            reading.hints.append(f"{sentence}; its value in {refusal.given.place} is not used.")
    layered = _enforce(reading, layer, layered)
    reading.root = merged(reading.root, layered)


def _enforce(reading: _Reading, layer: Layer, root: Table) -> Table:
    """Notes the keys that a layer enforces; the list itself adds to those of earlier layers."""
    entry = root.entries.get("enforced")
    if entry is None or not isinstance(entry.node, Items):
        return root
    if layer not in ENFORCING:
        if entry.node.items:
            place = entry.key.place
            reading.hints.append(
                f"`enforced` in {place} has no effect: only the system's file and yours may."
            )
        return Table({key: each for key, each in root.entries.items() if key != "enforced"}, root.origin)
    for item in entry.node.items:
        key = item.value if isinstance(item, Leaf) else None
        if not isinstance(key, str):
            continue
        complaint = _not_enforceable(key)
        if complaint:
            reading.problems.append(Problem(item.origin, f"`{printable(key)}` {complaint}"))
        else:
            reading.enforced.setdefault(tuple(key.split(".")), item.origin)
    before = at(reading.root, ("enforced",))
    return _with_enforced(root, before if isinstance(before, Items) else None)


def _not_enforceable(key: str) -> str:
    declared = fields.find(key.split("."))
    if declared is None:
        meant = fields.nearest(key, [each.key for each in fields.declared()])
        return f"is not a key; did you mean `{meant}`?" if meant else "is not a key"
    if "<n>" in declared.path:
        return f"is within a list, which is enforced as a whole: {'.'.join(_outside_lists(declared.path))}"
    return "names no agent or workflow" if "<" in key else ""


def _outside_lists(path: tuple[str, ...]) -> tuple[str, ...]:
    return path[: path.index("<n>")]


def _with_enforced(root: Table, before: Items | None) -> Table:
    entry = root.entries["enforced"]
    if before is None or not isinstance(entry.node, Items):
        return root
    fresh = [item for item in entry.node.items if plain(item) not in [plain(each) for each in before.items]]
    items = Items((*before.items, *fresh), entry.node.origin)
    return Table({**root.entries, "enforced": type(entry)(entry.key, items)}, root.origin)


def _finished(reading: _Reading) -> LoadedConfig:
    root = reading.root if isinstance(reading.root, Table) else Table({}, DEFAULT)
    root = tidy.with_kinds(root)
    usable, refused = available.without_later(root)
    found = [*reading.problems, *refused, *problems.of_agents(root)]
    found += [*belonging.of_models(root), *belonging.of_tools(root)]
    config: Config | None = None
    try:
        config = Config.model_validate_json(json.dumps(plain(usable)), strict=True)
    except ValidationError as error:
        found += problems.of_schema(error, usable)
    if found or config is None:
        raise ConfigInvalid(problems.listed(found), hint=_hint(reading))
    return LoadedConfig(
        config=config,
        origins=dict(origins(root)),
        workflow_yaml=reading.workflow_yaml,
        hints=tuple(reading.hints),
        digest=hashlib.sha256(freeze(config).encode("utf-8", "surrogatepass")).hexdigest(),
        supplied=_supplied(reading.supplied),
    )


def _hint(reading: _Reading) -> str:
    if not reading.reads_root_file:
        return ""
    return (
        f"If {names.CONFIG} in the repository's root belongs to another tool, write "
        f"{names.DIRECTORY}/{names.CONFIG}, which is read instead: orchestrator init"
    )


def _supplied(root: Node | None) -> str:
    value = plain(root) if isinstance(root, Table) else {}
    assert isinstance(value, dict)  # a table's plain value
    running = {key: each for key, each in value.items() if key not in NOT_RUNNING}
    return json.dumps(running, sort_keys=True, separators=(",", ":"))
