"""A commit of ours on top of a branch of the user's: it changes no file, and brings along what our refs hold.

For hosts that take nothing but the branch people work on. Its first parent is the commit beneath, whose tree
it has; the others are what it carries, each named in its message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.errors import Refused
from orchestrator.model.ids import ObjectId
from orchestrator.paths import names
from orchestrator.repo.borrowing import AUTHOR
from orchestrator.repo.git import Git
from orchestrator.repo.repository import Repository

_TRAILER = "Orchestrator-Carries: "
_MESSAGE = """\
orchestrator: state of runs, taken out again [skip ci]

This commit changes no file. It is replaced while a run is worked on, and taken out
when the result is merged. Do not build on it.

"""
_NAME, _, _REST = AUTHOR.partition(" <")
_EMAIL = _REST.rstrip(">")
_OURS = ("--fixed-strings", f"--grep={_TRAILER}", f"--committer={_EMAIL}")
_CARRIED = re.compile(r"refs/orchestrator/(?:sessions|forks)/[A-Za-z0-9_/-]{1,200}")
_LINE = re.compile(re.escape(_TRAILER) + r"(\S+) ([0-9a-f]{40}(?:[0-9a-f]{24})?)")


@dataclass(frozen=True, slots=True)
class Carrier:
    """Such a commit, the one beneath it, and what it carries by the names of the refs that hold it here."""

    commit: ObjectId
    beneath: ObjectId
    refs: Mapping[str, ObjectId]


def author_environment(at_s: int = 0) -> dict[str, str]:
    """Returns the variables with which `commit-tree` makes a commit of ours."""
    facts = (("NAME", _NAME), ("EMAIL", _EMAIL), ("DATE", f"@{at_s} +0000"))
    return {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in facts}


def write_carrier(
    repository: Repository, beneath: ObjectId, refs: Mapping[str, ObjectId], *, at_s: int
) -> ObjectId:
    """Writes such a commit, which no ref holds yet, and returns it."""
    parents = [word for oid in dict.fromkeys([beneath, *refs.values()]) for word in ("-p", oid)]
    carried = "".join(f"{_TRAILER}{name} {oid}\n" for name, oid in sorted(refs.items()))
    done = repository.git.run(
        "commit-tree",
        repository.tree_of(beneath),
        *parents,
        input=f"{_MESSAGE}{carried}".encode(),
        env=author_environment(at_s),
        mutates=True,
    )
    return ObjectId(done.stdout.decode("ascii").strip())


def read_carrier(git: Git, commit: ObjectId) -> Carrier | None:
    """Returns what a commit carries, None where it is none of ours or somebody changed files with it."""
    done = git.run("cat-file", "commit", commit, ok=(0, 128))
    head, _, message = done.stdout.decode("utf-8", "replace").partition("\n\n")
    facts = [line.partition(" ") for line in head.split("\n")]
    parents = [ObjectId(value) for key, _, value in facts if key == "parent"]
    by_us = any(key == "committer" and value.startswith(f"{AUTHOR} ") for key, _, value in facts)
    refs = {
        found[1]: ObjectId(found[2])
        for line in message.split("\n")
        if (found := _LINE.fullmatch(line)) and _CARRIED.fullmatch(found[1])
    }
    if not by_us or not parents or not refs or not set(refs.values()) <= set(parents):
        return None
    trees = git.run("rev-parse", f"{commit}^{{tree}}", f"{parents[0]}^{{tree}}", ok=(0, 128))
    if trees.status != 0 or len(set(trees.stdout.split())) != 1:
        return None
    return Carrier(commit, parents[0], refs)


def beneath(git: Git, commit: ObjectId) -> ObjectId:
    """Returns the commit itself, or the one beneath the carriers on top."""
    while (carrier := read_carrier(git, commit)) is not None:
        commit = carrier.beneath
    return commit


def carriers_in(git: Git, tips: Iterable[ObjectId], *, without: Iterable[ObjectId] = ()) -> list[Carrier]:
    """Returns the carriers that `tips` reach and `without` do not, newest first."""
    asked = "".join([*(f"{oid}\n" for oid in tips), *(f"^{oid}\n" for oid in without)])
    listed = git.run("rev-list", "--topo-order", *_OURS, "--stdin", input=asked.encode()).stdout
    found = (read_carrier(git, ObjectId(oid)) for oid in listed.decode("ascii").split())
    return [carrier for carrier in found if carrier is not None]


def carrying(git: Git, commits: Iterable[ObjectId]) -> frozenset[ObjectId]:
    """Returns those of the commits that are carriers by their looks; what is not here is not looked at."""
    asked = "".join(f"{oid}\n" for oid in commits).encode()
    words = ("rev-list", "--no-walk=unsorted", "--ignore-missing", *_OURS, "--stdin")
    return frozenset(map(ObjectId, git.run(*words, input=asked).stdout.decode("ascii").split()))


def not_to_integrate(repository: Repository, *tips: ObjectId) -> list[Carrier]:
    """Returns the carriers that these commits bring along, newest first.

    One on which others built and that a branch fetched from a remote holds for good does not count.
    """
    fetched = set(repository.refs("refs/remotes/").values())
    if not fetched:
        return []  # nothing can have come from elsewhere
    on_top = carrying(repository.git, fetched)
    there = {*(fetched - on_top), *(beneath(repository.git, oid) for oid in on_top)}
    return carriers_in(repository.git, tips, without=there)


def require_none(repository: Repository, *tips: ObjectId) -> None:
    """Makes sure that these commits bring no carrier into what is integrated.

    Raises:
        Refused: `carrier-in-branch`, with what takes it out.
    """
    found = not_to_integrate(repository, *tips)
    if not found:
        return
    newest, below = found[0], beneath(repository.git, found[0].commit)
    on_top = newest.commit == repository.head().oid
    command = f"git reset --soft {below}" if on_top else f"git rebase --onto {below} {newest.commit}"
    why = "It changes no file" if on_top else "You built on it"
    raise Refused(
        f"Your branch holds {newest.commit[:12]}, in which orchestrator carries the state of runs;"
        " it does not belong into what is merged.",
        code="carrier-in-branch",
        hint=f"{why}. Take it out: {command}",
    )


def is_carried_name(name: str) -> bool:
    """Returns whether what a ref of this name holds can be carried."""
    prefixes = (names.SESSION_REFS, names.FORK_REFS)
    return name.startswith(prefixes) and _CARRIED.fullmatch(name) is not None
