"""Runs git with fixed argument vectors, a listed environment and everything that could execute neutralised.

Source for what fires on which command: measured with git 2.39.5; `core.fsmonitor` and clean filters run on a
plain `git status`, smudge filters and hooks on a checkout, `core.alternateRefsCommand` on a fetch.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import Refused
from orchestrator.fs.effects import announce
from orchestrator.process.spawn import Captured, minimal_environment, run_captured
from orchestrator.repo import asking
from orchestrator.repo.asking import ALWAYS, NO_HOOKS, OLDEST, find_repository

__all__ = ["OLDEST", "Git", "find_repository", "require_git", "split"]

DEFAULT_TIMEOUT_S = 900.0

Settings = tuple[tuple[str, str], ...]

_NETWORK = ("SSH_AUTH_SOCK", "GIT_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND", "GITHUB_TOKEN", "CODESPACES")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")

_DURABLE: Settings = (("core.fsync", "committed,reference"), ("core.fsyncMethod", "fsync"))

_RUNS = re.compile(
    r"(?i:(filter)\.(.+)\.(?:clean|smudge|process)|(merge)\.(.+)\.driver|(diff)\.(.+)\.(?:command|textconv)"
    r"|core\.(?:fsmonitor|hookspath|sshcommand|alternaterefscommand|gitproxy|askpass|editor)|diff\.external"
    r"|credential\.(?:.+\.)?helper|gpg\.(?:.+\.)?program|remote\..+\.(?:uploadpack|receivepack|vcs))",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git in one place.

    `directory` is where it starts; without `git_dir` git finds the repository there and looks no higher. With
    `git_dir`, `work_tree` and `index` nothing is looked for. `trusted` lets the filters and merge drivers of
    the repository's own configuration run; the user's global ones always may. `hooks` lets hooks run.
    """

    directory: Path
    trusted: bool
    git_dir: Path | None = None
    work_tree: Path | None = None
    index: Path | None = None
    hooks: bool = False
    settings: Settings = ()
    _neutral: list[Settings] = field(default_factory=list, compare=False, repr=False)

    def run(
        self,
        *arguments: str | bytes,
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        ok: Sequence[int] | None = (0,),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        mutates: bool = False,
        network: bool = False,
        settings: Settings = (),
        on_output: Callable[[bytes], None] | None = None,
    ) -> Captured:
        """Runs one git command and returns what it printed; `ok=None` accepts every exit status.

        A mutation is announced before it starts, and its objects and refs are on the disk when it ends. With
        `on_output` what it prints goes there in pieces instead.

        Raises:
            GitFailed: another exit status than those in `ok`, or no end within `timeout_s` seconds.
            Refused: `git-missing`, `git-too-old`, or `unsafe-owner`.
        """
        words = [os.fsdecode(word) for word in arguments]
        chosen = self._settings(words) + settings + (_DURABLE if mutates else ())
        environment = self._environment(chosen, network=network)
        environment.update(env or {})
        if mutates:
            announce(f"git {words[0]}")
        done = run_captured(
            [_executable(), "--no-optional-locks", *words],
            cwd=self.directory,
            environment=environment,
            input=input,
            timeout_s=timeout_s,
            on_output=on_output,
        )
        if ok is not None and done.status not in ok:
            raise asking.failure(words[0], done)
        return done

    def text(self, *arguments: str, ok: Sequence[int] | None = (0,)) -> str:
        """Returns what a reading command prints without its last line end; what is not UTF-8 escaped."""
        return self.run(*arguments, ok=ok).stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def lines(self, *arguments: str) -> tuple[str, ...]:
        """Returns the lines a reading command prints."""
        text = self.text(*arguments)
        return tuple(text.split("\n")) if text else ()

    def zsplit(self, *arguments: str) -> tuple[bytes, ...]:
        """Returns the NUL-terminated items a reading command prints, as bytes."""
        return split(self.run(*arguments).stdout)

    def local_keys(self) -> tuple[str, ...]:
        """Returns the keys of the repository's own configuration, with includes; runs nothing."""
        items = split(self.local_list())
        pairs = zip(items[::2], items[1::2], strict=False)
        return tuple(
            entry.split(b"\n", 1)[0].decode("utf-8", "surrogateescape")
            for scope, entry in pairs
            if scope in (b"local", b"worktree")
        )

    def local_list(self) -> bytes:
        """Returns all configuration as pairs of scope and `key LF value`, each ended by NUL; runs nothing."""
        return self._bare_run("config", "--list", "-z", "--show-scope").stdout

    def runnable_keys(self) -> tuple[str, ...]:
        """Returns those keys of the repository's own configuration that name something git would execute."""
        return tuple(dict.fromkeys(key for key in self.local_keys() if _RUNS.fullmatch(key)))

    def _bare_run(self, *words: str) -> Captured:
        environment = self._environment((*ALWAYS, *NO_HOOKS), network=False)
        done = run_captured(
            [_executable(), *words],
            cwd=self.directory,
            environment=environment,
            input=b"",
            timeout_s=DEFAULT_TIMEOUT_S,
        )
        if done.status != 0:
            raise asking.failure(words[0], done)
        return done

    def _settings(self, words: list[str]) -> Settings:
        chosen = ALWAYS + self.settings
        if not self.hooks:
            chosen += NO_HOOKS
        if not self.trusted:
            if not self._neutral:
                self._neutral.append(_neutralised(self.runnable_keys()))
            chosen += self._neutral[0]
        return chosen

    def _environment(self, settings: Settings, *, network: bool) -> dict[str, str]:
        places = {"GIT_DIR": self.git_dir, "GIT_WORK_TREE": self.work_tree, "GIT_INDEX_FILE": self.index}
        return asking.environment(
            str(self.directory),
            settings,
            passed=_NETWORK + _PROXIES if network else (),
            extra={name: str(place) for name, place in places.items() if place is not None},
        )


