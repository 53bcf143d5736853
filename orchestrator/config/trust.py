"""Decides whether a person has approved what a repository would run; imports neither pydantic nor YAML.

The key is a hash of everything the repository supplies that decides what runs, bound to the checkout's real
path and the identity of its git directory. Approvals live in the user's own directory: a repository must not
be able to vouch for itself. One file per key, written atomically: processes side by side need no lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.origin import SUPPLIED_BY_REPOSITORY, Origin, printable
from orchestrator.config.withheld import is_secret
from orchestrator.errors import Refused
from orchestrator.fs.disk import Disk
from orchestrator.model.json import Json

if TYPE_CHECKING:
    from orchestrator.config.load import LoadedConfig
    from orchestrator.config.schema import Agent, Config, Step

_VERSION = 1
_KEY = re.compile(r"[0-9a-f]{16}-[0-9a-f]{64}")
_MAX_BYTES = 16 * 1024 * 1024
_CATEGORIES = ("build", "test", "lint", "security", "custom")


@dataclass(frozen=True, slots=True)
class RunnableCommand:
    """Something that would run. `where` is the key it comes from, `notes` what else decides what it does."""

    where: str
    argv: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person approved, and when."""

    key: str
    approved_at: datetime
    commands: tuple[RunnableCommand, ...]


def user_trust_directory() -> Path:
    """Returns the directory of the user's approvals."""
    import platformdirs  # only callers that store approvals pay for it

    return platformdirs.user_state_path("orchestrator", appauthor=False) / "trust"


def commands(config: Config) -> tuple[RunnableCommand, ...]:
    """Returns everything the configuration can start, in the order of the file."""
    steps = [
        _step(f"workflows.{name}.steps.{index}", step, config)
        for name, workflow in config.workflows.items()
        for index, step in enumerate(workflow.steps)
    ]
    agents = [_agent(name, agent) for name, agent in config.agents.items()]
    fixed = (*_trees(config), *_checks(config), *_integration(config))
    return (*_models(config), *agents, *_tools(config), *_roles(config), *steps, *fixed, *_providers(config))


def repository_commands(loaded: LoadedConfig) -> tuple[RunnableCommand, ...]:
    """Returns those that the repository (or its `workflow.local.yaml`) supplies at least a part of."""
    supplied = _supplied_places(loaded.origins)
    return tuple(each for each in commands(loaded.config) if each.where in supplied)


def trust_key(
    loaded: LoadedConfig,
    *,
    checkout_real_path: str,
    git_dir_identity: tuple[int, int],
    local_filters: tuple[str, ...],
    detected: tuple[RunnableCommand, ...] = (),
    layouts: tuple[tuple[str, str], ...] = (),
    prompts: tuple[tuple[str, str], ...] = (),
) -> str:
    """Returns the key under which this checkout's present configuration is approved.

    It changes with every setting of the repository that decides what runs, with each filter or hook named in
    `local_filters`, each check in `detected` and each name or hash in `layouts` (files of the repository that
    say what `migrate` moves) and `prompts` (those that say what agents are told); not with comments,
    thresholds, logging, flags or variables.
    """
    place = _place(checkout_real_path, git_dir_identity)
    content: list[object] = [
        loaded.supplied,
        sorted(local_filters),
        sorted(describe(each) for each in detected),
    ]
    if layouts:  # an approval given before there were any stays valid
        content.append([f"{name} {digest}" for name, digest in sorted(layouts)])
    if prompts:
        content.append({"prompts": [f"{name} {digest}" for name, digest in sorted(prompts)]})
    return f"{_hash(place)[:16]}-{_hash([_VERSION, place, content])}"


def place_key(checkout_real_path: str, git_dir_identity: tuple[int, int]) -> str:
    """Returns what every key of one checkout begins with, whatever its configuration says."""
    return _hash(_place(checkout_real_path, git_dir_identity))[:16]


def _place(checkout_real_path: str, git_dir_identity: tuple[int, int]) -> list[str]:
    return [checkout_real_path, *(str(number) for number in git_dir_identity)]


def describe(command: RunnableCommand) -> str:
    """Returns one line for a person, with everything escaped that could deceive on a terminal."""
    line = shlex.join(command.argv)
    said = ", ".join(part for part in (line, *command.notes) if part)
    return f"{printable(command.where)}: {printable(said, 4000)}"


