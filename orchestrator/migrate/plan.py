"""Says what a migration would do: pure, from a survey alone, so that what is shown is what is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from orchestrator.fs.failure import printable
from orchestrator.migrate.catalogue import How, Kind
from orchestrator.migrate.naming import Name
from orchestrator.migrate.survey import Found, Part, Place, Survey
from orchestrator.paths import names

Verb = Literal["move", "merge", "keep", "skip", "conflict"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Options(_Data):
    """What the user chose: `only` (kinds; empty means all), `prefer` in conflicts, `tracked` files too."""

    only: tuple[Kind, ...] = ()
    prefer: Literal["old", "new"] | None = None
    tracked: bool = False


class Trouble(_Data):
    """One reason not to begin; `exit_status` is that of CONTRACT.md (2, 3 or 5).

    With 5 the message names what is in use, and `holder` by whom.
    """

    code: str
    message: str
    hint: str
    exit_status: Literal[2, 3, 5] = 2
    holder: str = ""


class Action(_Data):
    """One line of the table: what happens to one found thing; paths are relative to the root."""

    source: Name
    target: Name | None
    action: Verb
    kind: Kind
    layout: str
    how: How
    files: int
    bytes: int
    mode: str
    tracked: bool
    sensitive: bool
    reason: str


class Step(_Data):
    """One rename, or copy where file systems are crossed; the smallest thing that is done and undone.

    `backup` makes a consistent copy of a database instead. `new_mode` is set on what holds secrets.
    `replaced_mode` is that of an empty directory which stood at the target; `shape` is what a scan of the
    thing says, before and after, unless somebody changed it (empty: it changes by the migration itself). Steps of one `database` are done
    under its lock.
    """

    number: int
    op: Literal["move", "backup"]
    source: Name
    target: Name
    is_directory: bool
    mode: int
    new_mode: int | None = None
    replaced_mode: int | None = None
    database: Name = ""
    shape: str = ""
    crosses: bool = False
    files: int = 0
    bytes: int = 0


class Plan(_Data):
    """All that a migration will do, in order; `digest` is that of the surveyed files and `id` names it.

    `directories` are to be made, `index` pairs are to be moved in git's index. `bytes_needed` and
    `inodes_needed` count what is copied to another file system. `warnings` are told, and nothing more.
    """

    schema_version: Literal[1] = 1
    id: str
    digest: str
    options: Options
    place: Place
    layouts: tuple[str, ...]
    actions: tuple[Action, ...]
    conflicts: tuple[Action, ...]
    steps: tuple[Step, ...]
    directories: tuple[Name, ...]
    index: tuple[tuple[Name, Name], ...]
    troubles: tuple[Trouble, ...]
    warnings: tuple[str, ...]
    bytes_needed: int
    inodes_needed: int
    same_filesystem: bool

    @property
    def pending(self) -> bool:
        """Returns whether there is anything to do."""
        return bool(self.steps or self.conflicts)

    @property
    def left_alone(self) -> tuple[Action, ...]:
        """Returns what is found and stays where it is, each with the reason."""
        return tuple(action for action in self.actions if action.action in ("keep", "skip"))


@dataclass(slots=True)
class _Move:
    source: str
    target: str
    is_directory: bool
    mode: int
    tree_files: int
    tree_bytes: int
    new_mode: int | None = None
    replaced_mode: int | None = None
    op: Literal["move", "backup"] = "move"
    shape: str = ""


def plan(survey: Survey, options: Options | None = None) -> Plan:
    """Returns what to do about a survey; equal surveys and options give equal plans."""
    chosen = options or Options()
    name = _new_id(survey)
    actions: list[Action] = []
    steps: list[Step] = []
    troubles: list[Trouble] = list(_place_troubles(survey))
    for one in _ordered(survey.found):
        stays = _stays(one, survey, chosen)
        moves = [] if stays else list(_moves(one, name, chosen))
        actions.append(_action(one, stays, moves, name, survey, chosen))
        if not stays:
            troubles += _found_troubles(one, survey, chosen)
            if actions[-1].action != "conflict":
                steps += [_step(move, one, survey, len(steps) + at) for at, move in enumerate(moves)]
    conflicts = tuple(action for action in actions if action.action == "conflict")
    troubles += _collisions(steps)
    crossing = [step for step in steps if step.crosses and step.op == "move"]
    return Plan(
        id=name,
        digest=survey.digest,
        options=chosen,
        place=survey.place,
        layouts=tuple(layout.name for layout in survey.layouts),
        actions=tuple(actions),
        conflicts=conflicts,
        steps=tuple(steps),
        directories=_directories(steps, survey, name),
        index=_index_moves(steps, survey) if chosen.tracked else (),
        troubles=tuple(troubles),
        warnings=tuple(_warnings(survey, actions)),
        bytes_needed=sum(step.bytes for step in crossing),
        inodes_needed=sum(step.files for step in crossing),
        same_filesystem=not crossing,
    )


def record_directory(name: str) -> str:
    """Returns the directory of one migration's record, relative to the root."""
    return f"{names.DIRECTORY}/{names.MIGRATIONS}/{name}"


