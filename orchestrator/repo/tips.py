"""Chooses which commits of an agent become parents of a checkpoint, so that nothing it made is lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.model.ids import ObjectId
from orchestrator.repo import history
from orchestrator.repo.git import Git, split
from orchestrator.repo.scratch import Scratch


@dataclass(slots=True)
class Tips:
    """What to keep of an agent's repository besides files.

    `parents`: commits that reach everything committed; `named`: what each ref and pseudo ref stood for;
    `loose`: other objects by id, as `(mode, id)` entries for a tree;
    `tags`: the content of tag objects, by id.
    """

    parents: list[ObjectId] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    loose: dict[str, tuple[str, ObjectId]] = field(default_factory=dict)
    tags: dict[str, bytes] = field(default_factory=dict)


def find_tips(
    git: Git, files: history.GitFiles, known: Iterable[str], *, report: Callable[[str], None]
) -> Tips:
    """Returns what to keep; `known` objects are kept already (the base, the user's own refs)."""
    tips = Tips()
    refs = history.refs(files.common)
    tips.named = {**refs, **history.pseudo_heads(files)}
    head = history.head(files)
    if head is not None:
        tips.named["HEAD"] = head
    kept = set(known)
    wanted = [
        oid
        for oid in dict.fromkeys([*tips.named.values(), *sorted(history.logged(files))])
        if oid not in kept
    ]
    if not wanted:
        return tips
    commits = _sort_by_kind(git, wanted, tips, report)
    tips.parents = _independent(git, commits, kept, report)
    return tips


def _sort_by_kind(git: Git, wanted: list[str], tips: Tips, report: Callable[[str], None]) -> list[str]:
    commits = []
    queue = wanted
    while queue:
        listed = git.run("cat-file", "--batch-check", input="\n".join(queue).encode() + b"\n").stdout.decode()
        queue = []
        for line in listed.splitlines():
            oid, kind = line.split(" ")[:2]
            if kind == "commit":
                commits.append(oid)
            elif kind == "tag":
                tips.tags[oid] = git.run("cat-file", "tag", oid).stdout
                target = tips.tags[oid].split(b"\n", 1)[0].removeprefix(b"object ").decode("ascii", "replace")
                queue.append(target)
            elif kind in ("blob", "tree"):
                tips.loose[oid] = ("100644" if kind == "blob" else "40000", ObjectId(oid))
            elif oid in tips.named.values():
                report(f"the object {oid} that a ref of the agent names is missing")
    return list(dict.fromkeys(commits))


def _independent(
    git: Git, commits: list[str], known: set[str], report: Callable[[str], None]
) -> list[ObjectId]:
    """Returns those commits that are reached by no other of them nor by what is kept already."""
    if not commits:
        return []
    lines = [*commits, *(f"^{oid}" for oid in sorted(known))]
    done = git.run(
        "rev-list",
        "--ignore-missing",
        "--parents",
        "--stdin",
        input="\n".join(lines).encode() + b"\n",
        ok=(0, 128),
    )
    if done.status != 0:
        return whole(git, commits, report)
    seen: set[str] = set()
    reached: set[str] = set()
    for line in done.stdout.decode("ascii").splitlines():
        oid, *parents = line.split(" ")
        seen.add(oid)
        reached.update(parents)
    return [ObjectId(oid) for oid in commits if oid in seen and oid not in reached]


def whole(git: Git, oids: Iterable[str], report: Callable[[str], None]) -> list[ObjectId]:
    """Returns the objects of which everything they reach can be read; reports the others."""
    kept = []
    for oid in oids:
        if git.run("rev-list", "--objects", "--quiet", oid, "--", ok=(0, 128)).status == 0:
            kept.append(ObjectId(oid))
        else:
            report(f"{oid} is left out: objects of it are missing")
    return kept


def without_brought(
    git: Git,
    room: Scratch,
    tips: Tips,
    known: Iterable[str],
    brought: tuple[str, ...],
    report: Callable[[str], None],
) -> None:
    """Rewrites parents whose history holds a file that was brought in: no commit of theirs keeps it."""
    names = [b":(top,literal)" + os.fsencode(name.strip("/")) for name in brought]
    if not names:
        return
    new = [f"^{oid}" for oid in sorted(known)]
    clean = []
    for parent in tips.parents:
        # Without --full-history git would not look into the parent of a stash that holds ignored files.
        words = ("-1", "--full-history", "--ignore-missing", parent, *new)
        if git.run("rev-list", *words, "--", *names).stdout:
            report(f"commit {parent} is kept without the files that were brought in")
            clean.append(_rewritten(git, room, parent, new, names))
        else:
            clean.append(parent)
    tips.parents = clean


def _rewritten(git: Git, room: Scratch, tip: ObjectId, new: list[str], names: list[bytes]) -> ObjectId:
    made: dict[bytes, bytes] = {}
    for oid in git.lines("rev-list", "--topo-order", "--reverse", "--ignore-missing", tip, *new):
        head, blank, message = git.run("cat-file", "commit", oid).stdout.partition(b"\n\n")
        lines = head.split(b"\n")
        lines[0] = b"tree " + _tree_without(git, oid, names).encode()
        for number, line in enumerate(lines):
            if line.startswith(b"parent "):
                lines[number] = b"parent " + made.get(line[7:], line[7:])
        made[oid.encode()] = room.put("commit", b"\n".join(lines) + blank + message).encode()
    return ObjectId(made[tip.encode()].decode())


def _tree_without(git: Git, commit: str, names: list[bytes]) -> str:
    git.run("read-tree", commit)
    listed = split(git.run("ls-files", "-z", "--", *names).stdout)
    if listed:
        git.run("update-index", "-z", "--force-remove", "--stdin", input=b"\0".join(listed) + b"\0")
    return git.text("write-tree", "--missing-ok")


def as_text(named: Mapping[str, str]) -> bytes:
    """Returns the lines `id name` for what each ref stood for."""
    lines = [f"{oid} {name}\n" for name, oid in sorted(named.items())]
    return "".join(lines).encode("utf-8", "surrogateescape")