def difference(old: Sequence[RunnableCommand], new: Sequence[RunnableCommand]) -> tuple[str, ...]:
    """Returns a line for each command taken away (`- `), then for each one added (`+ `)."""
    before, after = [describe(each) for each in old], [describe(each) for each in new]
    gone, fresh = Counter(before) - Counter(after), Counter(after) - Counter(before)
    removed = [f"- {line}" for line in before if line in gone]
    return (*removed, *(f"+ {line}" for line in after if line in fresh))


class TrustStore:
    """The user's approvals, one file each (0600) in a directory of their own (0700).

    A kill leaves an approval given or not given. What cannot be read counts as not approved.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._disk = Disk()

    def is_trusted(self, key: str) -> bool:
        """Returns whether exactly this key was approved.

        Raises:
            Refused: `trust-store-unsafe`: others could have written the approvals.
        """
        return self.shown(key) is not None

    def shown(self, key: str) -> Approval | None:
        """Returns what was approved under the key, or None.

        Raises:
            Refused: `trust-store-unsafe`: others could have written the approvals.
        """
        if not _KEY.fullmatch(key) or not self._is_usable():
            return None
        return _read(self._directory / f"{key}.json", key)

    def previous(self, key: str) -> Approval | None:
        """Returns the newest approval of the same checkout under another key, to show what changed.

        Raises:
            Refused: `trust-store-unsafe`: others could have written the approvals.
        """
        found = [self.shown(other) for other in self._keys_of_place(key) if other != key]
        known = [approval for approval in found if approval is not None]
        return max(known, key=lambda approval: approval.approved_at, default=None)

    def approve(self, key: str, commands: Sequence[RunnableCommand]) -> None:
        """Stores that a person approved `commands` under the key; durable when it returns.

        Raises:
            Refused: `trust-store-unsafe`: others could have written the approvals.
            DiskFailed: nothing was approved.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no trust key")
        self._disk.make_dir(self._directory, mode=0o700)
        self._is_usable()
        self._disk.write(self._directory / f"{key}.json", _encoded(key, commands), mode=0o600)

    def revoke(self, key: str) -> int:
        """Takes back every approval given for the checkout of a key (or `place_key`); returns how many.

        All of them, because an earlier configuration would otherwise be trusted again as soon as it returns.

        Raises:
            DiskFailed: some approvals may be left; the same call continues.
        """
        keys = self._keys_of_place(key)
        for each in keys:
            self._disk.remove(self._directory / f"{each}.json")
        return len(keys)

    def files_of_place(self, place: str) -> tuple[Path, ...]:
        """Returns the files that hold the approvals of one checkout (`place_key`), usable or not."""
        return tuple(self._directory / f"{key}.json" for key in self._keys_of_place(place))

    def _keys_of_place(self, key: str) -> list[str]:
        try:
            names = sorted(os.listdir(self._directory))
        except OSError:
            return []
        keys = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        return [each for each in keys if _KEY.fullmatch(each) and each[:16] == key[:16]]

    def _is_usable(self) -> bool:
        """Returns whether there is a directory that only the user can write."""
        try:
            facts = os.lstat(self._directory)
        except OSError:
            return False
        others_write = os.name == "posix" and facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISDIR(facts.st_mode) or others_write or not _is_mine(facts):
            raise Refused(
                f"{printable(str(self._directory))} is not a directory that only you can write.",
                code="trust-store-unsafe",
                hint=f"Look at it, then: chmod 700 {shlex.quote(printable(str(self._directory)))}",
            )
        return True


def _models(config: Config) -> list[RunnableCommand]:
    """Returns where models are asked: a key and source code go there."""
    found = []
    for name, model in config.models.items():
        where = f" at {model.base_url}" if model.base_url else ""
        note = f"asks {model.name} of {model.provider}{where}, with your key for it"
        found.append(RunnableCommand(f"models.{name}", (), (note,)))
    return found


def _tools(config: Config) -> list[RunnableCommand]:
    return [
        RunnableCommand(f"tools.{name}", tool.run or (), (f"permission {tool.permission}",))
        for name, tool in config.tools.items()
    ]


def _agent(name: str, agent: Agent) -> RunnableCommand:
    argv = (*(agent.command or (agent.kind,)), *agent.args)
    notes = [f"with {variable}={_told(variable, value)}" for variable, value in sorted(agent.env.items())]
    if agent.model:
        notes.append(f"model {agent.model}")
    if agent.kind == "acp" or agent.via == "acp":
        notes.append("led over ACP")
    if agent.mode:
        notes.append(f"mode {agent.mode}")
    if agent.stdin == "prompt":
        notes.append("the prompt on standard input")
    if agent.secrets:
        notes.append(f"given the secrets {' '.join(agent.secrets)}")
    return RunnableCommand(f"agents.{name}", argv, tuple(notes))


