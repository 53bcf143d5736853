"""Speaks with one remote: lists, pushes by compare-and-swap, fetches; in bounded time, past the user's refs.

What comes from there is data of strangers: names are checked against what was asked for, objects by git.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import Failed, GitFailed, Refused
from orchestrator.model.ids import ObjectId
from orchestrator.repo.asking import OURS
from orchestrator.repo.repository import Repository

DEFAULT_TIMEOUT_S = 60.0
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PASSWORD = re.compile(r"(?<=://)[^/\s]*@")
_LINE = re.compile(r"^(.)\t[^\t]*\t(.*)$", re.MULTILINE)
_SETTINGS = (
    ("push.gpgSign", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.followTags", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "30"),
)


class Outcome(StrEnum):
    """What became of a push: `STALE`, the ref is not what we believed; `REFUSED`, it will never be taken."""

    DONE = "done"
    STALE = "stale"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push, and what the other side said of it in one line."""

    outcome: Outcome
    said: str = ""


def push_url(repository: Repository, remote: str) -> str:
    """Returns the address to which git would push for a configured remote, rewritten as the user configured.

    Raises:
        Refused: `remote-unknown`, there is no such remote, or it has several addresses to push to.
    """
    done = repository.git.run("remote", "get-url", "--push", "--all", "--", remote, ok=None)
    urls = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    if done.status != 0 or len(urls) != 1 or not urls[0] or urls[0].startswith("-"):
        raise Refused(
            f"The remote {remote!r} is not configured with exactly one address.",
            code="remote-unknown",
            hint="List the remotes with: git remote -v; choose one with session.remote",
        )
    return urls[0]


def fetch_url(repository: Repository, remote: str) -> str:
    """Returns the address from which git would fetch for a configured remote.

    Raises:
        Refused: `remote-unknown`.
    """
    done = repository.git.run("remote", "get-url", "--", remote, ok=None)
    url = done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")
    if done.status != 0 or not url or url.startswith("-") or "\n" in url:
        raise Refused(
            f"The remote {remote!r} is not configured.",
            code="remote-unknown",
            hint="List the remotes with: git remote -v",
        )
    return url


class Remote:
    """One address; every call ends within `timeout_s` seconds, whatever the other side does."""

    def __init__(
        self, repository: Repository, url: str, *, name: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self.repository = repository
        self.url = url
        self.name = name
        self.timeout_s = timeout_s

    def tips(self, *prefixes: str, timeout_s: float | None = None) -> Mapping[str, ObjectId]:
        """Returns the refs there below prefixes that end in `/`, or named exactly, by full name.

        Raises:
            Failed: `remote-unreachable`, also when it does not answer in time.
        """
        patterns = [f"{prefix}*" if prefix.endswith("/") else prefix for prefix in prefixes]
        done = self._reach("ls-remote", "--refs", "--", self.url, *patterns, timeout_s=timeout_s)
        found = {}
        for line in done.decode("utf-8", "surrogateescape").splitlines():
            oid, _, name = line.partition("\t")
            if _OBJECT_ID.fullmatch(oid) and any(is_below(name, prefix) for prefix in prefixes):
                found[name] = ObjectId(oid)
        return found

    def push(
        self, commit: ObjectId | None, name: str, expected: ObjectId | None, *, timeout_s: float | None = None
    ) -> Pushed:
        """Lets the ref `name` there be `commit` (None: go) if it is at `expected` (None: missing).

        No hook of the local repository runs and no remote-tracking ref moves. A kill leaves the ref there as
        it was or as it shall be.
        """
        words = (
            "push",
            "--porcelain",
            "--no-verify",
            "--no-progress",
            f"--force-with-lease={name}:{expected or ''}",
            "--",
            self.url,
            f"{commit or ''}:{name}",
        )
        try:
            done = self.repository.git.run(
                *words,
                ok=None,
                mutates=True,
                network=True,
                settings=_SETTINGS,
                timeout_s=timeout_s or self.timeout_s,
            )
        except Failed as error:
            is_late = error.code == "timed-out"
            return Pushed(Outcome.UNREACHABLE, self._late(timeout_s) if is_late else error.message)
        stderr = done.stderr.decode("utf-8", "replace")
        return _read(done.stdout.decode("utf-8", "replace"), stderr, done.status)

    def fetch(self, name: str, into: str, *, timeout_s: float | None = None) -> None:
        """Copies what a ref there reaches and lets our ref `into` stand for it, wherever it was before.

        Raises:
            Failed: `remote-unreachable`.
            ValueError: `into` is not one of our refs.
        """
        self.fetch_all({name: into}, timeout_s=timeout_s)

    def fetch_all(self, refs: Mapping[str, str], *, timeout_s: float | None = None) -> None:
        """Copies what several refs there reach, each to the ref of ours that it is mapped to.

        The directory entries of what came are durable once a ref is moved by `Repository.update_ref`.

        Raises:
            Failed: `remote-unreachable`.
            ValueError: one is not one of our refs.
        """
        for into in refs.values():
            if not into.startswith(OURS):
                raise ValueError(f"{into} is not ours to move")
        listed = "".join(f"+{name}:{into}\n" for name, into in refs.items())
        self._reach(
            "fetch",
            "-q",
            "--no-write-fetch-head",
            "--no-tags",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--no-prune",
            "--stdin",
            "--",
            self.url,
            timeout_s=timeout_s,
            mutates=True,
            input=listed.encode("utf-8", "surrogateescape"),
        )

    def _reach(
        self, *words: str, timeout_s: float | None = None, mutates: bool = False, input: bytes = b""
    ) -> bytes:
        try:
            done = self.repository.git.run(
                *words,
                input=input,
                network=True,
                mutates=mutates,
                settings=_SETTINGS,
                timeout_s=timeout_s or self.timeout_s,
            )
        except GitFailed as error:
            raise self._unreachable(_last_line(error.stderr) or error.message) from error
        except Failed as error:
            if error.code != "timed-out":
                raise
            raise self._unreachable(self._late(timeout_s)) from error
        return done.stdout

    def _late(self, timeout_s: float | None) -> str:
        return f"it did not answer within {round(timeout_s or self.timeout_s, 1):g} s"

    def _unreachable(self, reason: str) -> Failed:
        return Failed(
            f"The remote {self.name or 'for state'} cannot be reached: {reason}",
            code="remote-unreachable",
            hint="Try it by hand: git ls-remote " + (self.name or "URL"),
        )


def is_below(name: str, prefix: str) -> bool:
    """Returns whether a ref is below a prefix that ends in `/`, or is the one that is named."""
    return name.startswith(prefix) if prefix.endswith("/") else name == prefix


def _read(stdout: str, stderr: str, status: int) -> Pushed:
    found = _LINE.search(stdout)
    if found is None:
        return Pushed(Outcome.UNREACHABLE if status else Outcome.DONE, _last_line(stderr))
    flag, summary = found[1], found[2]
    if flag != "!" and status == 0:
        return Pushed(Outcome.DONE)
    said = " ".join(part for part in (summary, _hook_said(stderr)) if part)
    if summary.startswith("[rejected]") or "cannot lock ref" in summary or "incorrect old value" in summary:
        return Pushed(Outcome.STALE, said)
    return Pushed(Outcome.REFUSED, said)


def _hook_said(stderr: str) -> str:
    lines = [line.removeprefix("remote:").strip() for line in stderr.splitlines() if "remote:" in line[:8]]
    return "; ".join(line for line in lines if line and not line.startswith("error:"))[:300]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _PASSWORD.sub("", lines[-1][:300]) if lines else ""