def original(name: str, source: str) -> str:
    """Returns where the original of something imported is kept, relative to the root."""
    return f"{record_directory(name)}/original/{source}"


def quarantined(name: str, source: str) -> str:
    """Returns where the loser of a conflict and what is left of a merge is kept, relative to the root."""
    return f"{names.DIRECTORY}/{names.QUARANTINE}/{name}/{source}"


def _new_id(survey: Survey) -> str:
    # From the files alone, so that a repeat and a copy of the repository name the same migration alike.
    name = f"m-{survey.shape[:12]}"
    number = 1
    while (name if number == 1 else f"{name}-{number}") in survey.taken:
        number += 1
    return name if number == 1 else f"{name}-{number}"


def _ordered(found: Iterable[Found]) -> list[Found]:
    """Returns a database after its companions: a log without its database can be put right, not the reverse."""
    return sorted(found, key=lambda one: (one.database or one.source, one.source == one.database))


def _stays(one: Found, survey: Survey, options: Options) -> str:
    """Returns why something is left where it is; empty if it is to be moved."""
    if one.private_key:
        return one.entry.reason or "a private key; keep it outside the repository"
    if one.entry.action is How.REPORT:
        return one.entry.reason or "not ours to move"
    if options.only and one.entry.kind not in options.only:
        return "not chosen by --only"
    if one.file_kind == "link" and one.link_inside:
        return f"a link to {printable(one.link)}, which stays where it is"
    if one.entry.kind is Kind.CONFIG and _tracked(one.source, survey) and not options.tracked:
        return "tracked by git; it is read where it is (--tracked moves it)"
    return ""


def _moves(one: Found, name: str, options: Options) -> Iterator[_Move]:
    target = one.entry.target_of(one.source)
    imported = original(name, one.source)
    whole = _whole(one, imported)
    if one.entry.action is How.IMPORT or target is None:
        yield whole
    elif one.entry.action is How.SQLITE_BACKUP:
        yield whole
        if one.source == one.database:
            yield _Move(imported, f"{names.DIRECTORY}/{target}", False, 0o600, 0, 0, op="backup")
    elif not one.parts:
        yield _whole(one, f"{names.DIRECTORY}/{target}")
    else:
        for part in one.parts:
            yield from _part_moves(one, part, f"{names.DIRECTORY}/{target}", name, options)


def _whole(one: Found, target: str) -> _Move:
    return _Move(
        one.source,
        target,
        one.file_kind == "directory",
        one.mode,
        one.tree.files,
        one.tree.bytes,
        new_mode=_secret_mode(one, one.file_kind == "directory", one.mode),
        shape=one.tree.shape,
    )


