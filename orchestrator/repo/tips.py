"""Chooses which commits of an agent become parents of a checkpoint, so that nothing it made is lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.model.ids import ObjectId
from orchestrator.repo import borrowing, history
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


def whole(git: Git, commits: Iterable[str], report: Callable[[str], None]) -> list[ObjectId]:
    """Returns the commits whose history can be read, where that of others is broken."""
    kept = []
    for oid in commits:
        if git.run("rev-list", "--objects", "--quiet", oid, "--", ok=(0, 128)).status == 0:
            kept.append(ObjectId(oid))
        else:
            report(f"the history of commit {oid} is incomplete")
    return kept


def without_brought(
    git: Git,
    room: Scratch,
    tips: Tips,
    known: Iterable[str],
    brought: tuple[str, ...],
    report: Callable[[str], None],
) -> None:
    """Replaces parents whose history holds a file that was brought in by their last trees without it."""
    names = [os.fsencode(name.strip("/")) for name in brought]
    if not names:
        return
    clean = []
    for parent in tips.parents:
        words = [parent, "--not", *sorted(known)]
        if not git.run("rev-list", "-1", "--ignore-missing", *words, "--", *names).stdout:
            clean.append(parent)
            continue
        report(
            f"the history of commit {parent} holds a file that was brought in; its files without it are kept"
        )
        git.run("read-tree", parent)
        listed = split(git.run("ls-files", "-z", "--", *names).stdout)
        git.run("update-index", "-z", "--force-remove", "--stdin", input=b"\0".join(listed) + b"\0")
        tree = ObjectId(git.text("write-tree", "--missing-ok"))
        message = f"files of {parent} without what was brought in\n"
        clean.append(room.put("commit", borrowing.commit_bytes(tree, (), message)))
    tips.parents = clean


def as_text(named: Mapping[str, str]) -> bytes:
    """Returns the lines `id name` for what each ref stood for."""
    lines = [f"{oid} {name}\n" for name, oid in sorted(named.items())]
    return "".join(lines).encode("utf-8", "surrogateescape")