def _told(variable: str, value: str) -> str:
    return f"[redacted:{variable}]" if is_secret(variable, value) else value


def _roles(config: Config) -> list[RunnableCommand]:
    roles = (("planner", config.roles.planner), ("reviewer", config.roles.reviewer))
    return [
        RunnableCommand(f"roles.{role}", (), (f"agent {name}",)) for role, name in roles if name is not None
    ]


def _step(where: str, step: Step, config: Config) -> RunnableCommand:
    agent = step.agent or config.roles.agent_for(step.task) or "first one found"
    notes = [f"agent {agent}", f"task {step.task}"]
    if step.model:
        notes.append(f"model {step.model}")
    if step.secrets:
        notes.append(f"given the secrets {' '.join(step.secrets)}")
    notes += [
        f"{what}: {text}" for what, text in (("told", step.description), ("prompt", step.prompt)) if text
    ]
    return RunnableCommand(where, (), tuple(notes))


def _trees(config: Config) -> list[RunnableCommand]:
    found = [
        RunnableCommand(f"worktrees.setup.{index}", argv) for index, argv in enumerate(config.worktrees.setup)
    ]
    if config.worktrees.bring:
        patterns = " ".join(config.worktrees.bring)
        note = f"copies your ignored files {patterns} into the agents' trees"
        found.append(RunnableCommand("worktrees.bring", (), (note,)))
    if config.session.directory is not None:
        note = f"writes bundles of runs into {config.session.directory}"
        found.append(RunnableCommand("session.directory", (), (note,)))
    if config.worktrees.root is not None:
        note = f"writes the agents' trees into {config.worktrees.root}"
        found.append(RunnableCommand("worktrees.root", (), (note,)))
    return found


def _checks(config: Config) -> list[RunnableCommand]:
    return [
        RunnableCommand(f"verify.{category}.{index}", check.run)
        for category in _CATEGORIES
        for index, check in enumerate(getattr(config.verify, category))
    ]


def _integration(config: Config) -> list[RunnableCommand]:
    if config.git.integrate != "merge":
        return []
    return [RunnableCommand("git.integrate", (), ("merges results into your branch",))]


def _providers(config: Config) -> list[RunnableCommand]:
    found = []
    for index, provider in enumerate(config.secrets.providers):
        notes = [f"asked for {' '.join(provider.names) or 'any secret'}"]
        if provider.variables:
            notes.append(f"given your variables {' '.join(provider.variables)}")
        found.append(RunnableCommand(f"secrets.providers.{index}", provider.run, tuple(notes)))
    return found


def _supplied_places(origins: Mapping[str, Origin]) -> frozenset[str]:
    """Returns the keys that come from the repository, and every key around them."""
    places: set[str] = set()
    for key, origin in origins.items():
        if origin.layer in SUPPLIED_BY_REPOSITORY:
            parts = key.split(".")
            places.update(".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return frozenset(places)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _encoded(key: str, approved: Sequence[RunnableCommand]) -> bytes:
    listed = [{"where": each.where, "argv": each.argv, "notes": each.notes} for each in approved]
    at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    record = {"schema_version": _VERSION, "key": key, "approved_at": at, "commands": listed}
    return (json.dumps(record, indent=1) + "\n").encode()


def _read(path: Path, key: str) -> Approval | None:
    try:
        record = json.loads(_bytes_of_mine(path))
        if record["schema_version"] != _VERSION or record["key"] != key:
            return None
        at = datetime.fromisoformat(record["approved_at"])
        if at.tzinfo is None:
            return None
        return Approval(key, at, tuple(_decoded(each) for each in record["commands"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _decoded(record: Mapping[str, Json]) -> RunnableCommand:
    where, argv, notes = record["where"], record["argv"], record["notes"]
    if not isinstance(where, str) or not isinstance(argv, list) or not isinstance(notes, list):
        raise TypeError("not a command")
    return RunnableCommand(where, tuple(map(str, argv)), tuple(map(str, notes)))


def _bytes_of_mine(path: Path) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or not _is_mine(facts):
            raise PermissionError(f"{path} is not the user's own file")
        return file.read(_MAX_BYTES)


def _is_mine(facts: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or facts.st_uid == os.geteuid()