def _part_moves(one: Found, part: Part, target: str, name: str, options: Options) -> Iterator[_Move]:
    source = _joined(one.source, part.pair.path)
    new = _joined(target, part.pair.path)
    files, size = (part.tree.files, part.tree.bytes) if part.tree else (0, 0)
    secret = _secret_mode(one, part.is_directory, part.mode)
    shape = part.tree.shape if part.tree else ""
    aside = _Move(
        source, quarantined(name, source), part.is_directory, part.mode, files, size, secret, shape=shape
    )
    verdict = part.pair.verdict
    if verdict in ("same", "emptied") or (verdict == "different" and options.prefer == "new"):
        yield aside
        return
    replaced = part.target_mode if verdict == "free" else None
    if verdict == "different":
        yield _Move(new, quarantined(name, new), False, part.target_mode or 0, files, size)
    yield _Move(source, new, part.is_directory, part.mode, files, size, secret, replaced, shape=shape)


def _secret_mode(one: Found, is_directory: bool, mode: int) -> int | None:
    wanted = 0o700 if is_directory else 0o600
    return wanted if one.entry.is_sensitive and one.file_kind != "link" and mode != wanted else None


def _step(move: _Move, one: Found, survey: Survey, number: int) -> Step:
    crosses = one.device != survey.device and not move.source.startswith(f"{names.DIRECTORY}/")
    return Step(
        number=number,
        op=move.op,
        source=move.source,
        target=move.target,
        is_directory=move.is_directory,
        mode=move.mode,
        new_mode=move.new_mode,
        replaced_mode=move.replaced_mode,
        shape=move.shape,
        database=one.database if move.op == "move" else "",
        crosses=crosses,
        files=move.tree_files,
        bytes=move.tree_bytes,
    )


def _action(
    one: Found, stays: str, moves: Sequence[_Move], name: str, survey: Survey, options: Options
) -> Action:
    different = [part for part in one.parts if part.pair.verdict == "different"]
    verb: Verb
    if stays:
        verb, reason = ("skip" if stays.endswith("--only") else "keep"), stays
    elif different and options.prefer is None:
        places = ", ".join(printable(_joined(one.source, part.pair.path)) for part in different[:5])
        verb, reason = "conflict", f"old and new differ: {places}"
    else:
        verb, reason = ("merge" if one.parts else "move"), _said(one)
    target = None if stays else _shown_target(one, name)
    return Action(
        source=one.source,
        target=target,
        action=verb,
        kind=one.entry.kind,
        layout=one.layout,
        how=one.entry.action,
        files=one.tree.files,
        bytes=one.tree.bytes,
        mode=f"{one.mode:04o}",
        tracked=_tracked(one.source, survey),
        sensitive=one.entry.is_sensitive or one.private_key,
        reason=reason,
    )


def _shown_target(one: Found, name: str) -> str:
    target = one.entry.target_of(one.source)
    if target is None or one.entry.action is How.SQLITE_BACKUP:
        return original(name, one.source)
    return f"{names.DIRECTORY}/{target}"


def _said(one: Found) -> str:
    verdicts = [part.pair.verdict for part in one.parts]
    if verdicts == ["same"]:
        return "already there with the same content; the old one goes to quarantine"
    if any(verdict in ("same", "emptied") for verdict in verdicts):
        return "partly there already; the rest is moved"
    if "different" in verdicts:
        return "both differ; the one not preferred goes to quarantine"
    if one.entry.is_sensitive and one.mode & 0o077:
        return f"readable for others ({one.mode:04o}); becomes private"
    return one.entry.reason


def _tracked(source: str, survey: Survey) -> bool:
    return source in survey.git.tracked or any(name.startswith(f"{source}/") for name in survey.git.tracked)


def _joined(top: str, path: str) -> str:
    return f"{top}/{path}" if path else top


def _directories(steps: Sequence[Step], survey: Survey, name: str) -> tuple[str, ...]:
    """Returns the directories to make, parents first: those that were missing, and all within what is new."""
    base = f"{names.DIRECTORY}/"
    fresh = (f"{record_directory(name)}/", f"{names.DIRECTORY}/{names.QUARANTINE}/{name}")
    wanted: set[str] = set()
    for step in steps:
        above = os.path.dirname(step.target)
        while above.startswith(base):
            if above.startswith(fresh) or above.removeprefix(base) in survey.missing:
                wanted.add(above)
            above = os.path.dirname(above)
    moved = {step.target for step in steps}
    return tuple(sorted(path for path in wanted if path not in moved))


