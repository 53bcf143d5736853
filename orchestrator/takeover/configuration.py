"""Old configuration files as the text of one `workflow.yaml`, checked by the loader that will read it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from orchestrator.config import files
from orchestrator.config.load import load
from orchestrator.config.origin import printable
from orchestrator.errors import ConfigInvalid, OrchestratorError
from orchestrator.fs.failure import told
from orchestrator.paths import OrchestratorPaths, names
from orchestrator.takeover.old_configs import READERS, Settings
from orchestrator.takeover.old_keys import merged, open_keys
from orchestrator.takeover.original import Original, Problem, UnknownKey
from orchestrator.takeover.reading import Unusable

STAND_IN = (
    f"# Read instead of {names.CONFIG} in the repository's root, which belongs to another tool.\nversion: 1\n"
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NOT_PLAIN = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class Translation:
    """What old configuration files say; `text` is empty when that is nothing. `used` names the files."""

    text: str
    used: tuple[str, ...]
    unknown: tuple[UnknownKey, ...]
    problems: tuple[Problem, ...]


def translate(originals: Iterable[Original], scratch: Path) -> Translation:
    """Returns the old configuration as text that loads without a problem.

    The loader tries it in `scratch`, an existing directory that nobody else uses. The same originals give the
    same text. What would not load is not returned, but told as a problem.
    """
    settings: Settings = {}
    used: list[str] = []
    unknown: list[UnknownKey] = []
    problems: list[Problem] = []
    known = {original.source: original for original in originals if original.kind == "config"}
    for source in (place for place in READERS if place in known):
        try:
            keys, odd = open_keys(_bytes(known[source].path), source)
        except Unusable as reason:
            problems.append(Problem(source, str(reason)))
            continue
        found = READERS[source](keys)
        problems += [*odd, *_overruled(settings, found, source)]
        settings = merged(settings, found)
        used.append(source)
        unknown += keys.unknown()
    text = _render(settings, used, unknown) if settings else ""
    complaints = [Problem(names.PROPOSED_CONFIG, sentence) for sentence in _complaints(text, scratch)]
    return Translation("" if complaints else text, tuple(used), tuple(unknown), (*problems, *complaints))


def target(paths: OrchestratorPaths) -> Path:
    """Returns where the text belongs: `workflow.yaml`, or beside it where somebody has one already.

    One in the repository's root counts unless it is a workflow of W's, which has the same name.
    """
    root = paths.base_dir / names.CONFIG
    taken = os.path.lexists(paths.config_file) or (os.path.lexists(root) and not is_workflow_of_w(root))
    return paths.proposed_config_file if taken else paths.config_file


def stand_in(paths: OrchestratorPaths) -> str:
    """Returns the least configuration of ours, where W's `workflow.yaml` would be read as one without it."""
    root = paths.base_dir / names.CONFIG
    if os.path.lexists(paths.config_file) or not os.path.lexists(root) or not is_workflow_of_w(root):
        return ""
    return STAND_IN


def is_workflow_of_w(path: Path) -> bool:
    """Returns whether a `workflow.yaml` is a definition of W's phases rather than a configuration of ours."""
    try:
        keys, _ = open_keys(_bytes(path), path.name)
    except Unusable:
        return False
    return keys.length("phases") > 0 and "version" in keys.names() and "name" in keys.names()


def _bytes(path: Path) -> bytes:
    if path.is_symlink():
        raise Unusable("is a link")
    try:
        data = files.read(path)
    except files.Unreadable as reason:
        raise Unusable(str(reason)) from reason
    if data is None:
        raise Unusable("is gone")
    return data


def _overruled(before: Settings, found: Settings, source: str) -> list[Problem]:
    """Returns a remark for each part that two files set differently; the later file's word counts."""
    remarks = []
    for key, value in found.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            for name in value:
                if name in old and old[name] != value[name]:
                    sentence = f"sets {key}.{printable(name)} otherwise than a file before it, and counts"
                    remarks.append(Problem(source, sentence))
    return remarks


def _render(settings: Settings, used: list[str], unknown: list[UnknownKey]) -> str:
    lines = [f"# Translated by `orchestrator migrate` from {', '.join(used)}."]
    if unknown:
        lines.append("# Not taken over:")
        lines += [f"#   {each.file}:{each.line}: {each.key} {each.reason}" for each in unknown[:100]]
    if len(unknown) > 100:
        lines.append(f"#   and {len(unknown) - 100} more")
    body = yaml.dump(
        {"version": 1, **settings},
        Dumper=_Quoting,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )
    return "\n".join(lines) + "\n" + body


class _Quoting(yaml.SafeDumper):
    """Quotes all text that a reader of another YAML version could take for a number or a truth value."""

    def ignore_aliases(self, data: object) -> bool:
        """Returns True: every value is written where it belongs."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_PLAIN
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if is_plain else '"')


_Quoting.add_representer(str, _text)


def _complaints(text: str, scratch: Path) -> tuple[str, ...]:
    """Returns what the loader says against the text, read alone, without the machine's and user's layers."""
    if not text:
        return ()
    directory, nowhere = scratch / names.DIRECTORY, scratch / "nowhere"
    with told(directory):
        directory.mkdir(mode=0o700, exist_ok=True)
        (directory / names.CONFIG).write_text(text, encoding="utf-8")
    try:
        load(repository=scratch, state_root=scratch, environment={}, system_file=nowhere, user_file=nowhere)
    except ConfigInvalid as error:
        return error.problems
    except OrchestratorError as error:
        return (error.message,)
    return ()