def split(data: bytes) -> tuple[bytes, ...]:
    """Returns the items of NUL-terminated output."""
    return tuple(data.split(b"\0")[:-1]) if data else ()


def _neutralised(keys: Sequence[str]) -> Settings:
    chosen: dict[str, str] = {}
    for key in keys:
        found = _RUNS.fullmatch(key)
        if found is None or key.lower() in (
            "core.fsmonitor",
            "core.hookspath",
            "core.editor",
            "diff.external",
        ):
            continue  # dealt with for every call, or never reached by the commands used here
        if found[1]:
            # An emptied filter that is required would be fatal.
            chosen[f"filter.{found[2]}.required"] = "false"
            for kind in ("clean", "smudge", "process"):
                chosen[f"filter.{found[2]}.{kind}"] = ""
        elif found[3]:
            chosen[key] = "false"  # a driver that always says "conflict"; an empty one would pick a side
        elif key.lower().startswith(("credential.", "diff.")):
            chosen[key] = ""
        elif key.lower() == "core.alternaterefscommand":
            chosen[key] = "true"
        else:
            chosen[key] = "false"
    return tuple(chosen.items())


def require_git() -> None:
    """Makes sure that git can be used, before anything is changed that would need it.

    Raises:
        Refused: `git-missing` or `git-too-old`.
    """
    _executable()


def _executable() -> str:
    return _checked_executable(os.environ.get("PATH", ""))


@functools.cache
def _checked_executable(path: str) -> str:
    found = shutil.which("git", path=path)
    if found is None:
        raise Refused("git was not found on PATH.", code="git-missing", hint="Install git 2.38 or newer.")
    done = run_captured(
        [found, "--version"], cwd=Path("/"), environment=minimal_environment({}), input=b"", timeout_s=30
    )
    version = re.match(rb"git version (\d+)\.(\d+)", done.stdout)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        said = done.stdout.decode("utf-8", "replace").strip() or "no version"
        raise Refused(
            f"git is too old: {found} says {said}; 2.38 is needed.",
            code="git-too-old",
            hint="Install git 2.38 or newer, or put it first on PATH.",
        )
    return os.path.abspath(found)