def _index_moves(steps: Sequence[Step], survey: Survey) -> tuple[tuple[str, str], ...]:
    return tuple((step.source, step.target) for step in steps if _tracked(step.source, survey))


def _place_troubles(survey: Survey) -> Iterator[Trouble]:
    directory = names.DIRECTORY
    if survey.place == "unsafe":
        yield Trouble(
            code="unsafe-directory",
            message=f"{directory} is a link or a file, not a directory.",
            hint="Move it away, then: orchestrator migrate",
        )
    if survey.place == "newer":
        yield Trouble(
            code="layout-newer",
            message=f"{directory} was made by a newer version.",
            hint="Update orchestrator: pip install --upgrade orchestrator",
        )
    if survey.place == "foreign":
        shown = ", ".join(printable(name) for name in survey.unknown[:5])
        yield Trouble(
            code="foreign-directory",
            message=f"{directory} holds what nobody here knows: {shown}.",
            hint="Move it away if it is not needed, then: orchestrator migrate",
        )
    if survey.git.operation:
        yield Trouble(
            code="operation-in-progress",
            message=f"A {survey.git.operation} is in progress in this repository.",
            hint=f"Finish or abort it first: git {survey.git.operation} --abort",
        )


def _found_troubles(one: Found, survey: Survey, options: Options) -> Iterator[Trouble]:
    shown = printable(one.source)
    if one.file_kind == "link":
        yield Trouble(
            code="link-outside",
            message=f"{shown} is a link to {printable(one.link)}, outside of this checkout.",
            hint="Put the real thing in its place or remove the link, then: orchestrator migrate",
        )
    if _tracked(one.source, survey):
        if not options.tracked:
            yield Trouble(
                code="tracked",
                message=f"{shown} is tracked by git, so moving it changes what the next commit holds.",
                hint="Move it in the index too, without committing: orchestrator migrate --tracked",
            )
        elif survey.git.index_lock:
            yield Trouble(
                code="index-locked",
                message="Git's index is locked, so tracked files cannot be moved in it.",
                hint="Wait for git to end. If no git command is running: rm .git/index.lock",
            )
    below = [m for m in survey.mounts if m == one.source or m.startswith(f"{one.source}/")]
    for mount in below:
        yield Trouble(
            code="mount-point",
            message=f"{printable(mount)} is a mount point, which cannot be moved.",
            hint=f"Unmount it, then: orchestrator migrate (umount {printable(mount)})",
        )
    if one.device != survey.device:
        yield from _crossing_troubles(one, shown)


def _crossing_troubles(one: Found, shown: str) -> Iterator[Trouble]:
    wrong = (
        ("special-file", one.tree.special, "is no regular file, so it cannot be copied to the other file system"),
        ("linked-outside", one.tree.linked_outside, "has hard links elsewhere, which the other file system would break"),
        ("unreadable", one.tree.unscanned, "cannot be read, so it cannot be copied to the other file system"),
    )  # fmt: skip
    for code, found, words in wrong:
        for name in found[:5]:
            yield Trouble(
                code=code,
                message=f"{printable(_joined(one.source, name))} {words}.",
                hint=f"Move it away, or leave {shown} out with --only.",
            )


def _collisions(steps: Sequence[Step]) -> Iterator[Trouble]:
    seen: set[str] = set()
    for step in steps:
        if step.target in seen:
            yield Trouble(
                code="target-twice",
                message=f"Two things would go to {printable(step.target)}.",
                hint="Correct the targets of the layout files.",
            )
        seen.add(step.target)


def _warnings(survey: Survey, actions: Sequence[Action]) -> Iterator[str]:
    moving = {action.source for action in actions if action.action in ("move", "merge")}
    for name in survey.pointing:
        yield f"{printable(name)} is a link into what moves; it will lead nowhere."
    for one in survey.found:
        if one.source not in moving:
            continue
        for link in one.dangling:
            yield f"{printable(os.path.join(os.path.dirname(one.source), link))} is a link whose meaning changes with the move."
        if one.entry.is_sensitive and one.mode & 0o077:
            yield f"{printable(one.source)} could be read by others ({one.mode:04o}); consider its secrets as known."
